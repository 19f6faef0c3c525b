"""All stages of the study, one after the other, on pictures and networks of a few weights."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch

from lib import config, config_tree
from lib.data import store
from lib.decoding.noise import RowRandom
from lib.evidence.strips import read_strip
from lib.evidence.systems import drawn
from lib.generate import Painter
from lib.metrics.drawings import Settings
from lib.models import clip, vqgan
from lib.models.muse import Muse, MuseSuperResolution
from lib.models.parti import Parti
from lib.models.unet import UNet
from lib.painter import kinds
from lib.painter.autoregressive import row_seeds
from lib.painter.published import Published
from lib.pipeline import parts
from lib.text import MINIMUM, TextTokenizer
from lib.weights import checkpoint
from lib.weights.torch_state import generator, load_module
from studies.muse.code import choose, draw, evaluate, needs, paint_pictures, publish, tables, train, train_text, tune
from studies.muse.code.material import tokenised
from studies.muse.code.networks import load
from studies.muse.code.reports import Drawings, Results, Texts
from studies.muse.code.settings import DRAWING, MODELS, Params, scenes_of
from studies.muse.code.systems import systems
from tests import house

CAPTIONS = ["a red square", "a blue star", "two green rings", "a red ring", "a blue square", "three hearts"]


@pytest.fixture(scope="module")
def params():
    trees = copy.deepcopy(house.trees("smoke"))
    own = trees["muse"]
    own["muse_parts"] = {"two": own["muse_parts"]["two"]}
    own["muse_search"]["grids"]["masked"] |= {"order": ["confidence", "halton", "random"]}
    steps = {"masked": [1, 8], "super_resolution": [16], "latent": [20], "cascade": [2]}
    own["muse_search"]["steps"] |= {"pixels": 3, "cascade": 2}
    own["muse_drawing"] |= {"pictures": 4, "front": 2, "inpainted": 2, "steps": steps, "timed": [1]}
    trees[""]["tokenizer"]["coarse"] |= {"codes": 6, "leave_out": []}
    trees[""]["evaluation"]["bootstrap"] = 40
    trees[""]["text"] |= {"length": 12}
    return config.build(trees, "muse", "params.yaml")


@pytest.fixture(scope="module")
def folder(tmp_path_factory, params):
    """Everything that the stages read, in an empty folder, and all that they leave."""
    path = tmp_path_factory.mktemp("muse")
    images = np.zeros((6, 64, 64, 3), np.uint8)
    for split in ("train", "test"):
        captions = [{"en": [caption], "zh": ["一"]} for caption in CAPTIONS]
        store.write_split(path / "data", split, {64: images}, captions)
        (path / "build/muse/parts/tokens").mkdir(parents=True, exist_ok=True)
        tokens = np.random.default_rng(0).integers(0, 6, (6, 8, 8)).astype(np.uint16)
        np.save(path / f"build/muse/parts/tokens/{split}_64.npy", tokens)
        np.save(path / f"build/muse/parts/tokens/{split}_128.npy", tokens[:5].repeat(2, axis=1).repeat(2, axis=2))
    store.write_meta(path / "data", "webdataset", ["zh", "en"], has_truth=False)
    prompts = [
        {"id": f"p{n}", "category": f"c{n % 2}", "en": f"{n} stars", "zh": "星", "require": None} for n in range(6)
    ]
    store.write_prompts(path / "data", prompts)
    (path / "build/text").mkdir(parents=True)
    text = TextTokenizer.train(CAPTIONS, MINIMUM)
    text.save(path / "build/text/tokenizer.json")
    sizes = clip.ClipConfig(
        vocabulary=text.vocabulary, length=12, width=4, embedding=6, text_width=8, text_layers=1, text_heads=2
    )
    clip.save(clip.Clip(sizes, generator(0)), path / "build/clip")
    tokenizer = vqgan.VQGAN(8, 6, 4, 0.9, 8, generator(0))
    tokenizer.quantizer.codebook.copy_(torch.randn(6, 4, generator=generator(0)))
    vqgan.save(tokenizer, path / "build/tokenizer/coarse")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(path)
        for stage in (train_text, choose, train, tune, draw):
            stage.run(params)
        evaluate.run(params)
    return path


@pytest.fixture(autouse=True)
def there(folder, monkeypatch):
    monkeypatch.chdir(folder)


def network(training, seed=0):
    """A trained model's network."""
    arrays, meta = checkpoint.load_network(Path(f"build/muse/models/{training}/{seed}"))
    built = kinds.KINDS[meta["kind"]].build(meta)
    load_module(built, arrays)
    return built


