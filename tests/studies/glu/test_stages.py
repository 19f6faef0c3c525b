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
from studies.glu.code.search import power
from studies.glu.code.settings import (
    GluCostParams,
    GluSearchParams,
    GluSetting,
    GluTextParams,
    GluVariantsParams,
    ReportSwitchesParams,
    changed,
)
from studies.glu.code.tasks import SpanTask
from studies.glu.code.text_training import span_network
from studies.glu.code.train_switches import described, final, layout_of, unigram_nats
from studies.glu.code.train_variants import thinned
from studies.glu.code.training import recipe_of
from tests import house
from tests.studies.glu import made_up
from tests.studies.glu.made_up import SETTING

VARIANTS = {
    "variants": tuple(BLOCKS),
    "seeds": 6,
    "steps": {"short": 10, "long": 40},
    "setting": SETTING,
    "pictures": 10,
    "curve_points": 2,
    "curve_pictures": 5,
}
SEARCH = {"base": SETTING, "seeds": 3, "steps": 5, "pictures": 2, "trials": {"base": {}}}


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


def test_power_weighs_the_effect_by_noise_and_time():
    found = power([1.0, 2.0, 3.0], [0.8, 1.9, 2.9], minutes=4.0)
    assert found["effect"] == pytest.approx(-0.4 / 3) and found["seed_noise"] == 1.0
    assert found["noise"] == pytest.approx(np.std([-0.2, -0.1, -0.1], ddof=1))
    assert found["ratio"] == pytest.approx(0.4 / 3 / found["noise"])
    assert found["ratio_per_root_minute"] == pytest.approx(found["ratio"] / 2)


def test_learning_curves_are_means_over_stretches():
    losses = np.array([[1.0, 5.0], [3.0, 7.0], [5.0, 9.0], [7.0, 11.0]])
    assert thinned(losses, points=2) == {"step": [2, 4], "nats": [[2.0, 6.0], [6.0, 10.0]]}
    assert thinned(losses, points=60)["step"] == [1, 2, 3, 4]


