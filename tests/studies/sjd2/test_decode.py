"""Stage sjd2/decode on networks of a few weights."""

import json
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from lib import config_tree
from lib.data import store
from lib.errors import EaselError
from lib.models import autoregressive, drafters, vqgan
from lib.models.autoregressive import Autoregressive, nats, with_levels
from lib.models.autoregressive_copies import tempered
from lib.models.drafters import Eagle, Medusa
from lib.models.vqgan import VQGAN
from lib.painter.autoregressive import Sampler
from lib.pipeline import parts
from lib.text import MINIMUM, TextTokenizer
from lib.weights.torch_state import generator
from studies.sjd2.code import decode, drawing
from studies.sjd2.code.choice import CHOICE, Choice, Chosen
from studies.sjd2.code.material import DRAFTERS, MODELS, ON_DRAFTS, PARTS, TUNED
from studies.sjd2.code.reports import DecodedGroup
from studies.sjd2.code.settings import DecodingGroupParams, DecodingParams
from tests.models.tiny_autoregressive import NETWORK, shaken

CAPTIONS = ["a red square", "a blue star", "two green rings", "a red ring", "a blue square"]
RUNS = {
    "autoregressive": ("small", "autoregressive", {}, 0),
    "untuned": ("model:small", "autoregressive", {}, 0),
    "drafted": ("drafts:long", "autoregressive", {}, 0),
    "jacobi": ("small", "jacobi", {"window": 4, "trace_slots": 3}, 0),
    "shared": ("small", "jacobi", {"window": 4, "noise": "shared", "initial": "above"}, 0),
    "sjd": ("small", "sjd", {"window": 4}, 0),
    "sjdpp": ("small", "sjdpp", {"window": 4, "threshold": 0.5}, 0),
    "sjd2": ("small", "sjd2", {"window": 4}, 3),
    "sjd2_match": ("small", "sjd2", {"window": 4, "test": "match", "coupling": "gumbel", "keep": math.inf}, 3),
    "sjd2_added": ("added", "sjd2", {"window": 4, "accept": "any"}, 2),
    "zipar": ("small", "zipar", {"ahead": 1}, 0),
    "lantern": ("model:small", "lantern", {"near": 2, "budget": 0.3}, 0),
    "eagle": ("model:small", "eagle", {"drafts": 2}, 0),
    "medusa": ("model:small", "medusa", {}, 0),
}
FEW = ("autoregressive", "sjd2")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Everything that the stage reads, in an empty folder."""
    path = tmp_path_factory.mktemp("decode")
    images = {64: np.zeros((5, 64, 64, 3), np.uint8), 128: np.zeros((2, 128, 128, 3), np.uint8)}
    data = path / PARTS / "one/data"
    for split in ("val", "test"):
        store.write_split(data, split, images, [{"zh": ["一"], "en": [caption]} for caption in CAPTIONS])
    store.write_meta(data, "webdataset", ["zh", "en"], has_truth=False)
    prompts = [
        {"id": f"p{n}", "category": f"c{n % 2}", "en": f"{n} stars", "zh": "星", "require": None} for n in range(6)
    ]
    store.write_prompts(data, prompts)
    (path / "build/text").mkdir(parents=True)
    TextTokenizer.train(CAPTIONS, MINIMUM).save(path / "build/text/tokenizer.json")
    for number in range(2):
        model = shaken(Autoregressive(NETWORK, generator(number)))
        autoregressive.save(model, path / MODELS / f"small/{number}")
        for name, levels in (("small", "token"), ("added", "added")):
            tuned = shaken(with_levels(model, levels))
            tuned.take_statistics()
            autoregressive.save(tuned, path / TUNED / f"{name}/{number}")
        autoregressive.save(shaken(with_levels(model, "none")), path / ON_DRAFTS / f"long/{number}")
    autoregressive.save(shaken(Autoregressive(NETWORK, generator(9))), path / MODELS / "judge/0")
    drafters.save(shaken(Eagle(NETWORK, generator(0))), path / DRAFTERS / "eagle")
    drafters.save(shaken(Medusa(NETWORK, 2)), path / DRAFTERS / "medusa")
    tokenizer = VQGAN(8, 6, 4, 0.9, 4, generator(0))
    tokenizer.quantizer.codebook.copy_(torch.randn(6, 4, generator=generator(0)))
    vqgan.save(tokenizer, path / "build/tokenizer/coarse")
    taken = Chosen(decoder="sjd2", options={"window": 4, "keep": "inf"}, steps=3, tried=[])
    Choice(captions=2, margin=0.1, decoders={"best": {"small": taken}}).write(path / CHOICE)
    return path


@pytest.fixture
def workplace(folder, tmp_path, monkeypatch):
    """There, with parts and results of its own."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(decode, "DECODED", tmp_path / "decoded")
    monkeypatch.setattr(parts, "PARTS", tmp_path / "parts")
    return tmp_path


