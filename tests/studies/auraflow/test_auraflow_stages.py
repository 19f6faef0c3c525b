"""All stages of the study, one after the other, on a few drawn pictures and networks of a few weights."""

import copy
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.nn.utils import parameters_to_vector

from lib import config, config_tree
from lib.config_tree import plain
from lib.data.store import Split, read_prompts
from lib.decoding.noise import RowRandom
from lib.evidence.shown import Shown
from lib.evidence.strips import read_strip
from lib.generate import Painter
from lib.metrics.drawings import Settings
from lib.models import clip, multi_scale_vqgan, reader, text_encoder, vqgan
from lib.models.mmdit import MMDiT
from lib.models.parti import Parti
from lib.models.text_encoder import LanguageModel, TextEncoder
from lib.models.unet import UNet
from lib.models.var import Var
from lib.painter.autoregressive import row_seeds
from lib.painter.drawing import painted
from lib.painter.published import Published
from lib.scenes.asked import asked
from lib.text import TextTokenizer
from lib.weights.torch_state import generator
from studies.auraflow.code import (
    again,
    compare_schedules,
    draw,
    evaluate,
    judge,
    make_pictures,
    material,
    needs,
    paint_pictures,
    publish,
    tables,
    train,
    train_texts,
    tune,
)
from studies.auraflow.code.networks import load
from studies.auraflow.code.reports import Drawings, Painted, Results, Schedules, Texts
from studies.auraflow.code.settings import DENOISING, Params
from studies.auraflow.code.systems import systems
from tests import house

FLOWS = {"en": "flow", "zh": "flow_zh"}  # language → run
STAGES = (make_pictures, train_texts, train, tune, draw, evaluate, compare_schedules, judge)


@pytest.fixture(scope="module")
def params():
    trees = copy.deepcopy(house.trees("smoke"))
    own = trees["auraflow"]
    own["auraflow_pictures"] |= {"train": 8, "test": 20, "prompts_per_category": 2}
    own["auraflow_texts"]["training"] |= {"steps": 2}
    for one in own["auraflow_models"].values():
        one["descent"]["training"] |= {"steps": 2}
    own["auraflow_search"] |= {"guidance": [1.0, 2.0]}
    own["auraflow_drawing"] |= {"steps": [1, 3]}
    trees[""]["evaluation"]["bootstrap"] = 40
    trees[""]["threads"] = 1
    return config.build(trees, "auraflow", "params.yaml")


@pytest.fixture(scope="module")
def folder(tmp_path_factory, params):
    """Everything that the stages read, in an empty folder, and all that they leave."""
    path = tmp_path_factory.mktemp("auraflow")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(path)
        tokenizer = vqgan.VQGAN(8, 8, 4, 0.9, 8, generator(0))
        tokenizer.quantizer.codebook.copy_(torch.randn(8, 4, generator=generator(0)))
        vqgan.save(tokenizer, material.TOKENIZER)
        make_pictures.run(params)
        shutil.copytree(material.PICTURES, material.SHARED)  # what all studies share, here the same pictures
        captions = Split.open(material.SHARED, "train").captions
        texts = [text for one in captions for language in ("en", "zh") for text in one[language]]
        text = TextTokenizer.train(texts, params.text.vocabulary)
        text.save(material.TEXT)
        sizes = dict(width=4, embedding=6, text_width=8, text_layers=1, text_heads=2)
        config = clip.ClipConfig(vocabulary=text.vocabulary, length=params.text.length, **sizes)
        clip.save(clip.Clip(config, generator(0)), Path("build/clip"))
        reader.save(reader.Reader(reader.ReaderConfig(4), generator(0)), Path("build/reader"))
        for stage in STAGES[1:]:
            stage.run(params)
    return path


@pytest.fixture(autouse=True)
def there(folder, monkeypatch):
    monkeypatch.chdir(folder)


def model(training, seed=0, **changes):
    """A trained model, as it draws."""
    best = Settings.read(material.SETTINGS).models[training].best.sampling
    return load(material.folder(training, seed), best | changes)


