import dataclasses
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.stats import ttest_1samp, ttest_rel

from lib import config_tree
from lib.data.store import write_json
from lib.errors import EaselError
from lib.evidence import ledger, verdicts
from lib.models import dalle_mini
from lib.models.layout import BLOCKS, DalleMiniConfig, Layout, matched_width
from lib.pipeline.stage import Training
from studies.glu.code import evaluate, reports, tables
from studies.glu.code.search import chosen, trial
from studies.glu.code.settings import (
    MOST_SEEDS,
    GluCostParams,
    GluSearchParams,
    GluSetting,
    GluTextParams,
    GluVariantsParams,
    ReportSwitchesParams,
    TokensParams,
    changed,
)
from studies.glu.code.tasks import SpanTask
from studies.glu.code.text_training import span_network
from studies.glu.code.train_switches import described, final, layout_of, unigram_nats
from studies.glu.code.training import recipe_of
from studies.glu.code.training_parts import seed_numbers, thinned
from tests import house
from tests.studies.glu import made_up
from tests.studies.glu.made_up import SETTING

COARSE = TokensParams(seeds=6, steps=40, short=10)
VARIANTS = {
    "variants": tuple(BLOCKS),
    "tokens": {"coarse": COARSE, "fine": TokensParams(seeds=5, steps=20)},
    "pictures": 10,
    "curve_points": 2,
    "curve_pictures": 5,
}
STEPS = {"coarse": 5, "fine": 4, "text": 3}
SEARCH = {"learning_rates": (0.1, 0.2), "seeds": 3, "steps": STEPS, "pictures": 2, "stretches": 2}


def test_blocks_of_the_papers_size_have_exactly_its_parameters():
    counts = {block: evaluate.block_parameters(block, 768, 3072) for block in BLOCKS}
    assert set(counts.values()) == {4_718_592}


@pytest.mark.parametrize(("width", "feed_forward"), [(32, 192), (64, 384), (96, 500)])
@pytest.mark.parametrize("placement", ["preln", "normformer"])
def test_matched_networks_are_within_one_percent(width, feed_forward, placement):
    counts = []
    for gated, activation in ((False, "relu"), (True, "gelu")):
        network = DalleMiniConfig(
            text_vocabulary=64,
            text_length=8,
            text_padding=0,
            codes=64,
            image_length=8,
            width=width,
            encoder_layers=1,
            decoder_layers=1,
            heads=2,
            feed_forward=matched_width(feed_forward) if gated else feed_forward,
            layout=Layout(gated=gated, activation=activation, norm_placement=placement),
        )
        counts.append(dalle_mini.parameter_count(dalle_mini.shapes(network)))
    assert max(counts) / min(counts) < 1.01


def test_a_trial_weighs_the_difference_by_its_noise_whichever_block_it_favours():
    relu, geglu = [1.0, 2.0, 3.0], [0.8, 1.9, 2.9]
    found, other = trial(relu, geglu), trial(geglu, relu)
    assert found.effect == pytest.approx(-0.4 / 3) and found.seed_noise == 1.0
    assert found.noise == pytest.approx(np.std([-0.2, -0.1, -0.1], ddof=1))
    assert found.ratio == other.ratio == pytest.approx(0.4 / 3 / found.noise) and other.effect > 0


def test_the_rate_with_the_largest_ratio_is_chosen():
    clear, noisy = trial([1.0, 2.0, 3.0], [0.9, 1.9, 2.8]), trial([1.0, 2.0, 3.0], [0.5, 2.0, 2.5])
    against = trial([1.0, 2.0, 3.0], [1.2, 2.2, 3.21])
    assert abs(noisy.effect) > abs(clear.effect)
    assert chosen({"0.001": noisy, "0.0025": clear}) == 0.0025
    assert chosen({"0.004": against, "0.001": noisy, "0.0025": clear}) == 0.004


def test_the_search_s_seeds_are_no_comparison_s():
    params = SimpleNamespace(seed=3)
    assert seed_numbers(params, 2) == [3, 4]
    search, most = seed_numbers(params, 1000, MOST_SEEDS), seed_numbers(params, MOST_SEEDS)
    assert not set(search) & set(most) and len(set(search)) == 1000


def test_two_blocks_have_a_short_training():
    assert COARSE.lengths("relu") == COARSE.lengths("geglu") == {"short": 10, "long": 40}
    assert COARSE.lengths("swiglu") == {"long": 40}
    assert TokensParams(seeds=5, steps=20).lengths("relu") == {"long": 20}


