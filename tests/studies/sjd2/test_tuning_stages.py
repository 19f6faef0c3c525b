"""Stages train, tune, tune_on_drafts and train_drafters on networks of a few weights."""

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
from studies.sjd2.code import train, train_drafters, tune, tune_on_drafts, tuning
from studies.sjd2.code.material import DRAFTERS, MODELS, ON_DRAFTS, PARTS, TUNED, folder, pictures_of
from studies.sjd2.code.reports import Drafter, ModelMetrics, NoiseTuningMetrics, TuningMetrics
from tests import house
from tests.models.tiny_autoregressive import NETWORK, shaken

CAPTIONS = ["a red square", "a blue star", "two green rings", "a red ring", "a blue square", "a star"]
KINDS = {  # stage, settings of all its fine-tunings, where they lie
    tune: (lambda params: params.sjd2.variants, TUNED),
    tune_on_drafts: (lambda params: params.draft_tuning.variants, ON_DRAFTS),
}
DESCENT = {"learning_rate": 0.02, "adam_learning_rate": 0.01, "warmup": 1, "decay": 0.8, "caption_dropout": 0.1}


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """Everything that the stages read, in an empty folder; the parameters."""
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    tokens = PARTS / "one/tokens/coarse"
    tokens.mkdir(parents=True)
    data = PARTS / "one/data"
    for split in ("train", "val", "test"):
        images = {size: np.zeros((len(CAPTIONS), size, size, 3), np.uint8) for size in (64, 128)}
        store.write_split(data, split, images, [{"en": [caption]} for caption in CAPTIONS])
        for size, shape in ((64, (2, 3)), (128, (4, 6))):
            grids = random.integers(0, 6, (len(CAPTIONS), *shape)).astype(np.uint16)
            np.save(tokens / f"{split}_{size}.npy", grids)
    store.write_meta(data, "webdataset", ["en"], has_truth=False)
    Path("build/text").mkdir()
    TextTokenizer.train(CAPTIONS, MINIMUM).save("build/text/tokenizer.json")
    for number in range(2):
        # Shaken, since an initial network predicts the same for all pictures.
        model = shaken(Autoregressive(NETWORK, generator(number)))
        autoregressive.save(model, folder(MODELS, "small", number))
    short = {"training": {"steps": 3, "batch_size": 4, "warmup": 1}}
    one = [{"pictures": 64, "steps": 3, "batch_size": 4, **DESCENT}]
    changes = {
        "text": {"length": 8},
        "evaluation": {"bootstrap": 40},
        "autoregressive": {"measured": 4, "models": {"small": {"seeds": 2, "trainings": one}}},
        "sjd2": {"recipe": short | {"denoising_steps": [3], "noisy_run": [2, 4]}},
        "draft_tuning": {"variants": {"small": short}},
        "drafters": short | {"heads": 2},
    }
    return house.params("sjd2", "smoke", changes=changes)


def run(stage, params):
    """The fine-tunings of the stage; the folder of those of the first training."""
    settings, where = KINDS[stage]
    own = {"small": settings(params)["small"]}
    tuning.run_all(params, f"sjd2/{stage.__name__.rpartition('.')[2]}", own, stage.tuned, where)
    return folder(where, "small", 0)


def test_a_model_goes_on_with_larger_pictures(workplace, monkeypatch):
    sizes = [{"pictures": size, "steps": 3, "batch_size": 4, **DESCENT} for size in (64, 128)]
    small = {"width": 8, "layers": 1, "heads": 1, "feed_forward": 8, "trainings": sizes}
    judge = {"width": 8, "layers": 1, "heads": 1, "feed_forward": 8, "trainings": sizes[:1]}
    # Tokens of 2 × 3, as the fixture has them.
    monkeypatch.setattr(train, "grid_of", lambda params, name, size: (size // 32, 3 * size // 64))
    made = house.params(
        "sjd2",
        "smoke",
        changes={
            "sjd2_parts": {"one": {"large": 200}},
            "text": {"length": 8},
            "evaluation": {"bootstrap": 40},
            "autoregressive": {"measured": 4, "models": {"small": small, "judge": judge}},
        },
    )
    train.run(made)
    networks = [autoregressive.load(folder(MODELS, "small", number)) for number in range(2)]
    assert [(one.config.rows, one.config.columns) for one in networks] == [(4, 6), (4, 6)]
    assert not torch.equal(networks[0].head.weight, networks[1].head.weight)  # from seeds of their own
    found = ModelMetrics.read(folder(MODELS, "small", 0) / "metrics.json")
    test = pictures_of(["test"], 128, **made.words("small"))["test"]
    expected = nats(networks[0], test.captions.first(4), test.tokens[:4]).mean()
    assert found.test.nats_per_token.value == pytest.approx(expected, rel=1e-5)


def test_what_is_measured_of_a_tuned_network_is_that_of_the_one_that_is_kept(workplace):
    own = run(tune, workplace)
    untuned, tuned = autoregressive.load(folder(MODELS, "small", 0)), autoregressive.load(own)
    found = NoiseTuningMetrics.read(own / "metrics.json")
    pictures = pictures_of(("val", "test"), 64, **workplace.words("small"))
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
    where = run(tune_on_drafts, workplace)
    untuned, tuned = autoregressive.load(folder(MODELS, "small", 0)), autoregressive.load(where)
    found = TuningMetrics.read(where / "metrics.json")
    own = pictures_of(("test",), 64, **workplace.words("small"))["test"]
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
        found = Drafter.read(DRAFTERS / name / "metrics.json")
        network = drafters.load(DRAFTERS / name)
        assert found.parameters == sum(weights.numel() for weights in network.parameters())
        assert found.overlap and all(0 < entry.value < 1 for entry in found.overlap)
    initial = Eagle(NETWORK, generator(workplace.seed_of("eagle", 0), 0)).state_dict()
    trained = drafters.load(DRAFTERS / "eagle").state_dict()
    assert any(not torch.equal(initial[name], trained[name]) for name in initial)


def test_every_training_is_tuned_from_itself(workplace):
    run(tune, workplace)
    tables = [
        autoregressive.load(folder(where, "small", n)).text_tokens.weight for where in (MODELS, TUNED) for n in (0, 1)
    ]
    distance = [[(one - other).abs().mean().item() for other in tables[:2]] for one in tables[2:]]
    assert distance[0][0] < distance[0][1] and distance[1][1] < distance[1][0]


@pytest.mark.parametrize("section", [{"sjd2": {"recipe": {"model": "huge"}}}, {"drafters": {"model": "huge"}}])
def test_a_network_that_there_is_not_is_named_before_any_work(section):
    with pytest.raises(EaselError, match=r"model is 'huge', must be one of small, large, wide"):
        house.params("sjd2", changes=section)