def drawn(network, ids, seed, items):
    """Pictures of prompts, one by one as numbered."""
    found = network.draw(ids, RowRandom(row_seeds(seed, items)), network.sampling)
    return painted(network.tokenizer, found.pictures.numpy())


def test_pictures_are_those_of_the_study_and_their_tokens_fit(params):
    found = material.train_pictures(params.text.length)
    assert material.data() == material.PICTURES and found.tokens.shape == (8, 64)
    assert all(len(scene["objects"]) == 1 for scene in Split.open(material.PICTURES, "train").scenes)
    encoded = vqgan.encode_batches(vqgan.load(material.TOKENIZER), material.train_images())
    np.testing.assert_array_equal(found.tokens, encoded.reshape(8, 64))


def test_text_networks_are_of_their_kinds_and_of_one_size():
    names = ("english", "both", "language")
    english, both, language = (text_encoder.load(material.TEXTS / name) for name in names)
    assert type(english) is type(both) is TextEncoder and type(language) is LanguageModel
    assert english.config == both.config and replace(english.config, marks=0) == language.config
    assert english.config.marks > 0 and not torch.equal(english.tokens.weight, both.tokens.weight)
    assert (language.norm.weight == 1).all()  # the layer that it was trained behind is gone


def test_every_training_leaves_a_model_of_its_kind_that_reads_through_its_text_network():
    kinds = {"raster_english": Parti, "raster_language": Parti, "flow": MMDiT, "unet": UNet}
    for name, kind in kinds.items():
        assert isinstance(model(name).network, kind)
    own, tokenizer = model("next_scale").network, multi_scale_vqgan.load(material.SCALES)
    assert isinstance(own["model"], Var) and own["model"].config.scales == (1, 2, 3, 4, 6, 8)
    for name, weights in tokenizer.state_dict().items():
        assert torch.equal(own["tokenizer"].state_dict()[name], weights)
    for name, text in (("raster_english", "english"), ("raster_language", "language"), ("flow", "language")):
        wanted = text_encoder.load(material.TEXTS / text).state_dict()
        assert all(torch.equal(one, wanted[key]) for key, one in model(name).encoder.state_dict().items())


def test_every_seed_trains_another_model():
    first, second = (parameters_to_vector(model("raster_english", seed).network.parameters()) for seed in (0, 1))
    assert not torch.equal(first, second)


def test_settings_are_those_that_were_best_of_all_tried(params):
    found = Settings.read(material.SETTINGS).models
    assert set(found) == set(params.auraflow_trainings)
    for name, one in found.items():
        assert [trial.sampling["guidance"] for trial in one.trials] == [1.0, 2.0]
        assert ("steps" in one.best.sampling) == (name in DENOISING) != ("temperature" in one.best.sampling)
        assert one.best.exact == max(trial.exact for trial in one.trials)