def test_learning_curves_are_means_over_stretches():
    losses = np.array([[1.0, 5.0], [3.0, 7.0], [5.0, 9.0], [7.0, 11.0]])
    assert thinned(losses, points=2) == {"step": [2, 4], "nats": [[2.0, 6.0], [6.0, 10.0]]}
    assert thinned(losses, points=60)["step"] == [1, 2, 3, 4]


def test_recipes_differ_in_their_length_alone():
    short, long = recipe_of(SETTING, 100, 0.1), recipe_of(SETTING, 400, 0.1)
    assert dataclasses.replace(short, steps=400) == long and short.batch_size == 16 and short.learning_rate == 0.1


def test_trainings_of_a_stage_have_checkpoints_of_their_own_in_its_folder():
    whole = Training(Path("build/checkpoints/stage/0123.safetensors"), "0123")
    short, long = whole.part("short"), whole.part("long")
    assert short == whole.part("short") and short.fingerprint != long.fingerprint
    assert short.checkpoint.parent == long.checkpoint.parent == whole.checkpoint.parent
    assert len({short.checkpoint, long.checkpoint, whole.checkpoint}) == 3
    assert Training(whole.checkpoint, "4567").part("short") != short


def test_a_network_for_texts_has_one_vocabulary_on_both_sides():
    task = SpanTask(np.zeros((2, 20), int), 50, 0.3, 3.0)
    pictures = DalleMiniConfig(64, 8, 0, 64, 8, 16, 1, 1, 2, 32)
    network = span_network(pictures, task)
    assert (network.text_vocabulary, network.codes) == (52, 52)
    assert (network.text_length, network.image_length) == (task.input_length, task.target_length)


def test_layouts_are_known_by_their_changes():
    assert described({}) == "default" and described({"norm": "rmsnorm", "bias": True}) == 'bias true, norm "rmsnorm"'
    assert layout_of(0.1, {"bias": True}) == Layout(bias=True, init_std=0.1)
    with pytest.raises(EaselError, match="unknown key 'glue'"):
        layout_of(0.1, {"glue": True})


def test_final_loss_and_entropy_of_codes():
    assert final(np.r_[np.zeros(95), np.ones(5)]) == 1.0 and final(np.array([1.0, np.nan])) is None
    assert unigram_nats(np.array([[0, 1], [1, 0]]), codes=5) == pytest.approx(np.log(2))


@pytest.mark.parametrize(
    ("kind", "good", "change", "message"),
    [
        (GluSetting, config_tree.plain(SETTING), {"heads": 3}, "heads must divide width = 64"),
        (GluSetting, config_tree.plain(SETTING), {"decay": 1.5}, "decay is 1.5, must be at most 1"),
        (GluSetting, config_tree.plain(SETTING), {"width": 0}, "width is 0, must be at least 1"),
        (TokensParams, dict(seeds=5, steps=10), {"short": 10}, "short must be fewer than steps = 10"),
        (GluVariantsParams, VARIANTS, {"variants": ("relu", "geglu", "tanh")}, "variants must be some of relu"),
        (GluVariantsParams, VARIANTS, {"variants": ("relu", "swiglu")}, "must hold relu and geglu"),
        (GluVariantsParams, VARIANTS, {"tokens": {"fine": COARSE}}, r"tokens\.coarse must be there and have a short"),
        (GluVariantsParams, VARIANTS, {"tokens": {"coarse": TokensParams(seeds=5, steps=9)}}, "have a short training"),
        (GluVariantsParams, VARIANTS, {"tokens": {"coarse": COARSE, "tiny": COARSE}}, "must name image tokenizers"),
        (GluVariantsParams, VARIANTS, {"curve_points": 11}, r"of any training; tokens\.coarse has fewer"),
        (GluSearchParams, SEARCH, {"seeds": 1}, "seeds is 1, must be at least 2"),
        (GluSearchParams, SEARCH, {"learning_rates": (0.1, 0.1)}, "learning_rates must differ from each other"),
        (GluSearchParams, SEARCH, {"learning_rates": ()}, "learning_rates must be at least one"),
        (
            GluTextParams,
            dict(seeds=2, steps=3, length=9, masked=0.2, span=3.0, stretches=4),
            {"masked": 1.0},
            "masked",
        ),
        (
            GluCostParams,
            dict(tokens="coarse", sizes={}, repetitions=5, step_seconds=1.0, drawn=2),
            {"repetitions": 4},
            "at least 5",
        ),
        (
            ReportSwitchesParams,
            dict(
                tokens="coarse",
                seeds=2,
                steps=3,
                switches={},
                placements={name: {} for name in ("preln", "postln", "normformer", "cogview")},
                high_rates=(0.1,),
                high_steps=4,
                rise=0.5,
            ),
            {"placements": {"preln": {}}},
            "placements must name cogview, normformer, postln, preln",
        ),
    ],
)
def test_sections_are_checked(kind, good, change, message):
    kind(**good)
    with pytest.raises(EaselError, match=message):
        kind(**(good | change))


