"""Stage evaluate on made-up tokens and networks of a few weights."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from lib.data import store
from lib.evidence import ledger, verdicts
from lib.evidence.strips import read_strip
from lib.metrics import panel
from lib.models import clip, reader, vqgan
from lib.models.clip import Clip, ClipConfig
from lib.models.reader import Reader, ReaderConfig
from lib.models.vqgan import VQGAN
from lib.scenes.vocabulary import BACKGROUNDS
from lib.text import MINIMUM, TextTokenizer
from studies.sjd2.code import claims, evaluate, tables
from studies.sjd2.code.answers import answers
from studies.sjd2.code.reports import Results, Surface
from studies.sjd2.code.text import NAMES

SEEDS, SIDE, CODES = 5, 4, 6  # 4 × 4 tokens of 16 pixels
LENGTH = SIDE * SIDE
CATEGORIES = ("single_object", "counting")
ROWS = [
    {"id": f"{category}-{n}", "kind": "prompt", "picture": None, "text": "a star"}
    for category in CATEGORIES
    for n in range(2)
] + [
    {"id": f"test-{n:06d}", "kind": "caption", "picture": n, "text": text}
    for n, text in enumerate(("a red square", "a blue star", "two green rings"))
]


def entry(decoder, passes, nats=1.0, network="small", steps=0, seconds=1.0, flops=100.0, temperature=1.0, **options):
    """A run as runs.json describes it; every row of seed s takes passes + s passes."""
    by_seed = [[passes + seed] * len(ROWS) for seed in range(SEEDS)]
    total = sum(map(sum, by_seed))
    return {
        "network": network,
        "decoder": decoder,
        "options": options,
        "steps": steps,
        "sampling": {"guidance": 2.0, "temperature": temperature, "top_k": 0},
        "passes": by_seed,
        "accepted": [0, total // 2, total - total // 2],
        "seconds": [seconds * (1 + 0.01 * seed) for seed in range(SEEDS)],
        "network_seconds": [0.8 * seconds * (1 + 0.01 * seed) for seed in range(SEEDS)],
        "flops_per_token": flops,
        "cache_bytes": 1000,
        "nats": [[nats + 0.001 * seed] * len(ROWS) for seed in range(SEEDS)],
    }


def traced(run, changes):
    """The run with changes of its window's slots, of which every pass fixes the first."""
    later = [changes / 2] * (run["options"]["window"] - 2)
    trace = {"changes": [[None, changes + 0.01 * seed, *later] for seed in range(SEEDS)]}
    trace["looked_at"] = [[1] * run["options"]["window"]] * SEEDS
    trace["a_token"] = [10 * changes + seed for seed in range(SEEDS)]
    return run | {"trace": trace}


def decoders(network):
    """Runs that all networks share."""
    return {
        "ar": entry("autoregressive", LENGTH - 2, network=network, seconds=4.0, flops=10.0),
        "jacobi_32": entry("jacobi", 13, network=network, window=32),
        "jacobi_shared": entry("jacobi", 5, network=network, window=96, noise="shared", initial="above"),
        "sjd_64": entry("sjd", 8, network=network, window=64, initial="uniform"),
        "sjd2_5": entry("sjd2", 4, nats=1.01, network=network, steps=5, seconds=2.0, window=96),
    }


