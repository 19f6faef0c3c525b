"""Training of the tokenizer that quantizes residuals over scales."""

import numpy as np
import pytest
import torch

from lib.config_tree import replace
from lib.errors import EaselError
from lib.models.multi_scale_vqgan import decode_batches, encode_batches
from lib.models.vqgan import VQGAN
from lib.training.loop import fit
from lib.training.multi_scale import MultiScaleTrainee, distance
from lib.training.multi_scale_settings import MultiScaleParams
from lib.training.order import BatchOrder
from lib.training.tokenizer import autocast
from lib.weights.torch_state import generator
from tests.training.test_tokenizer import pictures

PARAMS = MultiScaleParams(
    scales=(1, 2, 4, 8),
    codes=32,
    steps=6,
    batch_size=4,
    learning_rate=2e-3,
    kernel_learning_rate=0.02,
    commitment=0.25,
    ema_decay=0.9,
)


def trainee(**changes) -> MultiScaleTrainee:
    plain = VQGAN(width=8, codes=4, code_width=4, ema_decay=0.9, stride=4, generator=generator(0))
    return MultiScaleTrainee(replace(PARAMS, **changes), plain, pictures(8), 0)


def trained(updates: int, **changes) -> MultiScaleTrainee:
    who, order = trainee(**changes), BatchOrder(8, PARAMS.batch_size, 0)
    for step in range(updates):
        who.step(step, order.indices(step))
    return who


def test_a_resumed_run_ends_in_the_same_state_bit_for_bit(tmp_path):
    order = BatchOrder(8, PARAMS.batch_size, 0)

    def run(who: MultiScaleTrainee, steps: int, name: str) -> list[dict[str, float]]:
        path = tmp_path / f"{name}.safetensors"
        return fit(who, name=name, steps=steps, order=order, checkpoint=path, fingerprint="same")

    whole, first, second = trainee(), trainee(), trainee()
    history = run(whole, 6, "whole")
    run(first, 3, "parts")
    assert run(second, 6, "parts") == history
    expected, found = whole.state(), second.state()
    assert expected.keys() == found.keys()
    for key, value in expected.items():
        np.testing.assert_array_equal(found[key], value, err_msg=key)


def test_a_step_moves_every_weight_and_the_codebook():
    before, after = (trained(steps).state() for steps in (2, 4))
    assert not [key for key, value in before.items() if np.array_equal(value, after[key])]


def test_the_plain_tokenizer_stays_as_it_was():
    plain = VQGAN(width=8, codes=4, code_width=4, ema_decay=0.9, stride=4, generator=generator(0))
    before = {name: value.clone() for name, value in plain.state_dict().items()}
    MultiScaleTrainee(PARAMS, plain, pictures(8), 0).step(0, np.arange(4))
    assert all(torch.equal(value, before[name]) for name, value in plain.state_dict().items())


def test_distances_are_those_of_the_sums():
    who = trained(3)
    real = torch.from_numpy(pictures(8)[:4]).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        with autocast(who.model.device):  # as in training: in half precision where the machine is fast at it
            vectors = who.model.embed(real)
        totals = who.model.quantizer(vectors).totals
    numbers = who.step(3, np.arange(4))
    for side, total in zip(PARAMS.scales, totals, strict=True):
        assert numbers[f"distance_{side}"] == pytest.approx(float((vectors - total).square().sum(3).mean()), rel=1e-4)
    assert numbers["commitment"] == pytest.approx(np.mean([numbers[f"distance_{n}"] for n in PARAMS.scales]))


def test_commitment_pulls_the_encoder_towards_the_codes():
    found = [trained(40, steps=40, commitment=weight).step(39, np.arange(4))["commitment"] for weight in (0.0, 5.0)]
    assert found[1] < 0.8 * found[0]


def test_the_distance_is_that_of_vectors():
    assert float(distance(torch.tensor([[3.0, 0.0], [0.0, 0.0]]), torch.tensor([[0.0, 4.0], [0.0, 0.0]]))) == 12.5


def test_a_small_network_learns_pictures_by_heart_better_with_every_scale():
    who = trained(120, steps=120, learning_rate=1e-2, kernel_learning_rate=0.1, codes=64)
    tokens = encode_batches(who.model, pictures(8))
    errors = [
        np.square(pictures(8).astype(float) - decode_batches(who.model, tokens[:, :count])).mean()
        for count in (1, 5, 21, 85)
    ]
    assert errors[0] > errors[1] > errors[2] > errors[3]
    assert 10 * np.log10(255**2 / errors[-1]) > 18


def test_scales_that_do_not_rise_are_refused():
    for scales in ((), (1,), (2, 4), (1, 4, 4)):
        with pytest.raises(EaselError, match="scales must be two or more, rising from 1"):
            replace(PARAMS, scales=scales)