def test_every_training_leaves_a_model_of_its_kind(params):
    assert isinstance(network("autoregressive"), Parti)
    for name in ("latent", "pixels", "cascade"):
        assert isinstance(network(name), UNet)
    assert isinstance(network("super_resolution"), MuseSuperResolution)
    first, second = (network("masked", seed) for seed in (0, 1))
    assert isinstance(first, Muse)
    assert not torch.equal(first.image_tokens.own, second.image_tokens.own)


def test_settings_are_those_that_were_best_on_prompts_drawn_for_it(params):
    found = Settings.read(draw.SETTINGS).models
    assert set(found) == {"autoregressive", "masked", "super_resolution", "latent", "cascade"}
    assert {trial.sampling["order"] for trial in found["masked"].trials} == {"confidence", "halton", "random"}
    assert all(one.best.exact == max(trial.exact for trial in one.trials) for one in found.values())


def test_every_way_is_drawn_with_every_training(params):
    drawings = Drawings.read(draw.OUT / "drawings.json")
    assert set(drawings.runs) == {
        *("autoregressive", "masked_1", "masked_8", "latent_20", "super_resolution_16", "cascade_2"),
        *("constant", "ramped"),
        *(f"order_{order}" for order in ("confidence", "halton", "random")),
        *(f"front_{name}_2" for name in ("autoregressive", "masked", "latent", "cascade")),
    }
    for name, one in drawings.runs.items():
        rows = np.load(draw.OUT / f"{name}.npy")
        seeds = 1 if name.startswith("front") else params.muse_trainings[one.training].seeds
        assert rows.shape[:3] == (seeds, one.samples, len(one.prompts) + len(one.captions))
        if one.training == "cascade":
            assert rows.shape[3:] == (64, 64, 3)
        else:
            assert rows.shape[3:] == (256 if one.training == "super_resolution" else 64,)
            assert rows.max() < 6  # never a mask
    assert drawings.runs["autoregressive"].passes == 64
    assert (drawings.runs["masked_1"].passes, drawings.runs["masked_8"].passes) == (1, 8)
    assert drawings.runs["super_resolution_16"].passes == 8 + 16
    assert drawings.runs["cascade_2"].passes == 3 + 2
    assert (len(drawings.runs["masked_8"].captions), len(drawings.runs["latent_20"].captions)) == (2, 4)
    assert drawings.runs["front_masked_2"].prompts == []
    assert {one.batch_size for one in drawings.timings.values()} == {1}


