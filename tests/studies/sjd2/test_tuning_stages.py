"""Stages tune, tune_on_drafts and train_drafters on a network of a few weights."""

from pathlib import Path

import numpy as np
import pytest
import torch

from lib.data import store
from lib.errors import EaselError
from lib.models import autoregressive, drafters
from lib.models.autoregressive import Autoregressive, nats
from lib.models.drafters import Eagle
from lib.pipeline import parts
from lib.text import MINIMUM, TextTokenizer
from lib.weights.torch_state import generator
from studies.sjd2.code import train_drafters, tune, tune_on_drafts, tuning
from studies.sjd2.code.reports import Drafter, NoiseTuningMetrics, TuningMetrics
from studies.sjd2.code.train import pictures_of
from tests import house
from tests.models.tiny_autoregressive import NETWORK, shaken

CAPTIONS = ["a red square", "a blue star", "two green rings", "a red ring", "a blue square", "a star"]
STAGES = {"train_drafters": {"cmd": "x", "deps": ["build/autoregressive"], "params": ["drafters", "seed"]}}
KINDS = {  # stage, settings of all its fine-tunings, the one of them that the tests make
    tune: (lambda params: params.sjd2.variants, "small"),
    tune_on_drafts: (lambda params: params.draft_tuning.variants, "small"),
}


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """Everything that the stages read, in an empty folder; the parameters."""
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    tokens = Path("build/tokens/fine")
    tokens.mkdir(parents=True)
    for split in ("train", "val", "test"):
        images = {64: np.zeros((len(CAPTIONS), 64, 64, 3), np.uint8)}
        store.write_split("data", split, images, [{"en": [caption]} for caption in CAPTIONS])
        np.save(tokens / f"{split}_64.npy", random.integers(0, 6, (len(CAPTIONS), 2, 3)).astype(np.uint16))
    store.write_meta("data", "webdataset", ["en"], has_truth=False)
    Path("build/text").mkdir()
    TextTokenizer.train(CAPTIONS, MINIMUM).save("build/text/tokenizer.json")
    # Shaken, since an initial network predicts the same for all pictures.
    autoregressive.save(shaken(Autoregressive(NETWORK, generator(0))), Path("build/autoregressive/small"))
    house.write_pipeline("sjd2", **STAGES)
    short = {"training": {"steps": 3, "batch_size": 4, "warmup": 1}}
    changes = {
        "text": {"length": 8},
        "evaluation": {"bootstrap": 40},
        "autoregressive": {"measured": 4},
        "sjd2": {"recipe": short | {"denoising_steps": [3], "noisy_run": [2, 4]}},
        "draft_tuning": {"variants": {"small": short}},
        "drafters": short | {"heads": 2},
    }
    return house.params("sjd2", changes=changes)


def run(stage, params):
    """One of the stage's fine-tunings."""
    settings, name = KINDS[stage]
    own = {name: settings(params)[name]}
    tuning.run_all(params, f"sjd2/{stage.__name__.rpartition('.')[2]}", own, stage.tuned, stage.OUT)
    return stage.OUT / name


def test_what_is_measured_of_a_tuned_network_is_that_of_the_one_that_is_kept(workplace):
    run(tune, workplace)
    untuned, tuned = autoregressive.load(tuning.MODELS / "small"), autoregressive.load(tune.OUT / "small")
    found = NoiseTuningMetrics.read(tune.OUT / "small/metrics.json")
    pictures = pictures_of(("val", "test"), **workplace.pictures_of("small"))
    for split, own in pictures.items():
        losses = found.nats_per_token[split]
        for loss, network in ((losses.untuned, untuned), (losses.tuned, tuned)):
            expected = nats(network, own.captions.first(4), own.tokens[:4]).mean()
            assert loss.value == pytest.approx(expected, rel=1e-5)
    values = {loss.value for losses in found.nats_per_token.values() for loss in (losses.untuned, losses.tuned)}
    assert len(values) == 4  # nothing is measured twice
    assert len(found.nats_per_level) == 4 and np.isfinite(found.nats_per_level[0])  # 0 is clean
    assert tuned.config.levels == "token" and untuned.config.levels == "none"


def test_a_network_tuned_on_drafts_is_measured_beside_the_untuned_one(workplace):
    run(tune_on_drafts, workplace)
    untuned, tuned = autoregressive.load(tuning.MODELS / "small"), autoregressive.load(tune_on_drafts.OUT / "small")
    found = TuningMetrics.read(tune_on_drafts.OUT / "small/metrics.json")
    own = pictures_of(("test",), **workplace.pictures_of("small"))["test"]
    before, after = (nats(network, own.captions.first(4), own.tokens[:4]).mean() for network in (untuned, tuned))
    assert found.nats_per_token["test"].untuned.value == pytest.approx(before, rel=1e-5)
    assert found.nats_per_token["test"].tuned.value == pytest.approx(after, rel=1e-5)
    assert found.rise["test"].value == pytest.approx(after - before, abs=1e-5) and after != before


@pytest.mark.parametrize("stage", KINDS)
def test_the_same_stage_gives_the_same_network(workplace, stage, monkeypatch):
    for name in ("first", "again"):
        monkeypatch.setattr(parts, "PARTS", Path(f"parts_{name}"))
        run(stage, workplace).rename(name)
    assert Path("first/model.safetensors").read_bytes() == Path("again/model.safetensors").read_bytes()


def test_both_drafters_are_trained_and_measured(workplace):
    train_drafters.run(workplace)
    for name in ("eagle", "medusa"):
        found = Drafter.read(train_drafters.OUT / name / "metrics.json")
        network = drafters.load(train_drafters.OUT / name)
        assert found.parameters == sum(weights.numel() for weights in network.parameters())
        assert found.overlap and all(0 < entry.value < 1 for entry in found.overlap)
    initial = Eagle(NETWORK, generator(workplace.seed, 0)).state_dict()
    trained = drafters.load(train_drafters.OUT / "eagle").state_dict()
    assert any(not torch.equal(initial[name], trained[name]) for name in initial)


@pytest.mark.parametrize(
    ("section", "run"),
    [
        ({"sjd2": {"recipe": {"model": "huge"}}}, tune.run),
        ({"draft_tuning": {"variants": {"small": {"model": "huge"}}}}, tune_on_drafts.run),
        ({"drafters": {"model": "huge"}}, train_drafters.run),
    ],
)
def test_a_network_that_there_is_not_is_named_before_any_work(workplace, section, run):
    with pytest.raises(EaselError, match=r"model is 'huge', must be one of small, large, wide"):
        run(house.params("sjd2", changes=section))
    assert not any(stage.OUT.exists() for stage in (tune, tune_on_drafts, train_drafters))