def test_recipes_differ_in_their_length_alone():
    short, long = recipe_of(SETTING, 100), recipe_of(SETTING, 400)
    assert dataclasses.replace(short, steps=400) == long and short.batch_size == 16


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
        (GluVariantsParams, VARIANTS, {"variants": ("relu", "geglu", "tanh")}, "variants must be some of relu"),
        (GluVariantsParams, VARIANTS, {"variants": ("relu", "swiglu")}, "must hold relu and geglu"),
        (GluVariantsParams, VARIANTS, {"steps": {"short": 10, "long": 10}}, "steps must be fewer for short"),
        (GluVariantsParams, VARIANTS, {"steps": {"short": 10}}, "must name short and long"),
        (GluSearchParams, SEARCH, {"seeds": 1}, "seeds is 1, must be at least 2"),
        (
            GluSearchParams,
            SEARCH,
            {"trials": {"wide": {"widht": 9}}},
            r"unknown key 'trials\.wide\.widht'; did you mean 'width'",
        ),
        (
            GluTextParams,
            dict(seeds=2, steps=3, learning_rate=0.1, length=9, masked=0.2, span=3.0, stretches=4),
            {"masked": 1.0},
            "masked",
        ),
        (GluCostParams, dict(sizes={}, repetitions=5, step_seconds=1.0, drawn=2), {"repetitions": 4}, "at least 5"),
        (
            ReportSwitchesParams,
            dict(
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
    good = {key: SETTING if key == "setting" else value for key, value in good.items()}
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
    tree = config_tree.plain(SETTING) | {"learning_rate": 1}
    assert config_tree.read(tree, GluSetting, "p.yaml", "glu_variants.setting").learning_rate == 1.0
    with pytest.raises(EaselError, match=r"unknown key 'glu_variants.setting.widht'; did you mean 'width'"):
        config_tree.read(tree | {"widht": 3}, GluSetting, "p.yaml", "glu_variants.setting")


def test_results_of_the_laptop_profile_are_read_and_written_as_they_are(tmp_path):
    committed = house.REPOSITORY / "results/laptop/glu.json"
    reports.Results.read(committed).write(tmp_path / "glu.json")
    assert (tmp_path / "glu.json").read_text() == committed.read_text()


def test_what_was_not_measured_has_no_key():
    found = made_up.results().plain()
    assert "difference" not in found["variants"]["long"]["blocks"]["relu"]
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
    variants, switches = made_up.variants(), made_up.switches()
    found = evaluate.claims(variants, switches)
    assert np.subtract(found.geglu.treatment, found.geglu.baseline) == pytest.approx([-0.05] * 5)
    assert len(found.rank_correlation.values) == 5 and min(found.rank_correlation.values) > 0.8
    assert found.ungated.values == pytest.approx([0.02] * 5)
    assert found.placements.baseline == [3, 1, 2, 1, 2] and found.placements.treatment == [0] * 5
    assert found.bias_time.treatment == pytest.approx([110] * 9)
    few = evaluate.claims({block: variants[block] for block in ("relu", "geglu")}, switches)
    assert few.geglu == found.geglu and few.rank_correlation is None and few.ungated is None
    assert evaluate.parameters(variants).paper_distinct == [4_718_592]
    assert evaluate.parameters(variants).spread == 0
    # 0.5 nats for a factor of 4; ReLU ends 0.05 above GEGLU.
    assert evaluate.steps_saved(variants).values == pytest.approx([100 * (1 - 4 ** (-0.05 / 0.5))] * 5)


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
        book = ledger.load(house.REPOSITORY / "studies/dalle_mini/claims.yaml", "dalle_mini")
        (claim,) = (claim for claim in book.claims if claim.id == "C26")
        claims = evaluate.claims(made_up.variants(), switches)
        write_json(tmp_path / "glu.json", {"claims": claims.plain()})
        (judgement,) = verdicts.judge([claim], tmp_path)
        words = {verdicts.REDUCED_SCALE: "agrees", verdicts.CONTRADICTED: "contradicts"}
        assert words.get(judgement.verdict, judgement.verdict) == verdict


def test_blocks_are_told_apart_on_captions():
    near = [2.0, 2.1, 2.2, 2.3, 2.4]
    text = made_up.text(relu=near, geglu=[value - 0.1 for value in (2.0, 2.1, 2.21, 2.3, 2.4)], glu=near[::-1])
    found = evaluate.compared_text(text)
    assert found.told_apart == ["geglu"] and found.blocks["geglu"].difference.value == pytest.approx(-0.098)


def test_results_become_rows():
    found = made_up.results()
    rows = tables.variant_rows(found.variants)
    assert [row["block"] for row in rows] == list(BLOCKS)
    assert rows[6]["Δ short"].value == pytest.approx(-0.05) and rows[0]["Δ long"] is None
    assert rows[6]["paper Δ long"].value == pytest.approx(-0.044)
    (row,) = tables.switch_rows(found.switches)
    assert row["Δ"].value == pytest.approx(0.11) and row["compared"] == "bias true against default"
    rows = tables.placement_rows(found.switches)
    assert rows[0]["spikes"] == 9 and rows[0]["lost runs"] == "0 of 5" and rows[0]["final loss"].value == 1.0
    assert [row["weights"] for row in tables.search_rows(found.search)] == ["averaged", "last"]
    assert tables.cost_rows(found.cost)[2]["step"].value == 1250


def test_cost_is_compared_block_by_block():
    cost = made_up.cost()
    assert evaluate.gains(cost)["own"].drawing.values == pytest.approx([-20] * 5)
    assert evaluate.memory(cost).plain() == {"ratios": {"own": {"reglu / relu": 9 / 8}}, "always_rises": True}
    assert evaluate.memory(made_up.cost(gelu=(1.0, 9))).always_rises is False  # geglu needs just as much


def test_the_chosen_trial_is_the_one_with_the_settings_values():
    trials = {"base": {}, "longer": {"steps": 90}, "deep": {"decoder_layers": 5}, "deep_longer": {"decoder_layers": 5}}
    search = GluSearchParams(**(SEARCH | {"trials": trials}))
    for changes, names in (
        ({}, ["base", "longer"]),
        ({"decoder_layers": 5}, ["deep", "deep_longer"]),
        ({"width": 32}, []),
    ):
        variants = SimpleNamespace(setting=config_tree.replace(SETTING, **changes))
        assert evaluate.chosen(SimpleNamespace(glu_search=search, glu_variants=variants)) == names
