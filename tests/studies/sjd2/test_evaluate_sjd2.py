"""Stage evaluate on made-up tokens and networks of a few weights; test_sjd2_plan.py has what all groups become."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from lib.data import store
from lib.evidence.strips import read_strip
from lib.metrics import panel
from lib.models import autoregressive, clip, reader, vqgan
from lib.models.autoregressive import Autoregressive, AutoregressiveConfig
from lib.models.clip import Clip, ClipConfig
from lib.models.reader import Reader, ReaderConfig
from lib.models.vqgan import VQGAN
from lib.scenes.vocabulary import BACKGROUNDS
from lib.text import MINIMUM, TextTokenizer
from studies.sjd2.code import claims, evaluate, tables
from studies.sjd2.code.choice import CHOICE, Choice
from studies.sjd2.code.material import DECODED, DRAFTERS, MODELS, ON_DRAFTS, PARTS, TUNED
from studies.sjd2.code.reports import Results
from studies.sjd2.code.text import NAMES
from tests.models.tiny_autoregressive import shaken

UNITS, SIDE, CODES = 5, 4, 6  # 4 × 4 tokens of 16 pixels
LENGTH = SIDE * SIDE
CATEGORIES = ("single_object", "counting")
CAPTIONS = ("a red square", "a blue star", "two green rings")
ROWS = [
    {"id": f"{category}-{n}", "kind": "prompt", "picture": None, "text": "a star"}
    for category in CATEGORIES
    for n in range(2)
] + [{"id": f"test-{n:06d}", "kind": "caption", "picture": n, "text": text} for n, text in enumerate(CAPTIONS)]


def entry(decoder, passes, judged=1.0, network="small", steps=0, seconds=1.0, flops=100.0, temperature=1.0, **options):
    """A run as runs.json describes it; every row of unit u takes passes + u passes."""
    by_unit = [[passes + unit] * len(ROWS) for unit in range(UNITS)]
    likelihood = [[judged + 0.001 * unit] * len(ROWS) for unit in range(UNITS)]
    return {
        "network": network,
        "decoder": decoder,
        "chosen": "",
        "options": options,
        "steps": steps,
        "sampling": {"guidance": 1.0, "temperature": temperature, "top_k": 0},
        "passes": by_unit,
        "accepted": [[0, sum(unit) // 2, sum(unit) - sum(unit) // 2] for unit in by_unit],
        "seconds": [seconds * (1 + 0.01 * unit) for unit in range(UNITS)],
        "network_seconds": [0.8 * seconds * (1 + 0.01 * unit) for unit in range(UNITS)],
        "flops_per_token": flops,
        "cache_bytes": 1000,
        "nats": likelihood,
        "judged": likelihood,
    }


GROUPS = {
    "quality": {
        "autoregressive": entry("autoregressive", LENGTH - 2, seconds=4.0, flops=10.0),
        "shared": entry("jacobi", 5, window=96, noise="shared", initial="above"),
        "sjd": entry("sjd", 8, window=64, initial="uniform"),
        "sjd_authors": entry("sjd", 10, window=16),
        "sjd2": entry("sjd2", 4, judged=1.01, steps=5, seconds=2.0, window=96),
        "sjd2_lossless": entry("sjd2", 5, steps=5, window=96, keep="inf"),
        "shared_drafts": entry("jacobi", 3, network="drafts:small", window=96, noise="shared"),
    },
    "decoders": {
        "autoregressive": entry("autoregressive", LENGTH),
        "autoregressive_greedy": entry("autoregressive", LENGTH, temperature=0),
        "jacobi_greedy": entry("jacobi", 6, temperature=0, window=32),
        "denoised_authors": entry("sjd2", 28, judged=3.0, steps=25, window=96, accept="denoised"),
        "sjd2": entry("sjd2", 4, steps=5, window=96),
    },
    "initial": {
        f"sjd_{kind}": entry("sjd", 9, window=16, initial=kind, network="model:small")
        for kind in ("one_hot", "left", "above")
    },
}


def value_between(value):
    return {"value": value, "low": 1.0, "high": 2.0}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Everything that the stage reads, in an empty folder."""
    path = tmp_path_factory.mktemp("evaluate")
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (3, 64, 64, 3), dtype=np.uint8)
    tokens = path / PARTS / "one/tokens/coarse"
    tokens.mkdir(parents=True)
    np.save(tokens / "test_64.npy", random.integers(0, CODES, (3, SIDE, SIDE)).astype(np.uint16))
    asked = {"objects": [{"shape": "star", "colour": None, "count": 1}], "relation": None}
    prompts = [
        {"id": row["id"], "category": row["id"].split("-")[0], "en": "a star", "zh": "星", "require": asked}
        for row in ROWS
        if row["kind"] == "prompt"
    ]
    for data in (path / "data", path / PARTS / "one/data"):
        store.write_split(data, "test", {64: images}, [{"en": [text]} for text in CAPTIONS])
        store.write_meta(data, "scenes", ["en"], has_truth=True)
        store.write_prompts(data, prompts)
    (path / "build/text").mkdir(parents=True)
    text = TextTokenizer.train(CAPTIONS, MINIMUM)
    text.save(path / "build/text/tokenizer.json")
    weights = torch.Generator().manual_seed(0)
    tokenizer = VQGAN(8, CODES, 4, 0.9, 16, weights)
    tokenizer.quantizer.codebook.copy_(torch.randn(CODES, 4, generator=weights))
    vqgan.save(tokenizer, path / "build/tokenizer/coarse")
    clip.save(Clip(ClipConfig(MINIMUM, 8, 4, 8, 8, 1, 2), weights), path / "build/clip")
    reader.save(Reader(ReaderConfig(4), weights), path / "build/reader")
    sizes = {"text_vocabulary": text.vocabulary, "text_length": 8, "text_padding": text.pad_id, "codes": CODES}
    sizes |= {"rows": SIDE, "columns": SIDE, "width": 8, "layers": 1, "heads": 1, "feed_forward": 8}
    judge = shaken(Autoregressive(AutoregressiveConfig(**sizes), torch.Generator()))
    autoregressive.save(judge, path / MODELS / "judge/0")
    for name, runs in GROUPS.items():
        write_group(path, name, runs)
    Choice(captions=2, margin=0.1, decoders={}).write(path / CHOICE)
    loss = {"nats_per_token": value_between(1.0), "caption_gain": value_between(0.5)}
    for name, trainings in (("small", 2), ("judge", 1)):
        for number in range(trainings):
            store_metrics(path / MODELS / name / str(number), {"parameters": 9, "pictures": 7, "test": loss})
    for where, name in ((TUNED, "small"), (ON_DRAFTS, "small")):
        for number in range(2):
            tuned = {split: {"untuned": value_between(1.0), "tuned": value_between(1.1)} for split in ("val", "test")}
            rise = {split: value_between(0.1 + number) for split in ("val", "test")}
            report = {"nats_per_token": tuned, "rise": rise}
            if where == TUNED:
                report |= {"nats_per_level": [1.0, float("nan"), 3.0 + number], "table_deviation": 0.7}
            store_metrics(path / where / name / str(number), report)
    for name in ("eagle", "medusa"):
        store_metrics(path / DRAFTERS / name, {"parameters": 9, "overlap": [value_between(0.5)], "history": [1]})
    case = {"lossless": True, "total_variation": 0.02, "by_chance": {"mean": 0.01, "most": 0.03}, "p": 0.4}
    case |= {"pictures": 9, "tokens_a_pass": 1.0, "same_in_batches_of": {"1": 1.0, "4": 1.0}}
    exact = {"pictures": 10, "again": 2, "codes": 3, "cases": {"SJD, first drafts uniform": case}}
    (path / "build/exactness.json").write_text(json.dumps(exact))
    by_training = value_between(1.1) | {"by_seed": [1.1] * UNITS}
    text = {"parameters": 9, "updates": 3, "length": 8, "rows": 2, "nats": by_training, "sample": "a red star"}
    (path / "build/compare_text.json").write_text(json.dumps(text | {"compression": dict.fromkeys(NAMES, by_training)}))
    return path