def test_a_setting_changes_as_a_whole():
    assert changed(SETTING, {"width": 32}).width == 32
    with pytest.raises(EaselError, match="must divide"):
        changed(SETTING, {"width": 33})
    with pytest.raises(EaselError, match="unknown key 'layres'"):
        changed(SETTING, {"layres": 33})


def test_sections_are_read_as_the_rest_of_the_configuration_is():
    tree = config_tree.plain(SETTING) | {"init_std": 1}
    assert config_tree.read(tree, GluSetting, "p.yaml", "glu_setting").init_std == 1.0
    with pytest.raises(EaselError, match=r"unknown key 'glu_setting.widht'; did you mean 'width'"):
        config_tree.read(tree | {"widht": 3}, GluSetting, "p.yaml", "glu_setting")


def test_results_of_the_laptop_profile_are_read_and_written_as_they_are(tmp_path):
    committed = house.REPOSITORY / "results/laptop/glu.json"
    reports.Results.read(committed).write(tmp_path / "glu.json")
    assert (tmp_path / "glu.json").read_text() == committed.read_text()


def test_what_was_not_measured_has_no_key():
    found = made_up.results().plain()
    assert "difference" not in found["variants"]["coarse"]["long"]["blocks"]["relu"]
    assert set(found["variants"]["coarse"]["short"]["blocks"]) == {"relu", "geglu"}
    assert reports.Results.model_validate(found).plain() == found


def test_differences_are_taken_seed_by_seed():
    relu, geglu = [2.0, 3.0, 4.0, 5.0, 6.0], [1.9, 2.8, 3.9, 4.8, 5.9]
    found = evaluate.against_baseline({"relu": relu, "geglu": geglu})
    assert found["relu"].difference is None
    assert found["relu"].mean == 4.0 and found["relu"].sd == pytest.approx(np.sqrt(2.5))
    difference, expected = found["geglu"].difference, ttest_rel(geglu, relu)
    assert difference.value == pytest.approx(-0.14)  # though the seeds themselves differ by ten times as much
    assert difference.p == pytest.approx(expected.pvalue)
    assert [difference.low, difference.high] == pytest.approx(list(expected.confidence_interval()))


def test_claims_are_decided_by_paired_numbers():
    fine = made_up.blocks([0.0, -0.1, 0.2, 0.3, 0.4, 0.5, -0.3, 0.6])
    variants, switches = made_up.variants(fine=fine), made_up.switches()
    text = made_up.text(relu=[2.0] * 5, geglu=[1.9] * 5)
    found = evaluate.claims(variants, text, switches)
    coarse, text = found.tasks["coarse"], found.tasks["text"]
    assert np.subtract(coarse.geglu.treatment, coarse.geglu.baseline) == pytest.approx([-0.05] * 5)
    assert coarse.ungated.values == pytest.approx([0.02] * 5)
    assert np.subtract(found.tasks["fine"].geglu.treatment, 1.5 + 0.1 * np.arange(5)) == pytest.approx([-0.3] * 5)
    assert found.tasks["fine"].ungated.values == pytest.approx([-0.1] * 5)
    assert text.geglu.treatment == [1.9] * 5 and text.order is None and text.ungated is None
    assert found.placements.baseline == [3, 1, 2, 1, 2] and found.placements.treatment == [0] * 5
    assert found.bias_time.treatment == pytest.approx([110] * 9) and found.final_norm is None
    main = variants.tokens["coarse"].blocks
    assert evaluate.parameters(main).paper_distinct == [4_718_592]
    assert evaluate.parameters(main).spread == 0
    # 0.5 nats for a factor of 4; ReLU ends 0.05 above GEGLU.
    assert evaluate.steps_saved(main).values == pytest.approx([100 * (1 - 4 ** (-0.05 / 0.5))] * 5)