def section(runs=FEW, units=2, **changes):
    """Section `decoding` with one group, some of whose runs may be given in full."""
    chosen = runs if isinstance(runs, dict) else {name: RUNS[name] for name in runs}
    keys = ("network", "decoder", "options", "steps", "sampling", "each")
    entries = {
        name: run if isinstance(run, dict) else dict(zip(keys, run, strict=False)) for name, run in chosen.items()
    }
    group = {"over": "seeds", "units": units, "prompts": 1, "captions": 2, "batch_size": 4, "runs": entries} | changes
    tree = {"guidance": 2.0, "temperature": 1.0, "top_k": 0, "groups": {"g": group}}
    return config_tree.read(tree, DecodingParams, "params.yaml", "decoding")


def params(*arguments, **changes):
    variants = {name: SimpleNamespace(model="small", spacing="karras") for name in ("small", "added", "lost")}
    model = SimpleNamespace(pictures=64, width=16, part="one", tokenizer="coarse")
    return SimpleNamespace(
        decoding=section(*arguments, **changes),
        sjd2=SimpleNamespace(variants=variants),
        autoregressive=SimpleNamespace(models={"small": model}, judge="judge", languages=("en",)),
        text=SimpleNamespace(length=8),
        base=lambda network: "small",
        judged=lambda model: True,
        seed_of=lambda name, number: 3 + number,
    )


def decoded(*arguments, **changes):
    """runs.json and the tokens of every run."""
    decode.run(params(*arguments, **changes))
    out = decode.DECODED / "g"
    report = json.loads((out / "runs.json").read_text(), parse_constant=pytest.fail)
    assert DecodedGroup.read(out / "runs.json").plain() == report  # as stage evaluate reads it
    return report, {name: np.load(out / f"{name}.npy") for name in report["runs"]}


def test_every_decoder_runs_and_is_described(workplace):
    report, tokens = decoded(RUNS)
    assert set(tokens) == set(RUNS) == {path.stem for path in (workplace / "decoded/g").glob("*.npy")}
    assert [row["id"] for row in report["rows"]] == ["p0", "p1", "test-000000", "test-000001"]
    assert report["rows"][1:3] == [
        {"id": "p1", "kind": "prompt", "picture": None, "text": "1 stars"},
        {"id": "test-000000", "kind": "caption", "picture": 0, "text": "a red square"},
    ]
    sizes = {
        key: report[key] for key in ("over", "units", "length", "rows_of_tokens", "columns", "batch_size", "threads")
    }
    assert sizes == {
        "over": "seeds",
        "units": 2,
        "length": 6,
        "rows_of_tokens": 2,
        "columns": 3,
        "batch_size": 4,
        "threads": 1,
    }
    for name, (network, decoder, _, steps) in RUNS.items():
        run, passes = report["runs"][name], np.array(report["runs"][name]["passes"])
        assert (run["network"], run["decoder"], run["steps"]) == (network, decoder, steps)
        assert run["sampling"] == {"guidance": 2.0, "temperature": 1.0, "top_k": 0}
        assert tokens[name].dtype == np.uint16 and tokens[name].shape == (2, 4, 2, 3) and tokens[name].max() < 6
        for kind in ("nats", "entropy", "judged"):
            assert passes.shape == np.shape(run[kind]) == (2, 4) and np.min(run[kind]) > 0
        assert [sum(unit) for unit in run["accepted"]] == passes.sum(axis=1).tolist()
        assert [np.dot(unit, range(len(unit))) for unit in run["accepted"]] == [4 * 6] * 2
        assert "seconds" not in run  # nobody asked for them
        assert ("trace" in run) == (name == "jacobi")
    trace = report["runs"]["jacobi"]["trace"]
    assert len(trace["a_token"]) == 2 and min(trace["a_token"]) > 0
    assert np.shape(trace["looked_at"]) == (2, 3) and [seed[0] for seed in trace["changes"]] == [None, None]
    assert report["runs"]["sjd2_match"]["options"]["keep"] == "inf"
    # Two copies, one layer, keys and values of two heads of 8 numbers, 4 bytes each, for caption, slots and one more.
    assert report["runs"]["autoregressive"]["cache_bytes"] == 2 * 2 * 16 * 4 * (8 + 7)
    assert report["runs"]["eagle"]["cache_bytes"] == 2 * 2 * 16 * 4 * (8 + 7 + 7)
    assert report["runs"]["sjd2"]["cache_bytes"] == 2 * 2 * 16 * 4 * (3 + 8 + 7)