def test_every_way_is_drawn_with_every_training_in_both_languages(params):
    drawings = Drawings.read(material.DRAWN / "drawings.json")
    assert set(drawings.runs) == {
        *params.auraflow_trainings,
        *(f"{name}_zh" for name in params.auraflow_trainings),
        *(f"{name}_{steps}" for name in DENOISING for steps in (1, 3)),
    }
    ids = [prompt["id"] for prompt in read_prompts(material.PICTURES)]
    for name, one in drawings.runs.items():
        rows, usual = np.load(material.DRAWN / f"{name}.npy"), name == one.training
        seeds = params.auraflow_trainings[one.training].seeds if usual or name.endswith("_zh") else 1
        assert one.prompts == ids and one.language == ("zh" if name.endswith("_zh") else "en")
        assert rows.shape == (seeds, len(ids) + len(one.captions), 64, 64, 3)
        # All trainings of a name draw 20 together, for as many test pictures.
        assert one.captions == list(range(20 // seeds if usual else 0))
    passes = {name: one.passes for name, one in drawings.runs.items()}
    assert passes["raster_english"] == passes["raster_language_zh"] == 64
    assert passes["next_scale"] == 6
    assert (passes["flow"], passes["flow_1"], passes["unet_3"]) == (2, 1, 3)
    assert {one.batch_size for one in drawings.timings.values()} == {1}
    assert all(len(one.seconds) == 5 and one.operations > 0 for one in drawings.timings.values())


@pytest.mark.parametrize("name", ["raster_language", "next_scale", "flow", "unet"])
def test_a_row_drawn_alone_is_the_one_of_its_batch(params, name):
    one = Drawings.read(material.DRAWN / "drawings.json").runs[f"{name}_zh"]
    kept = np.load(material.DRAWN / f"{name}_zh.npy")[0].astype(int)
    asked = {prompt["id"]: prompt["zh"] for prompt in read_prompts(material.PICTURES)}
    network = model(name)
    for row in (1, len(one.prompts) - 1):
        ids = material.tokenised([asked[one.prompts[row]]], params.text.length)
        alone = drawn(network, ids, 0, [row])[0]
        assert np.abs(alone - kept[row]).max() <= 1  # rounding of sums


@pytest.mark.parametrize("name", ["raster_language", "next_scale", "flow", "unet"])
def test_the_front_door_paints_with_what_was_published(params, name):
    publish.run(params, name)
    best = Settings.read(material.SETTINGS).models[name].best
    about = Published.read(publish.OUT / name / "painter.json")
    assert (about.sampling, about.exact) == (best.sampling, best.exact)
    painting = Painter(model=f"auraflow/{name}").paint("一个红色的圆形", candidates=3, seed=5)
    network, ids = model(name), material.tokenised(["一个红色的圆形"] * 3, params.text.length)
    wanted = drawn(network, ids, 5, range(3))[painting.order]
    near = np.abs(painting.pictures.astype(int) - wanted) <= 2  # weights are halved, and few draws are that close
    assert near.mean() > 0.95


def test_what_the_front_door_paints_is_kept(params):
    for name in params.auraflow_trainings:
        publish.run(params, name)
    paint_pictures.run(params)
    out = params.results / "auraflow_painting"
    texts = Painted.read(out / "texts.json").texts
    assert set(texts) == set(params.auraflow_trainings) == {path.stem for path in out.glob("*.png")}
    for name in ("unet", "next_scale"):
        wanted = Painter(model=f"auraflow/{name}").paint(texts[name][1], 4).pictures
        near = np.abs(read_strip(out / f"{name}.png")[4:].astype(int) - wanted) <= 2
        assert near.mean() > 0.99


def test_the_report_says_what_was_measured_and_tables_show_it(params):
    report = Results.read(params.results / "auraflow.json")
    assert report.languages == ["en", "zh"] and report.steps == 2
    assert set(report.claims) == {
        *("terminal_snr", "auraflow_billions", "speed_by_scales"),
        *("chinese", "english", "encoders", "both_languages", "one_language"),
    }
    own = report.runs["raster_english"]
    assert (own.prompts, own.captions, own.passes) == (6, 20, 64)
    assert set(own.exact.categories) == {"single_object", "colours"} and set(own.heldout.categories) == {"heldout"}
    assert len(own.exact.by_seed) == len(own.objects.by_seed) == 2
    assert report.runs["flow"].fid and not report.runs["raster_english_zh"].captions
    assert set(report.again["long"]) == set(report.trainings)
    assert set(report.again["filled"]) == {name for name in report.trainings if name.startswith(("raster", "next"))}
    assert all(len(one["raster_both"].by_seed) == 2 for one in report.again.values())
    assert len(tables.caption_rows(report)) == 6 and len(tables.inpainting_rows(report)) == 4
    assert [one.tokens for one in report.scales] == [1, 5, 14, 30, 66, 130]
    trained = report.trainings["raster_language"]
    assert (len(trained.minutes), trained.pictures_seen) == (2, 2 * 4)
    assert trained.parameters == sum(one.numel() for one in model("raster_language").network.parameters())

    found = {one.name: one for one in systems(params, report)}
    flow = found["rectified flow, MMDiT (AuraFlow); language model"]
    assert len(found) == 6 and flow.exact == {language: report.runs[run].exact for language, run in FLOWS.items()}
    assert flow.seconds == {1: report.timings["flow, batch 1"].seconds} and flow.passes == 2

    rows = {name: rows for name, rows, _ in tables.all_tables(report)}
    assert [row["trainings"] for row in rows["auraflow_models"]] == [1, 1, 2, 2, 2, 1]  # by name
    assert [row["language"] for row in rows["auraflow_languages"]] == ["en", "zh"] * 6
    assert [row["passes"] for row in rows["auraflow_passes"]] == [1, 2, 3] * 2
    assert [row["scale"] for row in rows["auraflow_scales"]][::5] == ["1×1", "8×8"]
    assert len(rows["auraflow_speed"]) == 6 and len(rows["auraflow_search"]) == 2 * 6


def test_kept_pictures_are_those_of_the_first_trainings_and_judged_by_their_english_prompts(params):
    out, shown = params.results / "auraflow_pictures", Shown.read(params.results / "auraflow_shown.json").pictures
    texts = Texts.read(out / "texts.json").texts
    assert set(texts) == set(shown) == {path.stem for path in out.glob("*.png")}
    assert set(texts) == {name + language for name in params.auraflow_trainings for language in ("", "_zh")}
    prompts = read_prompts(material.PICTURES)
    for name, own in texts.items():
        language = "zh" if name.endswith("_zh") else "en"
        assert own == [(prompt[language], prompt["en"]) for prompt in prompts]
        kept = np.load(material.DRAWN / f"{name}.npy")[0, : len(prompts)]
        np.testing.assert_array_equal(read_strip(out / f"{name}.png"), kept)
        assert [(one.text, one.english) for one in shown[name]] == own
        assert all(mark in (True, False) for one in shown[name] for mark in one.right)


def test_clips_caption_tower_is_one_of_the_text_networks():
    tower, whole = text_encoder.load(material.TEXTS / "clip"), clip.load(material.CLIP)
    for name, weights in whole.text.state_dict().items():
        assert torch.equal(tower.tower.state_dict()[name], weights)


def test_parts_are_kept(params, capsys):
    train.run(params)
    said = capsys.readouterr().out
    assert "1 of 1 parts are there already" in said and "9 of 9 parts are there already" in said


def test_what_is_needed_of_the_data_is_listed(params):
    listed = needs.needs(params)
    keys = {getattr(need, "key", "") for need in listed}
    assert keys >= {"auraflow_drawing.pictures", "auraflow_models.flow.descent.training.batch_size"}
    assert "auraflow_texts.networks.english.languages" in keys


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("auraflow_schedules.text", "inglish", r"auraflow_schedules\.text is none of"),
        ("auraflow_schedules.descent", {"target": "flow"}, r"auraflow_schedules\.noises\.sdxl.*target.*is flow"),
        ("auraflow_trainings.flow.text", "inglish", r"auraflow_trainings\.flow\.text is inglish, which is none of"),
        ("auraflow_trainings.flow.model", "floe", r"auraflow_trainings\.flow\.model .*floe"),
        ("auraflow_search.steps", 1001, r"auraflow_search\.steps .*1000"),
        ("auraflow_drawing.steps", [1, 1001], r"auraflow_drawing\.steps.* 1000"),
        ("auraflow_texts.networks.clip.languages", ["en"], r"auraflow_texts\.networks\.clip\.languages must be \[\]"),
        ("auraflow_texts.networks.clip.dropped", 1, r"auraflow_texts\.networks\.clip\.dropped must be 0: clip"),
        ("auraflow_texts.networks.english.languages", ["de"], r"auraflow_texts\.networks\.english\.languages"),
        ("auraflow_pictures.max_object", 1, r"auraflow_pictures.*max_object"),
        ("auraflow_pictures.backgrounds", {"speckled": 1}, r"auraflow_pictures\.backgrounds has speckled"),
        ("auraflow_drawing.prompts", 10**6, r"auraflow_drawing\.prompts"),
    ],
)
def test_mistakes_are_named(key, value, message):
    trees = copy.deepcopy(house.trees("smoke"))
    tree, (*path, last) = trees["auraflow"], key.split(".")
    for name in path:
        tree = tree[name]
    tree[last] = value
    with pytest.raises(config_tree.Refused, match=message):
        config.build(trees, "auraflow", "params.yaml")
    assert issubclass(config.kind("auraflow"), Params)