@pytest.fixture(scope="module")
def published(folder, params):
    """The models as the painter takes them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for model in MODELS:
            publish.run(params, model)


def test_first_trainings_are_published_with_their_settings_and_paint_what_they_draw(published, params):
    best = {name: one.best for name, one in Settings.read(publish.SETTINGS).models.items()}
    for model in ("autoregressive", "masked", "latent"):
        about = Published.read(publish.OUT / model / "painter.json")
        assert (about.sampling, about.exact) == (best[model].sampling, best[model].exact)
        painting = Painter(model=f"muse/{model}").paint(CAPTIONS[0], candidates=3, seed=5)
        tokens = painting.tokens[np.argsort(painting.order)].reshape(3, -1)
        network = load(Path(f"build/muse/models/{model}/0"), best[model].sampling)
        ids = tokenised(CAPTIONS[:1] * 3, params.text.length)
        drawn = network.draw(ids, RowRandom(row_seeds(5, range(3))), network.sampling).pictures.numpy()
        assert (tokens == drawn).mean() > 0.97  # weights are halved, and few draws are that close
    for model, side in (("super_resolution", 128), ("cascade", 64), ("pixels", 16)):
        assert Painter(model=f"muse/{model}").paint(CAPTIONS[0], candidates=1).pictures.shape == (1, side, side, 3)


def test_what_the_front_door_paints_and_edits_is_kept(published, params, monkeypatch):
    for name, prompt in zip(("PROMPT", "OTHER", "BLUE"), CAPTIONS, strict=False):  # short enough for these networks
        monkeypatch.setattr(paint_pictures, name, prompt)
    paint_pictures.run(params)
    out = params.results / "muse_painting"
    texts = Texts.read(out / "texts.json").texts
    assert set(texts) == {*DRAWING, "edited"} and len(texts["edited"]) == 3
    for model in DRAWING:
        side = 128 if model == "super_resolution" else 64
        assert read_strip(out / f"{model}.png").shape == (8, side, side, 3)
    rows = read_strip(out / "edited.png").reshape(3, 5, 64, 64, 3)
    assert (rows[:, 0] == rows[0, 0]).all()
    changed = (rows != rows[:, :1]).any(axis=4)[:, 1:]  # [3, 4, 64, 64]
    assert changed.any(axis=(2, 3)).all()
    assert not changed[0, :, :16].any() and not changed[0, :, :, 48:].any() and not changed[1, :, :, :32].any()


def test_what_is_known_of_a_picture_stays(params):
    drawings = Drawings.read(draw.OUT / "drawings.json")
    for name, one in drawings.filled.items():
        tokens = np.load(draw.OUT / f"filled_{name}.npy")
        originals = np.load("build/muse/parts/tokens/test_64.npy")[one.pictures].reshape(len(one.pictures), -1)
        known = np.array(one.known)
        assert known.sum() == 48
        assert (tokens[:, :, known] == originals[:, known]).all()


def test_the_report_says_what_was_measured_and_tables_show_it(params, monkeypatch):
    report = Results.read(params.results / "muse.json")
    assert report.length == 64 and report.runs["masked_8"].exact is None  # nobody knows what these pictures show
    assert len(report.trainings["masked"].minutes) == 2
    assert {"rate_law", "speed_1", "diversity"} <= set(report.claims)
    assert report.runs["front_cascade_2"].clip_score and not report.runs["front_cascade_2"].likelihood
    found = {one.name: one for one in systems(params, report)}
    masked, large = found["masked (Muse)"], found["masked, with super-resolution"]
    assert (masked.passes, large.passes, len(masked.minutes)) == (8, 8 + 16, 2)
    assert large.parameters == sum(report.trainings[name].parameters for name in ("masked", "super_resolution"))
    timing = report.timings["masked, 8 steps, batch 1"]
    assert masked.seconds == {1: timing.seconds} and masked.operations == timing.operations
    assert (masked.pictures, large.pictures) == tuple(
        drawn("scenes", *scenes_of(params, report.part)[:1], side, scenes_of(params, report.part)[1])
        for side in (64, 128)
    )
    judged = {name for name, one in report.runs.items() if one.likelihood}
    assert judged == {"autoregressive", "masked_8", "latent_20", "cascade_2"}
    assert all(report.runs[name].likelihood.value < 0 for name in judged) and report.real_likelihood < 0
    rows = {name: rows for name, rows, _ in tables.all_tables(report)}
    assert len(rows["muse_models"]) + len(rows["muse_front"]) == len(report.runs) and len(rows["muse_front"]) == 4
    assert len(rows["muse_speed"]) == 6 and rows["muse_equal_quality"] == []
    assert rows["muse_categories"] == []


def test_what_is_needed_of_the_data_is_listed(params):
    listed = needs.needs(params)
    assert any(getattr(need, "key", "") == "muse_drawing.pictures" for need in listed)


def test_parts_are_named_apart_and_kept(params, capsys):
    train.run(params)
    # Nine trainings, but the judge of the smoke profile is one of the autoregressive ones.
    assert "8 of 8 parts are there already" in capsys.readouterr().out
    assert Path("build/parts") == parts.PARTS


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("muse_trainings.masked.part", "tow", r"muse_trainings\.masked\.part is tow"),
        ("muse_trainings.masked.changes", {"descent": {"rat": "uniform"}}, r"rat"),
        ("muse_drawing.steps.masked", [65], r"muse_drawing\.steps\.masked must be at most 64"),
        ("muse_choice.parts", ["three"], r"muse_choice\.parts has three"),
        ("muse_models.cascade.patch", 3, r"muse_models\.cascade\.patch must divide 64"),
        ("muse_trainings.cascade.seeds", 2, r"muse_trainings\.cascade\.seeds are more than those of pixels"),
    ],
)
def test_mistakes_are_named(key, value, message):
    trees = copy.deepcopy(house.trees("smoke"))
    tree, (*path, last) = trees["muse"], key.split(".")
    for name in path:
        tree = tree[name]
    tree[last] = value
    with pytest.raises(config_tree.Refused, match=message):
        config.build(trees, "muse", "params.yaml")
    assert issubclass(config.kind("muse"), Params)