GROUPS = {
    "decoders": decoders("small")
    | {
        "greedy": entry("autoregressive", LENGTH, temperature=0),
        "jacobi_greedy": entry("jacobi", 6, temperature=0, window=32),
        "sjd_16": entry("sjd", 10, window=16),
        "sjdpp_01": entry("sjdpp", 7, nats=0.8, window=16, threshold=0.1),
        "sjdpp_keep": entry("sjdpp", 5, window=96, threshold=0.5),
        "sjd2_lossless": entry("sjd2", 5, steps=5, window=96, keep="inf"),
        "sjd2_25": entry("sjd2", 34, steps=25, window=96),
        "denoised": entry("sjd2", 28, nats=3.0, steps=25, window=96, accept="denoised"),
        **{f"zipar_{ahead}": entry("zipar", 5 + ahead, nats=2 - 0.1 * ahead, ahead=ahead) for ahead in (2, 3, 4)},
    },
    "large": decoders("large")
    | {
        "ar_drafts": entry("autoregressive", LENGTH, network="drafts:large"),
        "shared_drafts": entry("jacobi", 3, network="drafts:large", window=96, noise="shared", initial="above"),
    },
    "untuned": {
        "ar": entry("autoregressive", LENGTH, network="model:small"),
        "jacobi_shared": entry("jacobi", 7, network="model:small", window=96, noise="shared", initial="above"),
        "sjd_64": entry("sjd", 9, network="model:small", window=64, initial="uniform"),
    },
    "surface": {
        f"s_{window}_{steps}": entry("sjd2", 4 + steps, steps=steps, window=window, seconds=1 + steps)
        for window in (32, 96)
        for steps in (5, 20)
    },
    "windows": {f"w_{window}": entry("sjd", 16 - window // 8, window=window) for window in (1, 16, 64)},
    "initial": {kind: entry("sjd", 9, window=16, initial=kind) for kind in ("one_hot", "left", "above")},
    "embeddings": {
        f"{network}_alone": entry("sjd2", 3, nats=nats, network=network, steps=20, accept="denoised")
        for network, nats in (("small", 3.0), ("plain_002", 4.0), ("standard_002", 2.0))
    },
    "levels": {
        network: entry("sjd2", passes, network=network, steps=5, window=96)
        for network, passes in (("small", 4), ("untold", 6))
    },
    "stability": {
        "sjd": traced(entry("sjd", 8, window=96, trace_slots=96), 0.8),
        "sjd2": traced(entry("sjd2", 4, steps=5, window=96, trace_slots=96), 0.3),
    },
}


def write_group(folder, name, runs):
    """Tokens and runs.json of a group; shared noise gives the tokens of autoregressive decoding."""
    out = folder / "build/decoded" / name
    out.mkdir(parents=True)
    for number, (run, about) in enumerate(runs.items()):
        random = np.random.default_rng(0 if about["options"].get("noise") == "shared" else number)
        tokens = random.integers(0, CODES, (SEEDS, len(ROWS), SIDE, SIDE), dtype=np.uint16)
        np.save(out / f"{run}.npy", tokens)
    about = {"rows": ROWS, "seeds": SEEDS, "length": LENGTH, "rows_of_tokens": SIDE, "columns": SIDE}
    about |= {"batch_size": 7, "machine": {"name": "made up"}, "threads": 1, "runs": runs}
    (out / "runs.json").write_text(json.dumps(about))


def value_between(value):
    return {"value": value, "low": 1.0, "high": 2.0}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Everything that the stage reads, in an empty folder."""
    path = tmp_path_factory.mktemp("evaluate")
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (3, 64, 64, 3), dtype=np.uint8)
    captions = ["a red square", "a blue star", "two green rings"]
    store.write_split(path / "data", "test", {64: images}, [{"en": [text]} for text in captions])
    store.write_meta(path / "data", "scenes", ["en"], has_truth=True)
    asked = {"objects": [{"shape": "star", "colour": None, "count": 1}], "relation": None}
    prompts = [
        {"id": row["id"], "category": row["id"].split("-")[0], "en": "a star", "zh": "星", "require": asked}
        for row in ROWS
        if row["kind"] == "prompt"
    ]
    store.write_prompts(path / "data", prompts)
    (path / "build/text").mkdir(parents=True)
    TextTokenizer.train(captions, MINIMUM).save(path / "build/text/tokenizer.json")
    weights = torch.Generator().manual_seed(0)
    tokenizer = VQGAN(8, CODES, 4, 0.9, 16, weights)
    tokenizer.quantizer.codebook.copy_(torch.randn(CODES, 4, generator=weights))
    vqgan.save(tokenizer, path / "build/tokenizer/fine")
    clip.save(Clip(ClipConfig(MINIMUM, 8, 4, 8, 8, 1, 2), weights), path / "build/clip")
    reader.save(Reader(ReaderConfig(4), weights), path / "build/reader")
    for name, runs in GROUPS.items():
        write_group(path, name, runs)
    for name, tuned in (("sjd2/small", 1.02), ("sjd2/large", 1.03), ("sjd2/untold", 1.5), ("draft_tuned/large", 1.04)):
        losses = {
            split: {"untuned": value_between(1.0), "tuned": value_between(tuned + more)}
            for split, more in (("val", 0.01), ("test", 0.0))
        }
        rise = {
            split: {"value": tuned + more - 1, "low": 0.0, "high": 0.04} for split, more in (("val", 0.01), ("test", 0))
        }
        report = {"nats_per_token": losses, "rise": rise}
        if name.startswith("sjd2"):
            report |= {"nats_per_level": [1.0, float("nan"), 3.0], "table_deviation": 0.7}
        store_metrics(path / "build" / name, report)
    store_metrics(
        path / "build/drafters/eagle", {"parameters": 9, "overlap": [value_between(0.5)], "history": [1, 2, 3]}
    )
    cases = {"SJD, first drafts uniform": 0.4, "SJD2, clean slots, no keep rule, ratio": 0.3}
    cases["SJD2, clean slots, keep rule 0.5"] = 1e-9
    exact = {
        name: {"lossless": p > 0.1, "total_variation": 0.02, "by_chance": {"mean": 0.01, "most": 0.03}, "p": p}
        | {"pictures": 9, "tokens_a_pass": 1.0, "same_in_batches_of": {"1": 1.0, "4": 1.0}}
        for name, p in cases.items()
    }
    (path / "build/exactness.json").write_text(json.dumps({"pictures": 10, "again": 2, "codes": 3, "cases": exact}))
    by_training = value_between(1.1) | {"by_seed": [1.1] * SEEDS}
    text = {"parameters": 9, "updates": 3, "length": 8, "rows": 2, "nats": by_training, "sample": "a red star"}
    (path / "build/compare_text.json").write_text(json.dumps(text | {"compression": dict.fromkeys(NAMES, by_training)}))
    return path


def store_metrics(folder, report):
    folder.mkdir(parents=True)
    (folder / "metrics.json").write_text(json.dumps(report))


def params(path, *groups):
    training = SimpleNamespace(steps=10)
    variant = SimpleNamespace(model="small", levels="token", standardize=True, table_deviation=0.0, spacing="karras")
    variant.clean_share, variant.training = 0.5, SimpleNamespace(steps=1)
    on_drafts = SimpleNamespace(model="small", drafted=0.4, passes=2, training=SimpleNamespace(steps=3))
    return SimpleNamespace(
        seed=0,
        results=path / "results/test",
        decoding=SimpleNamespace(names=groups or tuple(GROUPS)),
        evaluation=SimpleNamespace(bootstrap=2, clip="", inception=""),
        tokenizer=SimpleNamespace(fine=SimpleNamespace(codes=CODES)),
        autoregressive=SimpleNamespace(models={"small": SimpleNamespace(training=training)}),
        sjd2=SimpleNamespace(variants=dict.fromkeys(("small", "large", "untold", "wide"), variant)),
        draft_tuning=SimpleNamespace(variants=dict.fromkeys(("large", "long"), on_drafts)),
    )


def seen(network, images):
    """A reader that sees one star in bright pictures, and backgrounds by turns."""
    bright = images.mean(axis=(1, 2, 3)) > 127
    star = {"shape": "star", "colour": "red", "x": 1, "y": 1}
    kinds = [BACKGROUNDS[number % len(BACKGROUNDS)] for number in range(len(images))]
    return [{"objects": [star] * int(one), "background": kind} for one, kind in zip(bright, kinds, strict=True)]


def evaluated(path, *groups, **changes):
    """Runs the stage there; the report, and the parameters."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(path)
        patch.setattr("lib.models.reader.read", seen)
        for name, value in changes.items():
            patch.setattr(panel, name, value)
        one = params(path, *groups)
        evaluate.run(one)
        json.loads((one.results / "sjd2.json").read_text(), parse_constant=pytest.fail)
        return Results.read(one.results / "sjd2.json"), one


@pytest.fixture(scope="module")
def everything(folder):
    return evaluated(folder)


def test_all_groups_become_numbers_tables_pictures_and_claims(everything):
    report, one = everything
    runs = report.groups["decoders"].runs
    best = runs["sjd2_5"]
    assert best.fid is None  # too few captions
    assert best.compression.by_seed == pytest.approx([LENGTH / (4 + seed) for seed in range(SEEDS)])
    assert best.options["keep"] == 0.5 and best.given == {"window": 96}  # the decoder's own defaults
    assert best.accepted.single == pytest.approx(0.5, abs=0.01)
    assert best.overhead.value == pytest.approx(0.2)
    assert best.against.run == "ar" and best.against.flops == 10
    assert best.against.latency.by_seed == pytest.approx([2.0] * SEEDS)
    assert best.against.nats.value == pytest.approx(0.01) and best.against.identical < 1
    assert runs["jacobi_shared"].against.identical == 1 and "against" not in runs["ar"].plain()
    assert runs["jacobi_greedy"].against.run == "greedy"
    assert set(best.exact.categories) == set(CATEGORIES) and len(best.exact.by_seed) == SEEDS
    assert best.exact.value == pytest.approx(np.mean(best.exact.by_seed))
    assert len(best.clip_score.by_seed) == SEEDS
    assert report.groups["windows"].runs["w_16"].clip_score is None  # an ablation
    assert report.groups["decoders"].rows == {"prompt": 4, "caption": 3}

    small = report.networks["small"]
    assert small.rise.value == pytest.approx(0.02) and small.nats_per_level == [1.0, None, 3.0]
    assert small.updates_share == 0.1 and "wide" not in report.networks
    assert report.draft_tuned["large"].rise.value == pytest.approx(0.04)
    assert report.draft_tuned["large"].updates_share == 0.3 and "long" not in report.draft_tuned
    assert report.drafters["eagle"].plain() == {"parameters": 9, "overlap": [value_between(0.5)]}
    assert list(report.drafters) == ["eagle"] and report.models == {}
    assert len(report.surface.cells) == 4 and set(report.surface.fastest) == {"s_32_5", "s_96_5"}
    assert set(report.initial.compression) == {"one_hot", "left", "above"}
    assert sum(report.initial.pictures["left"].values()) == SEEDS * len(ROWS)
    assert report.most_overhead["decoders"].value == pytest.approx(0.2)
    large, small, untuned = (report.control[network] for network in ("large", "small", "model:small"))
    assert untuned.compression["shared"] == report.groups["untuned"].runs["jacobi_shared"].compression
    assert untuned.left_over_sjd is None and untuned.left_over_autoregressive is None
    assert large.same["shared"] == 1 and "wide" not in report.control and "sjd2_lossless" not in large.shared_over
    assert large.shared_over["sjd2"].by_seed[0] == pytest.approx(5 / 4)
    assert small.shared_over["sjd2_lossless"].by_seed[0] == pytest.approx(5 / 5)
    assert large.left_over_sjd.by_seed[0] == pytest.approx((5 - 4) / (8 - 4))
    assert report.most_overhead["batches"].value == pytest.approx(0.2)
    # Without the first 25 passes, in which no slot is clean yet.
    settled = runs["denoised"].settled_compression.by_seed
    assert settled == pytest.approx([LENGTH / (3 + seed) for seed in range(SEEDS)])
    assert runs["sjd2_lossless"].table_bytes == 4 * CODES * 3 * LENGTH
    stable = report.groups["stability"].runs["sjd"].changes
    assert stable.slots == [1, 2, 3, 4] and len(stable.by_seed) == SEEDS

    written = {name: rows for name, rows, _ in tables.all_tables(report)}
    assert all(written.values())
    assert [row["network"] for row in written["sjd2_draft_tuning"]] == ["small", "drafts:large", "large"]
    assert "window 96, 5 steps" in {row["options"] for row in written["sjd2_quality"] if row["decoder"] == "sjd2"}
    shown = json.loads((one.results / "sjd2_pictures/texts.json").read_text())["decoders_small_sjd2"]
    assert shown["run"] == "sjd2_5" and shown["texts"][-2:] == ["a blue star", "two green rings"]
    strip = read_strip(one.results / "sjd2_pictures/decoders_small_sjd2.png")
    assert strip.shape == (6, 64, 64, 3)


def test_claims_can_be_judged(everything):
    report, one = everything
    found = report.claims
    assert set(found) >= {"several_times", "order", "shared_small", "shared_large", "quality", "stability", "zipar"}
    assert found["order"].values[0] == pytest.approx(min(LENGTH / 4 - LENGTH / 8, LENGTH / 8 - LENGTH / 13))
    assert found["zipar"].values == pytest.approx([1.0] * SEEDS)  # fewer passes, less likely pictures
    assert found["clean_loss"].value == pytest.approx(0.03) and found["sjd_lossless"].lossless is True
    assert found["sjd2_published"].lossy is True
    assert all(found["short_tuning"].conditions.values()) and "shared_wide" not in found
    assert set(found) >= {"shared_lossless_small", "keep_alone_small", "likelihood_small", "likelihood_large"}
    assert "keep_alone_large" not in found
    drafts = found["drafts_large"]  # on their own network either
    assert drafts.baseline == found["shared_large"].treatment and "drafts_small" not in found
    assert drafts.treatment == pytest.approx([LENGTH / (3 + seed) for seed in range(SEEDS)])
    assert found["drafts_clean_loss"].value == pytest.approx(0.04)
    source = ledger.Source("p", "x", "paper")
    for key, kind, more in (
        ("shared_small", "direction", {"better": "higher"}),  # passes that differ much, on purpose
        ("several_times", "threshold", {"better": "higher", "threshold": 0.1}),
        ("sjd_lossless.lossless", "exact", {"equals": True}),
        ("clean_loss", "interval", {"better": "lower", "threshold": 0.05}),
    ):
        metric = ledger.Metric("sjd2.json", f"claims.{key}", kind, **more)
        claim = ledger.Claim("C0", source, "s", None, None, "t", "reduced", "sjd2", metric)
        (judged,) = verdicts.judge([claim], one.results)
        expected = verdicts.INCONCLUSIVE if key == "shared_small" else verdicts.REDUCED_SCALE
        assert judged.verdict == expected, judged.sentence


@pytest.mark.parametrize(("right", "compared"), [(0.25, True), (0.1, False)])
def test_accuracy_is_compared_only_where_enough_is_drawn_right(everything, right, compared):
    group = everything[0].groups["decoders"]
    exact = group.runs["ar"].exact.model_copy(update={"value": right})
    runs = group.runs | {"ar": group.runs["ar"].model_copy(update={"exact": exact})}
    found = claims.quality({"decoders": group.model_copy(update={"runs": runs})})
    assert ("quality" in found) == compared


def test_questions_have_answers_with_numbers(everything):
    report, _ = everything
    found = dict(answers(report))
    assert len(found) == len(answers(report)) >= 8 and all(found.values())
    (losslessness,) = (answer for question, answer in found.items() if "lossless with respect" in question)
    assert "p = 1e-09" in losslessness and "least p = 0.3" in losslessness
    (follows,) = (answer for question, answer in found.items() if "window over steps" in question)
    assert "at L/T = 1.6" in follows and "at L/T = 19" in follows
    nothing = {"groups": {}, "networks": {}, "surface": Surface(cells=[]), "claims": {}}
    assert answers(report.model_copy(update=nothing)) == []


def test_what_a_profile_leaves_out_is_left_out(folder):
    report, one = evaluated(folder, "large", "never_decoded")
    plain = report.plain()
    assert list(report.groups) == ["large"] and plain["initial"] == {} and plain["surface"] == {"cells": []}
    assert "several_times" not in report.claims and "shared_large" in report.claims
    written = {name: rows for name, rows, _ in tables.all_tables(report)}
    assert not written["sjd2_surface"] and written["sjd2_quality"]
    kept = json.loads((one.results / "sjd2_pictures/texts.json").read_text())
    assert set(kept) == {"large_large_autoregressive", "large_large_sjd2"}


def test_pictures_of_a_row_stand_together_one_a_seed(folder):
    painter = vqgan.load(folder / "build/tokenizer/fine")
    tokens = np.random.default_rng(0).integers(0, CODES, (2, 3, SIDE, SIDE), dtype=np.uint16)  # seeds, rows
    alone = vqgan.decode_batches(painter, tokens.reshape(6, SIDE, SIDE))
    drawn = evaluate.pictures(painter, tokens)
    assert drawn.shape == (3, 2, 64, 64, 3)
    np.testing.assert_array_equal(drawn[2, 1], alone[5])
    np.testing.assert_array_equal(drawn[0, 1], alone[3])


def test_enough_captions_have_distances(folder):
    report, _ = evaluated(folder, "large", FEWEST=3)
    assert all(run.fid.value > 0 and run.kid for run in report.groups["large"].runs.values())


def test_real_pictures_have_no_scene_accuracy(folder):
    report, one = evaluated(folder, "large", "initial", READER=folder / "none")
    assert all("exact" not in run.plain() for run in report.groups["large"].runs.values())
    assert "quality" not in report.claims and report.plain()["initial"] == {}
    assert "sjd2_categories" not in {path.stem for path in (one.results / "sjd2").glob("*.md")}
