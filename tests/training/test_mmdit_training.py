"""The trainee of MMDiTs, and their settings."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from lib.decoding.diffusion import sample
from lib.decoding.diffusion_schedules import flow_levels
from lib.decoding.noise import RowRandom
from lib.errors import EaselError
from lib.models.diffusion_predictor import DiffusionPredictor
from lib.models.mmdit import MMDiT, MMDiTConfig
from lib.models.text_encoder import LanguageModel, TextConfig
from lib.training.diffusion import DiffusionTrainee, NoisyBatches
from lib.training.loop import fit
from lib.training.mmdit_settings import MMDiTParams
from lib.training.order import BatchOrder
from lib.weights.torch_state import generator
from tests.training.test_diffusion_training import EVERYONE, LATENTS, SMALL, captions, noise, params

SIZES = MMDiTParams(
    patch=1,
    width=16,
    joint=1,
    single=1,
    heads=2,
    feed_forward=24,
    text_layers=0,
    registers=2,
    keeps_attention=True,
    pooled=True,
    neighbours=True,
)
CONFIG = MMDiTConfig(channels=2, rows=4, columns=4, text_width=16, **dict(SIZES))
READER = LanguageModel(
    TextConfig(vocabulary=30, length=5, padding=0, width=16, layers=2, heads=2, feed_forward=24), generator(7)
)


def trainee(config=CONFIG, steps=60, **changes):
    given = params(steps, **{"schedule": noise("flow"), "target": "flow", "times": "logit_normal"} | changes)
    model = MMDiT(config, generator(0))
    return DiffusionTrainee(model, NoisyBatches(model, captions(), LATENTS, READER.features, given, 3), given)


def test_it_learns_to_draw_its_pictures():
    who = trainee(steps=240)
    for step in range(240):
        who.step(step, EVERYONE)
    text = READER.features(torch.from_numpy(captions().first().astype(np.int64)))
    predictor = DiffusionPredictor(who.average.network(), text, "flow")
    found = sample(predictor, RowRandom(range(8)).normal(*predictor.shape), flow_levels(10)).grids
    assert (found.sign() == torch.from_numpy(LATENTS)).float().mean() > 0.9  # each its own caption's; by chance 0.5


def test_auraflows_blocks_learn_too():
    who = trainee(replace(CONFIG, keeps_attention=False), steps=40)
    losses = [who.step(step, EVERYONE)["loss"] for step in range(40)]
    assert losses[0] == pytest.approx(2, abs=0.4)  # says 0 of noise minus signs
    assert np.mean(losses[-10:]) < 0.95 * np.mean(losses[:10])


def test_interrupted_training_ends_in_the_same_state_bit_for_bit(tmp_path):
    def run(folder, stop=None):
        who = trainee(steps=6, caption_dropout=0.3)
        where = {"checkpoint": folder / "c.safetensors", "fingerprint": "f", "order": BatchOrder(8, 4, 0), "name": "t"}
        if stop:
            fit(who, steps=stop, **where)
            who = trainee(steps=6, caption_dropout=0.3)
        return fit(who, steps=6, **where), who.state()

    (history, whole), (resumed, parts) = run(tmp_path / "a"), run(tmp_path / "b", stop=3)
    assert history == resumed and whole.keys() == parts.keys()
    for name in whole:
        np.testing.assert_array_equal(whole[name], parts[name], err_msg=name)


def test_muon_has_the_matrices_of_blocks_but_for_what_the_time_tells_and_adamw_the_rest():
    who = trainee()
    groups = {name: one.param_groups for name, one in who.descent.optimizers.items()}
    found = [p for one in groups.values() for group in one for p in group["params"]]
    assert sorted(map(id, found)) == sorted(map(id, who.model.parameters()))
    names = {id(p): name for name, p in who.model.named_parameters()}
    by_muon = {names[id(p)] for p in groups["muon"][0]["params"]}
    blocks = {name for name in names.values() if name.startswith(("joint.", "single.", "neighbours."))}
    told = {name for name in blocks if name.endswith("modulation.weight")}
    assert by_muon == {name for name in blocks if name.endswith(".weight")} - told and len(told) == 3


def test_what_does_not_fit_is_refused():
    model = MMDiT(CONFIG, generator(0))
    with pytest.raises(EaselError, match="for a network that enlarges, and for no other"):
        NoisyBatches(model, captions(), LATENTS, READER.features, params(), 0, SMALL)
    for changes, message in (
        ({"heads": 3}, "four times as many must divide width = 16"),
        ({"width": 12, "heads": 1}, "width must be a multiple of 8"),
        ({"joint": 0, "single": 0}, "or single must be above 0"),
    ):
        with pytest.raises(EaselError, match=message):
            MMDiTParams(**dict(SIZES) | changes)