def test_runs_share_their_random_numbers(workplace):
    _, tokens = decoded(("autoregressive", "untuned", "shared", "sjd2_match"))
    np.testing.assert_array_equal(tokens["shared"], tokens["autoregressive"])
    np.testing.assert_array_equal(tokens["sjd2_match"], tokens["autoregressive"])
    assert (tokens["untuned"] != tokens["autoregressive"]).any() and (tokens["shared"][0] != tokens["shared"][1]).any()


def test_a_picture_does_not_depend_on_what_is_drawn_beside_it(workplace):
    names = ("autoregressive", "sjd", "sjd2", "eagle")
    whole, together = decoded(names, batch_size=4)
    alone_report, alone = decoded(names, batch_size=1)
    few_report, few = decoded(names, batch_size=3, prompts=0, captions=1, units=1)
    for name in names:
        np.testing.assert_array_equal(together[name], alone[name])
        np.testing.assert_array_equal(together[name][0, 2:3], few[name][0])  # row test-000000 of the first seed
        assert whole["runs"][name]["passes"] == alone_report["runs"][name]["passes"]
        assert whole["runs"][name]["flops_per_token"] == alone_report["runs"][name]["flops_per_token"]
    assert [row["id"] for row in few_report["rows"]] == ["test-000000"]


def test_operations_equal_a_hand_count(workplace):
    report, _ = decoded(FEW)
    output = 2 * 16 * 6

    def block(columns):  # four projections, scores and weighted sums, three matrices
        return 2 * (4 * 16 * 16 + 2 * columns * 16 + 3 * 16 * 24)

    ours = report["runs"]["autoregressive"]
    prefix, columns = 8, 8 + 7  # the caption; slots and one past the end
    assert ours["flops_per_token"] == pytest.approx(
        2 * (prefix * block(columns) + 6 * (block(columns) + output)) / 6, rel=1e-12
    )
    theirs = report["runs"]["sjd2"]
    prefix, columns = 3 + 8, 3 + 8 + 7  # three level tokens besides
    window = 4 * (block(columns) + output)
    expected = 2 * (prefix * block(columns) + np.mean(theirs["passes"]) * window) / 6
    assert theirs["flops_per_token"] == pytest.approx(expected, rel=1e-12)


def test_nats_are_those_of_the_own_network_without_guidance(workplace):
    report, tokens = decoded(("untuned",))
    text = TextTokenizer.load("build/text/tokenizer.json")
    ids = text.encode(["0 stars", "1 stars", *CAPTIONS[:2]], 8)
    drawn = tokens["untuned"][1].reshape(4, 6)
    for kind, folder in (("nats", MODELS / "small/0"), ("judged", MODELS / "judge/0")):
        expected = nats(autoregressive.load(folder), ids, drawn).mean(axis=1)
        np.testing.assert_allclose(report["runs"]["untuned"][kind][1], expected, rtol=1e-5)


def test_entropy_is_that_of_the_tempered_network(workplace):
    report, tokens = decoded({"hot": ("small", "autoregressive", {}, 0, {"temperature": 2, "guidance": 1})})
    ids = TextTokenizer.load("build/text/tokenizer.json").encode(["0 stars", "1 stars", *CAPTIONS[:2]], 8)
    model = autoregressive.load(TUNED / "small/0")
    expected = nats(tempered(model, 2.0), ids, tokens["hot"][0].reshape(4, 6)).mean(axis=1)
    np.testing.assert_allclose(report["runs"]["hot"]["entropy"][0], expected, rtol=1e-5)