def test_pictures_of_ones_own_are_taken_as_they_are(params, tmp_path, monkeypatch):
    own = plain(params.data) | {"source": "webdataset", "path": "elsewhere"}
    (tmp_path / "build/tokenizer").mkdir(parents=True)
    for name in (material.SHARED, material.TOKENIZER):
        shutil.copytree(name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    make_pictures.run(params.model_copy(update={"data": params.data.model_copy(update=own)}))
    for path in material.SHARED.rglob("*"):
        if path.is_file():
            assert path.samefile(material.PICTURES / path.relative_to(material.SHARED))
    assert len(np.load(material.TOKENS / "train_64.npy")) == 8


def test_short_and_long_captions_are_of_the_same_pictures_and_ask_for_the_same(params):
    drawings = Drawings.read(material.DRAWN / "drawings.json")
    short, long = (drawings.again[wording] for wording in ("short", "long"))
    assert 0 < len(short.pictures) <= params.auraflow_drawing.worded and short.pictures == long.pictures
    captions = Split.open(material.PICTURES, "test").captions
    for number, *said in zip(short.pictures, short.captions, long.captions, strict=True):
        assert said == [captions[number]["en"][index] for index in (0, -1)]
        assert asked(said[0])["objects"] == asked(said[1])["objects"]
    for way, one in drawings.again.items():
        for name in one.trainings:
            drawn = np.load(material.DRAWN / f"{name}_{way}.npy")
            assert drawn.shape == (params.auraflow_trainings[name].seeds, len(one.pictures), 64, 64, 3)


def test_what_is_given_of_a_picture_stays(params):
    test = Split.open(material.PICTURES, "test")
    coarse = again.known_of(test, "raster", [0, 3])
    assert coarse.shape == (2, 64) and (coarse < 0).sum() == 2 * 16
    assert (coarse.reshape(2, 8, 8)[:, 2:6, 2:6] == -1).all()
    scales = again.known_of(test, "next_scale", [0, 3])
    known = (scales >= 0)[0]
    assert scales.shape == (2, 130) and not known[:14].any()  # every cell of three scales sees something of the middle
    assert known[14:30].reshape(4, 4)[1:3, 1:3].sum() == 0 and known[14:30].sum() == 12
    assert known[66:].sum() == 48
    tokenizer = multi_scale_vqgan.load(material.SCALES)
    whole = multi_scale_vqgan.encode_batches(tokenizer, np.asarray(test.images(64)[[0, 3]]))
    np.testing.assert_array_equal(scales[:, known], whole[:, known])


def test_schedules_are_compared_by_the_light_of_what_is_drawn(params):
    report = Schedules.read(params.results / "auraflow_schedules.json")
    assert report.seeds == 2 and report.pictures == 16
    first, kolors, zero = (report.schedules[name] for name in ("sdxl", "kolors", "zero_terminal_snr"))
    assert first.terminal_snr > kolors.terminal_snr > zero.terminal_snr == 0 and kolors.levels == 1100
    images = Split.open(material.PICTURES, "test").images(64)[:16] / 255
    bright = images.mean(axis=(1, 2, 3))
    assert report.real["brightness"].value == pytest.approx(bright.mean())
    assert report.real["spread"].value == pytest.approx(np.abs(bright - bright.mean()).mean())
    rows = tables.schedule_rows(report)
    assert len({tuple(row) for row in rows}) == 1  # the same columns
    assert [row["schedule"] for row in rows] == ["test pictures", "kolors", "sdxl", "zero terminal snr"]


def test_light_is_brightness_and_contrast():
    panel = SimpleNamespace(mean=lambda values, name: float(np.mean(values)))
    half = np.zeros((1, 1, 2, 2, 3), np.uint8)
    half[..., 1, :] = 255  # black on the left, white on the right
    assert compare_schedules.light(panel, half, 0.5) == {"brightness": 0.5, "spread": 0.0, "contrast": 0.5}
    white = np.full((1, 1, 2, 2, 3), 255, np.uint8)
    assert compare_schedules.light(panel, white, 0.25) == {"brightness": 1.0, "spread": 0.75, "contrast": 0.0}