def test_a_norm_that_is_missed_is_a_claim():
    switches = made_up.switches()
    with_norm = switches.switches["bias"].model_copy(update={"treatment": made_up.layout("no norm", [3.0] * 5)})
    switches = switches.model_copy(update={"switches": {"final_norm": with_norm}})
    found = evaluate.claims(made_up.variants(), made_up.text(relu=[2.0] * 5, geglu=[1.9] * 5), switches)
    assert found.final_norm.treatment == [3.0] * 5 and found.final_norm.baseline == [1.0] * 5
    assert found.bias_loss is None and found.bias_time is None


def judged(study, identifier, folder, **parts):
    """The verdict on a claim of a study, of made up results."""
    book = ledger.load(house.REPOSITORY / f"studies/{study}/claims.yaml", study)
    (claim,) = (claim for claim in book.claims if claim.id == identifier)
    write_json(folder / "glu.json", parts)
    (judgement,) = verdicts.judge([claim], folder)
    return judgement.verdict


@pytest.mark.parametrize(
    ("offsets", "verdict"),
    [
        # Places 6, 7, 8 and 5, 4, 1, 2, 3 of the paper.
        ((6, 7, 8, 5, 4, 1, 2, 3), verdicts.REDUCED_SCALE),
        ((7, 6, 8, 5, 3, 2, 1, 4), verdicts.INCONCLUSIVE),  # gates first, three pairs exchanged: by chance as well
        ((8, 7, 6, 1, 2, 5, 4, 3), verdicts.CONTRADICTED),
    ],
)
@pytest.mark.parametrize(("identifier", "task"), [("C22", "coarse"), ("C47", "fine"), ("C50", "text")])
def test_an_order_counts_beyond_what_gates_explain(offsets, verdict, identifier, task, tmp_path):
    places = dict(zip(("relu", "gelu", "swish", "glu", "bilinear", "geglu", "swiglu", "reglu"), offsets, strict=True))
    found = evaluate.of_blocks({block: [place + 0.1 * seed for seed in range(5)] for block, place in places.items()})
    assert judged("glu", identifier, tmp_path, claims={"tasks": {task: found.plain()}}) == verdict


def test_trouble_is_averaged_over_placements_and_rates():
    run = made_up.switches().placements["preln"]["0.1"]
    one = run.model_copy(update={"spikes": [2, 0], "lost": [True, False]})
    other = run.model_copy(update={"spikes": [4, 1], "lost": [True, True]})
    calm = run.model_copy(update={"spikes": [0, 0], "lost": [False, False]})
    placements = {"preln": {"1": one, "2": calm}, "postln": {"1": other, "2": calm}}
    assert evaluate.trouble(placements, ("preln", "postln")) == [2.0, 0.5]


def test_sides_are_told_by_the_rule_of_verdicts():
    near = np.array([0.9, 1.0, 1.1, 1.0, 1.0])
    assert evaluate.sides({"above": near, "below": -near, "both": near - 1}) == {"above": 1, "below": -1, "both": 0}
    assert evaluate.sides({"a few seeds": near[:4] / 1e3}) == {"a few seeds": 0}
    p = ttest_1samp(near - 0.85, 0).pvalue
    assert 0.0028 < p < 0.05 and evaluate.sides({"skewed, perhaps": near - 0.85}) == {"skewed, perhaps": 0}
    assert evaluate.sides({}) == {}


@pytest.mark.parametrize(
    ("rise", "expected", "verdict"),
    [
        ([0.10, 0.12, 0.10, 0.12, 0.11], "higher", "agrees"),
        ([0.10, 0.12, 0.10, 0.12, 0.11], "lower", "contradicts"),
        ([0.10, 0.12, 0.10, 0.12, 0.11], "equal", "contradicts"),
        ([0.1, -0.2, 0.1, -0.2, 0.1], "higher", "inconclusive"),
        ([0.1, -0.2, 0.1, -0.2, 0.1], "equal", "inconclusive"),
        ([0.001, 0.002, 0.001, 0.002, 0.001], "higher", "contradicts"),
        ([0.001, 0.002, 0.001, 0.002, 0.001], "equal", "agrees"),
    ],
)
def test_a_table_says_of_a_finding_what_a_verdict_says(rise, expected, verdict, tmp_path):
    switches = made_up.switches(rise, expected)
    assert evaluate.judged(switches)["bias"].verdict == verdict
    if expected == "higher":
        switches = switches.model_copy(
            update={"switches": dict.fromkeys(("bias", "final_norm"), switches.switches["bias"])}
        )
        text = made_up.text(relu=[2.0] * 5, geglu=[1.9] * 5)
        claims = evaluate.claims(made_up.variants(), text, switches).plain()
        words = {verdicts.REDUCED_SCALE: "agrees", verdicts.CONTRADICTED: "contradicts"}
        for identifier in ("C26", "C52"):
            found = judged("dalle_mini", identifier, tmp_path, claims=claims)
            assert words.get(found, found) == verdict