def test_units_are_seeds_of_one_training_or_trainings(workplace):
    _, seeds = decoded(FEW)
    _, trainings = decoded(FEW, over="trainings")
    for name in FEW:
        np.testing.assert_array_equal(trainings[name][0], seeds[name][0])
        assert (trainings[name][1] != seeds[name][1]).any()


def test_a_run_takes_what_was_chosen_for_its_network_or_for_the_first(workplace):
    decoded({"best": {"chosen": "best", "network": "added", "options": {"accept": "any"}}})
    found = DecodedGroup.read(decode.DECODED / "g/runs.json").runs["best"]
    assert (found.decoder, found.chosen, found.steps) == ("sjd2", "best", 3)
    assert found.options == {"window": 4, "keep": "inf", "accept": "any"}


def test_sampling_of_a_run_goes_before_that_of_the_section(workplace):
    runs = {
        "greedy": ("small", "autoregressive", {}, 0, {"temperature": 0}),
        "drafted": ("drafts:long", "autoregressive", {}, 0),
        "jacobi": ("small", "jacobi", {"window": 4}, 0, {"temperature": 0, "guidance": 2}),
        "unguided": ("small", "autoregressive", {}, 0, {"guidance": 1, "top_k": 2}),
    }
    report, tokens = decoded(runs)
    np.testing.assert_array_equal(tokens["greedy"], tokens["jacobi"])
    np.testing.assert_array_equal(tokens["greedy"][0], tokens["greedy"][1])
    assert report["runs"]["unguided"]["sampling"] == {"guidance": 1.0, "temperature": 1.0, "top_k": 2.0}
    assert report["runs"]["unguided"]["cache_bytes"] == report["runs"]["greedy"]["cache_bytes"] / 2


def test_a_timed_group_says_how_long_its_runs_take_and_never_takes_them_from_an_earlier_run(workplace, monkeypatch):
    report, _ = decoded(FEW, timed=True)
    for run in report["runs"].values():
        assert len(run["seconds"]) == len(run["network_seconds"]) == 2
        assert all(0 < inside < whole for inside, whole in zip(run["network_seconds"], run["seconds"], strict=True))
    assert report["machine"]["cpu"]
    calls, real = [], drawing.Sampler.__call__
    monkeypatch.setattr(drawing.Sampler, "__call__", lambda *given: calls.append(len(given[1])) or real(*given))
    decoded(FEW, timed=True)
    assert sorted(calls) == [1] * 4 + [4] * 4  # the first call of each is not measured


def test_an_interrupted_stage_goes_on_with_what_is_not_finished(workplace, monkeypatch):
    _, expected = decoded(FEW)
    calls, real = [], Sampler.__call__

    def counted(self, text_ids, seeds, *others):
        calls.append((self.decoder, seeds[0]))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(self, text_ids, seeds, *others)

    monkeypatch.setattr(Sampler, "__call__", counted)
    monkeypatch.setattr(parts, "PARTS", workplace / "others")
    with pytest.raises(KeyboardInterrupt):
        decoded(FEW)
    _, tokens = decoded(FEW)
    assert len(calls) == 5 and len(set(calls)) == 4 and calls[2] == calls[3]
    for name in FEW:
        np.testing.assert_array_equal(tokens[name], expected[name])
    assert len(list((workplace / "others/sjd2/decode").glob("*.safetensors"))) == 4


def test_what_a_change_does_not_touch_is_not_drawn_again(workplace, monkeypatch):
    decoded(("autoregressive", "sjd", "zipar"))
    calls, real = [], Sampler.__call__
    monkeypatch.setattr(Sampler, "__call__", lambda self, *given: calls.append(self.decoder) or real(self, *given))
    decoded({"zipar": ("small", "zipar", {"ahead": 2}, 0), "sjd": RUNS["sjd"], "again": RUNS["autoregressive"]})
    assert calls == ["zipar", "zipar"]


