"""All stages of the study, one after the other, on pictures and networks of a few weights."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch

from lib import config, config_tree
from lib.data import store
from lib.models import clip, vqgan
from lib.models.muse import Muse, MuseSuperResolution
from lib.models.parti import Parti
from lib.models.unet import UNet
from lib.pipeline import parts
from lib.text import MINIMUM, TextTokenizer
from lib.weights.torch_state import generator
from studies.muse.code import choose, draw, evaluate, needs, tables, train, train_text, tune
from studies.muse.code.networks import Network
from studies.muse.code.reports import Drawings, Results, Settings
from studies.muse.code.settings import Params
from tests import house

CAPTIONS = ["a red square", "a blue star", "two green rings", "a red ring", "a blue square", "three hearts"]


@pytest.fixture(scope="module")
def params():
    trees = copy.deepcopy(house.trees("smoke"))
    own = trees["muse"]
    own["muse_parts"] = {"two": own["muse_parts"]["two"]}
    own["muse_search"]["grids"]["masked"] |= {"order": ["confidence", "halton", "random"]}
    steps = {"masked": [1, 8], "super_resolution": [16], "latent": [20]}
    own["muse_drawing"] |= {"captions": 2, "inpainted": 2, "steps": steps, "timed": [1]}
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
        (path / "build/tokens/coarse").mkdir(parents=True, exist_ok=True)
        tokens = np.random.default_rng(0).integers(0, 6, (6, 8, 8)).astype(np.uint16)
        np.save(path / f"build/tokens/coarse/{split}_64.npy", tokens)
        np.save(path / f"build/tokens/coarse/{split}_128.npy", tokens[:5].repeat(2, axis=1).repeat(2, axis=2))
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


def test_every_training_leaves_a_model_of_its_kind(params):
    assert isinstance(Network(Path("build/muse/models/autoregressive/0")).model, Parti)
    assert isinstance(Network(Path("build/muse/models/latent/0")).model, UNet)
    assert isinstance(Network(Path("build/muse/models/super_resolution/0")).model, MuseSuperResolution)
    first, second = (Network(Path(f"build/muse/models/masked/{seed}")).model for seed in (0, 1))
    assert isinstance(first, Muse)
    assert not torch.equal(first.image_tokens.weight, second.image_tokens.weight)


def test_settings_are_those_that_were_best_on_prompts_drawn_for_it(params):
    found = Settings.read(draw.SETTINGS).models
    assert set(found) == {"autoregressive", "masked", "super_resolution", "latent"}
    assert {trial.sampling["order"] for trial in found["masked"].trials} == {"confidence", "halton", "random"}
    assert all(one.best.exact == max(trial.exact for trial in one.trials) for one in found.values())


def test_every_way_is_drawn_with_every_training(params):
    drawings = Drawings.read(draw.OUT / "drawings.json")
    assert set(drawings.runs) == {
        *("autoregressive", "masked_1", "masked_8", "latent_20", "super_resolution_16", "constant", "ramped"),
        *(f"order_{order}" for order in ("confidence", "halton", "random")),
    }
    for name, one in drawings.runs.items():
        tokens = np.load(draw.OUT / f"{name}.npy")
        seeds = params.muse_trainings[one.training].seeds
        length = 256 if one.training == "super_resolution" else 64
        assert tokens.shape == (seeds, one.samples, len(one.prompts) + len(one.captions), length)
        assert tokens.max() < 6  # never a mask
    assert drawings.runs["autoregressive"].passes == 64
    assert (drawings.runs["masked_1"].passes, drawings.runs["masked_8"].passes) == (1, 8)
    assert drawings.runs["super_resolution_16"].passes == 8 + 16
    assert {one.batch_size for one in drawings.timings.values()} == {1}


def test_what_is_known_of_a_picture_stays(params):
    drawings = Drawings.read(draw.OUT / "drawings.json")
    for name, one in drawings.filled.items():
        tokens = np.load(draw.OUT / f"filled_{name}.npy")
        originals = np.load("build/tokens/coarse/test_64.npy")[one.pictures].reshape(len(one.pictures), -1)
        known = np.array(one.known)
        assert known.sum() == 48
        assert (tokens[:, :, known] == originals[:, known]).all()


def test_the_report_says_what_was_measured_and_tables_show_it(params, monkeypatch):
    report = Results.read(params.results / "muse.json")
    assert report.length == 64 and report.runs["masked_8"].exact is None  # nobody knows what these pictures show
    assert len(report.trainings["masked"].minutes) == 2
    assert {"rate_law", "speed_1", "diversity"} <= set(report.claims)
    rows = {name: rows for name, rows, _ in tables.all_tables(report)}
    assert len(rows["muse_models"]) == len(report.runs) and len(rows["muse_speed"]) == 5
    assert rows["muse_categories"] == []


def test_what_is_needed_of_the_data_is_listed(params):
    listed = needs.needs(params)
    assert any(getattr(need, "key", "") == "muse_drawing.captions" for need in listed)


def test_parts_are_named_apart_and_kept(params, capsys):
    train.run(params)
    assert "6 of 6 parts are there already" in capsys.readouterr().out
    assert Path("build/parts") == parts.PARTS


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("muse_trainings.masked.part", "tow", r"muse_trainings\.masked\.part is tow"),
        ("muse_trainings.masked.changes", {"descent": {"rat": "uniform"}}, r"rat"),
        ("muse_drawing.steps.masked", [65], r"muse_drawing\.steps\.masked must be at most 64"),
        ("muse_choice.parts", ["three"], r"muse_choice\.parts has three"),
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