def test_blocks_are_told_apart_on_captions():
    near = [2.0, 2.1, 2.2, 2.3, 2.4]
    text = made_up.text(relu=near, geglu=[value - 0.1 for value in (2.0, 2.1, 2.21, 2.3, 2.4)], glu=near[::-1])
    found = evaluate.compared_text(text)
    assert found.told_apart == ["geglu"] and found.blocks["geglu"].difference.value == pytest.approx(-0.098)


def test_results_become_rows():
    found = made_up.results()
    rows = tables.variant_rows(found)
    assert [row["block"] for row in rows] == [*BLOCKS, "relu", "geglu"] and rows[-1]["task"] == "text"
    assert rows[6]["Δ short"].value == pytest.approx(-0.05) and rows[0]["Δ long"] is None
    assert rows[1]["short"] is None and rows[1]["Δ long"].value == pytest.approx(0.02)
    assert rows[6]["paper Δ long"].value == rows[-1]["paper Δ long"].value == pytest.approx(-0.044)
    assert rows[-1]["long"].value == pytest.approx(1.9)
    (row,) = tables.switch_rows(found.switches)
    assert row["Δ"].value == pytest.approx(0.11) and row["compared"] == "bias true against default"
    rows = tables.placement_rows(found.switches)
    assert rows[0]["spikes"] == 9 and rows[0]["lost runs"] == "0 of 5" and rows[0]["final loss"].value == 1.0
    assert [row["peak rate"] for row in tables.search_rows(found.search)] == ["0.001", "0.004 (chosen)"] * 2
    rows = tables.cost_rows(found.cost)
    assert rows[2]["step"].value == 1250 and rows[1]["step"] is None and rows[1]["parameters"] == 10


def test_tables_say_how_many_seeds_and_repetitions_stand_behind_them():
    found = {name: options["n"] for name, _, options in tables.all_tables(made_up.results())}
    assert found["glu_variants"] == {"paired seeds, coarse": 5, "paired seeds, text": 5}
    assert found["glu_search"] == {"paired seeds": 2} and found["glu_switches"] == {"paired seeds": 5}
    assert found["glu_cost"] == {"repetitions": 5} and found["glu_placements"] == found["glu_switches"]


def test_cost_is_compared_block_by_block():
    cost = made_up.cost()
    assert evaluate.gains(cost)["own"].drawing.values == pytest.approx([-20] * 5)
    found = evaluate.memory(cost)
    assert found.ratios == {"own": {"reglu / relu": 9 / 8}}
    assert (found.rise.value, found.rise.low, found.rise.high) == (9 / 8, 9 / 8, 9 / 8)
    other = evaluate.memory(made_up.cost(gelu=(None, 18))).rise
    assert (other.value, other.low, other.high) == ((9 / 8 + 1 / 2) / 2, 1 / 2, 9 / 8)
    assert evaluate.memory(made_up.cost(reglu=(None, 8))).rise.high == 1
    alone = made_up.cost().sizes["own"]
    alone = alone.model_copy(update={"blocks": {name: alone.blocks[name] for name in ("relu", "geglu")}})
    assert evaluate.memory(made_up.cost().model_copy(update={"sizes": {"own": alone}})).rise is None


@pytest.mark.parametrize(
    ("bytes_", "verdict"),
    [
        ({"relu": 1000, "reglu": 1011, "gelu": 1000, "geglu": 1200}, verdicts.REDUCED_SCALE),
        ({"relu": 1000, "reglu": 1009, "gelu": 1000, "geglu": 1200}, verdicts.INCONCLUSIVE),
        ({"relu": 1000, "reglu": 1009, "gelu": 1000, "geglu": 900}, verdicts.CONTRADICTED),
    ],
)
def test_less_than_a_hundredth_more_memory_counts_as_none(bytes_, verdict, tmp_path):
    memory = evaluate.memory(made_up.cost(**{block: (1.0, needed) for block, needed in bytes_.items()}))
    assert judged("glu", "C25", tmp_path, cost={"memory": memory.plain()}) == verdict