@pytest.mark.parametrize(
    ("runs", "changes", "message"),
    [
        (
            {"a": ("lost", "sjd", {}, 0)},
            {},
            r"runs\.a: build/sjd2/tuned/lost/0/model\.safetensors does not exist",
        ),
        (
            {"a": ("model:los", "sjd", {}, 0)},
            {},
            r"runs\.a: build/sjd2/models/los/0/model\.safetensors does not exist",
        ),
        (
            {"a": ("small", "sjd", {"widow": 3}, 0)},
            {},
            r"unknown key 'decoding\.groups\.g\.runs\.a\.options\.widow'; did you mean 'window'",
        ),
        ({"a": ("small", "zipar", {"ahead": 4}, 0)}, {}, r"runs\.a: a row can be 1 … 3 tokens ahead"),
        (FEW, {"captions": 6}, r"groups\.g: captions is 6, but split test has 5 pictures of 64×64"),
    ],
)
def test_what_cannot_run_is_refused_before_anything_is_decoded(workplace, runs, changes, message, monkeypatch):
    monkeypatch.setattr(Sampler, "__call__", lambda *_: pytest.fail("decoded"))
    with pytest.raises(EaselError, match=message):
        decoded(runs, **changes)


def test_each_tries_all_values_with_each_other():
    tree = {
        "decoder": "sjd2",
        "options": {"keep": 1.0},
        "each": {"window": [2, 4], "steps": [3], "network": ["b", "c"]},
    }
    runs = {"many": tree, "other": {"decoder": "sjd", "options": {"window": 1}}}
    group = {"over": "seeds", "units": 2, "prompts": 1, "captions": 0, "batch_size": 4, "network": "a", "runs": runs}
    found = config_tree.read(group, DecodingGroupParams, "params.yaml", "decoding.groups.g").single
    assert list(found) == ["many_2_3_b", "many_2_3_c", "many_4_3_b", "many_4_3_c", "other"]
    one, other = found["many_4_3_b"], found["other"]
    assert (one.network, one.decoder, one.steps, one.each) == ("b", "sjd2", 3, {})
    assert one.options == {"keep": 1.0, "window": 4}
    assert (other.network, other.options, other.steps) == ("a", {"window": 1}, 0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"units": 0}, r"groups\.g\.units is 0, must be at least 1"),
        ({"batch_size": 0}, r"groups\.g\.batch_size is 0, must be at least 1"),
        ({"prompts": 0, "captions": 0}, r"groups\.g\.prompts or captions must be above 0"),
        ({"runs": {}}, r"groups\.g\.runs must name at least one run"),
        ({"runs": {"a": ("small", "sjd3", {}, 0)}}, "is 'sjd3', must be one of autoregressive, jacobi"),
        ({"runs": {"a": ("small", "sjd2", {}, 0)}}, r"runs\.a\.steps must be above 0"),
        ({"runs": {"a": ("small", "sjd", {}, 3)}}, r"runs\.a\.steps must be 0: decoder sjd denoises nothing"),
        ({"runs": {"a": ("model:small", "sjd2", {}, 3)}}, r"runs\.a\.network must be tuned"),
        ({"runs": {"a/b": ("small", "sjd", {}, 0)}}, r"runs\.a/b names a file"),
        ({"runs": {"a": ("", "sjd", {}, 0)}}, r"runs\.a\.network must be named, here or for the whole group"),
        (
            {"runs": {"a": ("small", "sjd", {}, 0, {}, {"window": []})}},
            r"groups\.g\.runs must try at least one value of each",
        ),
        (
            {"runs": {"a": ("small", "sjd", {}, 0, {}, {"window": [4]}), "a_4": ("small", "sjd", {}, 0)}},
            r"groups\.g\.runs must differ in names, values of each included",
        ),
        (
            {"runs": {"a": ("small", "sjd", {}, 0, {}, {"network": ["small", ""]})}},
            r"runs\.a_\.network must be named",
        ),
        (
            {"runs": {"a": ("small", "sjd", {}, 0, {"top_p": 1})}},
            r"unknown key 'decoding\.groups\.g\.runs\.a\.sampling\.top_p'",
        ),
        (
            {"runs": {"a": ("small", "sjd", {}, 0, {"top_k": 1.5})}},
            r"runs\.a\.sampling\.top_k is 1\.5 \(float\), must be int",
        ),
        (
            {"runs": {"a": ("small", "sjd", {}, 0, {"guidance": -1})}},
            r"runs\.a\.sampling\.guidance is -1, must be at least 0",
        ),
    ],
)
def test_the_section_is_checked(changes, message):
    with pytest.raises(EaselError, match=message):
        section(**changes)