def write_group(path, name, runs):
    """Tokens and runs.json of a group; shared noise gives the tokens of autoregressive decoding."""
    out = path / DECODED / name
    out.mkdir(parents=True)
    for number, (run, about) in enumerate(runs.items()):
        random = np.random.default_rng(0 if about["options"].get("noise") == "shared" else number)
        np.save(out / f"{run}.npy", random.integers(0, CODES, (UNITS, len(ROWS), SIDE, SIDE), dtype=np.uint16))
    over = "trainings" if name == "quality" else "seeds"
    about = {"rows": ROWS, "over": over, "units": UNITS, "length": LENGTH, "rows_of_tokens": SIDE, "columns": SIDE}
    about |= {"batch_size": 7, "machine": {"name": "made up"}, "threads": 1, "runs": runs}
    (out / "runs.json").write_text(json.dumps(about))


def store_metrics(folder, report):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "metrics.json").write_text(json.dumps(report))


def params(path, *groups):
    training = SimpleNamespace(steps=10, pictures=64)
    variant = SimpleNamespace(model="small", levels="token", standardize=True, table_deviation=0.0, spacing="karras")
    variant.clean_share, variant.training = 0.5, SimpleNamespace(steps=1)
    on_drafts = SimpleNamespace(model="small", drafted=0.4, passes=2, training=SimpleNamespace(steps=3))
    models = {
        name: SimpleNamespace(part="one", tokenizer="coarse", pictures=64, seeds=seeds, trainings=[training])
        for name, seeds in (("small", 2), ("judge", 1))
    }
    words = {"part": "one", "tokenizer": "coarse", "languages": ["en"], "text_length": 8}
    return SimpleNamespace(
        seed=0,
        results=path / "results/test",
        decoding=SimpleNamespace(groups=groups or tuple(GROUPS)),
        evaluation=SimpleNamespace(bootstrap=2, clip="", inception=""),
        tokenizer=SimpleNamespace(coarse=SimpleNamespace(codes=CODES)),
        autoregressive=SimpleNamespace(models=models, judge="judge"),
        sjd2=SimpleNamespace(variants={"small": variant}),
        draft_tuning=SimpleNamespace(variants={"small": on_drafts}),
        base=lambda network: "small",
        words=lambda model: words,
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


def test_runs_become_numbers_and_are_compared(everything):
    report, _ = everything
    runs, few = report.groups["quality"].runs, report.groups["decoders"].runs
    best = runs["sjd2"]
    assert best.compression.by_seed == pytest.approx([LENGTH / (4 + unit) for unit in range(UNITS)])
    assert best.options["keep"] == 0.5 and best.given == {"window": 96}  # the decoder's own defaults
    assert best.accepted.single == pytest.approx(0.5, abs=0.01)
    assert best.single.value == pytest.approx(0.5, abs=0.02) and len(best.single.by_seed) == UNITS
    assert best.overhead.value == pytest.approx(0.2)
    assert best.against.run == "autoregressive" and best.against.flops == 10
    assert best.against.latency.by_seed == pytest.approx([2.0] * UNITS)
    assert best.against.judged.value == pytest.approx(0.01) and best.against.identical < 1
    assert runs["shared"].against.identical == 1 and "against" not in runs["autoregressive"].plain()
    assert few["jacobi_greedy"].against.run == "autoregressive_greedy"
    assert set(best.exact.categories) == {*CATEGORIES, evaluate.CAPTIONS} and len(best.exact.by_seed) == UNITS
    assert best.fid is None and len(best.clip_score.by_seed) == UNITS  # too few captions
    assert few["sjd2"].clip_score is None
    # Without the first 25 passes, in which no slot is clean yet.
    settled = few["denoised_authors"].settled_compression.by_seed
    assert settled == pytest.approx([LENGTH / (3 + unit) for unit in range(UNITS)])
    assert runs["sjd2_lossless"].table_bytes == 4 * CODES * 3 * LENGTH
    assert report.random_codes > 0


def test_trainings_have_intervals_over_them_and_one_alone_over_pictures(everything):
    report, _ = everything
    small = report.networks["small"]
    assert small.rise.by_seed == [0.1, 1.1] and small.nats_per_level == [1.0, None, 3.5]
    assert small.after_noise.by_seed == [3.0, 4.0] and small.updates_share == 0.1
    assert report.draft_tuned["small"].updates_share == 0.3
    assert report.models["small"].caption_gain.by_seed == [0.5, 0.5]
    assert report.models["judge"].caption_gain.plain() == value_between(0.5)
    assert report.drafters["eagle"].plain() == {"parameters": 9, "overlap": [value_between(0.5)]}


def test_runs_are_compared_over_groups(everything):
    report, one = everything
    small, drafts = report.control["small"], report.control.get("drafts:small")
    assert small.same["shared"] == 1 and drafts is None  # not decoded token by token here
    assert small.shared_over["sjd2"].by_seed[0] == pytest.approx(5 / 4)
    assert small.left_over_sjd.by_seed[0] == pytest.approx((5 - 4) / (8 - 4))
    assert report.most_overhead["quality"].value == pytest.approx(0.2)
    assert set(report.initial.compression) == {"one_hot", "left", "above"}
    assert sum(report.initial.pictures["left"].values()) == UNITS * len(ROWS)
    found = report.claims
    assert found["shared_small"].seeds_are == claims.SEEDS["trainings"]
    assert found["drafts_small"].treatment == pytest.approx([LENGTH / (3 + unit) for unit in range(UNITS)])
    assert found["clean_loss"].values == [0.1, 1.1] and found["text"].values == pytest.approx(
        [0.1 / (LENGTH / (10 + unit) - 1) for unit in range(UNITS)]
    )
    assert report.equality["quality"].pairs == UNITS
    shown = json.loads((one.results / "sjd2_pictures/texts.json").read_text())["decoders_small_sjd2"]
    assert shown["run"] == "sjd2" and shown["texts"][-2:] == ["a blue star", "two green rings"]
    assert read_strip(one.results / "sjd2_pictures/decoders_small_sjd2.png").shape == (6, 64, 64, 3)


@pytest.mark.parametrize(("right", "compared"), [(0.25, True), (0.1, False)])
def test_accuracy_is_compared_only_where_enough_is_drawn_right(everything, right, compared):
    group = everything[0].groups["quality"]
    exact = group.runs["autoregressive"].exact.model_copy(update={"value": right})
    runs = group.runs | {"autoregressive": group.runs["autoregressive"].model_copy(update={"exact": exact})}
    found = claims.quality({"quality": group.model_copy(update={"runs": runs})})
    assert ("quality" in found) == compared


def test_what_a_profile_leaves_out_is_left_out(folder):
    report, _ = evaluated(folder, "decoders")
    assert list(report.groups) == ["decoders"] and report.plain()["initial"] == {}
    assert report.surface.cells == [] and "shared_small" not in report.claims
    written = {name: rows for name, rows, _ in tables.all_tables(report)}
    assert not written["sjd2_surface"] and not written["sjd2_quality"] and written["sjd2_accelerators"]


def test_enough_captions_have_distances(folder):
    report, _ = evaluated(folder, "quality", FEWEST=3)
    assert all(run.fid.value > 0 and run.kid for run in report.groups["quality"].runs.values())


def test_real_pictures_have_no_scene_accuracy(folder):
    report, _ = evaluated(folder, "quality", "initial", READER=folder / "none")
    assert all("exact" not in run.plain() for run in report.groups["quality"].runs.values())
    assert "quality" not in report.claims and report.plain()["initial"] == {}


def test_pictures_of_a_row_stand_together_one_a_unit(folder):
    easel = SimpleNamespace(painter=vqgan.load(folder / "build/tokenizer/coarse"))
    tokens = np.random.default_rng(0).integers(0, CODES, (2, 3, SIDE, SIDE), dtype=np.uint16)  # units, rows
    alone = vqgan.decode_batches(easel.painter, tokens.reshape(6, SIDE, SIDE))
    drawn = evaluate.Easel.pictures(easel, tokens)
    assert drawn.shape == (3, 2, 64, 64, 3)
    np.testing.assert_array_equal(drawn[2, 1], alone[5])
    np.testing.assert_array_equal(drawn[0, 1], alone[3])
