"""Training of the image tokenizer."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from lib.config import TokenizerParams
from lib.config_tree import replace
from lib.models import vqgan
from lib.training.loop import fit
from lib.training.order import BatchOrder
from lib.training.tokenizer import TokenizerTrainee, perceptual_loss

PARAMS = TokenizerParams(
    stride=4,
    leave_out=(),
    steps=6,
    batch_size=4,
    learning_rate=2e-3,
    kernel_learning_rate=0.02,
    width=8,
    codes=16,
    code_width=4,
    commitment=0.25,
    ema_decay=0.9,
    perceptual_weight=0.0,
    discriminator_weight=0.0,
)
WITH_JUDGE = replace(PARAMS, discriminator_weight=0.1)


def pictures(count: int, size: int = 32) -> np.ndarray:
    """One bright rectangle on a dark ground each."""
    random = np.random.default_rng(0)
    images = np.empty((count, size, size, 3), np.uint8)
    for image in images:
        image[:] = random.integers(0, 100, 3)
        y, x = random.integers(0, size // 2, 2)
        image[y : y + size // 2, x : x + size // 2] = random.integers(150, 256, 3)
    return images


def train(params: TokenizerParams, steps: int, extractor=None) -> TokenizerTrainee:
    trainee = TokenizerTrainee(params, 0, pictures(8), extractor)
    order = BatchOrder(8, params.batch_size, 0)
    for step in range(steps):
        trainee.step(step, order.indices(step))
    return trainee


def edges(images: torch.Tensor) -> list[torch.Tensor]:
    """An extractor without weights: each pixel's differences to its neighbours."""
    return [torch.cat([images[:, :, 1:, 1:] - images[:, :, :-1, 1:], images[:, :, 1:, 1:] - images[:, :, 1:, :-1]], 1)]


@pytest.mark.parametrize("params", [PARAMS, WITH_JUDGE], ids=["alone", "with discriminator"])
def test_a_resumed_run_ends_in_the_same_state_bit_for_bit(params, tmp_path):
    order = BatchOrder(8, params.batch_size, 0)

    def run(trainee: TokenizerTrainee, steps: int, name: str) -> list[dict[str, float]]:
        path = tmp_path / f"{name}.safetensors"
        return fit(trainee, name=name, steps=steps, order=order, checkpoint=path, fingerprint="same")

    whole, first, second = (TokenizerTrainee(params, 0, pictures(8)) for _ in range(3))
    history = run(whole, 6, "whole")
    run(first, 3, "parts")
    assert run(second, 6, "parts") == history
    expected, found = whole.state(), second.state()
    assert expected.keys() == found.keys()
    assert any(key.startswith("judge") for key in found) == (params is WITH_JUDGE)
    for key, value in expected.items():
        np.testing.assert_array_equal(found[key], value, err_msg=key)


def test_a_step_moves_every_weight_and_the_codebook():
    before, after = (train(WITH_JUDGE, steps).state() for steps in (1, 6))
    still = [key for key, value in before.items() if np.array_equal(value, after[key])]
    assert not still


def test_commitment_pulls_the_encoder_towards_the_codes():
    distances = []
    for weight in (0.0, 5.0):
        trainee = train(replace(PARAMS, steps=30, commitment=weight), 30)
        distances.append(trainee.step(29, np.arange(4))["commitment"])
    assert distances[1] < 0.7 * distances[0]


def test_the_discriminator_learns_and_then_changes_the_tokenizer():
    params = replace(WITH_JUDGE, steps=10)
    order = BatchOrder(8, 4, 0)
    alone, judged = (TokenizerTrainee(p, 0, pictures(8)) for p in (replace(params, discriminator_weight=0.0), params))
    judge_before = [weights.detach().clone() for weights in judged.discriminator.parameters()]
    for step in range(10):
        numbers = judged.step(step, order.indices(step)), alone.step(step, order.indices(step))
        same = all(torch.equal(a, b) for a, b in zip(judged.model.parameters(), alone.model.parameters(), strict=True))
        assert same == (step < 3)  # for the first 30 % of the steps nobody listens to it
        assert ("fooling" in numbers[0]) == (step >= 3)
        assert "discriminator" in numbers[0] and "discriminator" not in numbers[1]
    assert all(not torch.equal(a, b) for a, b in zip(judge_before, judged.discriminator.parameters(), strict=True))


def test_the_discriminator_comes_to_tell_pictures_from_early_reconstructions():
    trainee = TokenizerTrainee(replace(WITH_JUDGE, steps=1000), 0, pictures(8))
    order = BatchOrder(8, 4, 0)
    losses = [trainee.step(step, order.indices(step))["discriminator"] for step in range(80)]
    assert losses[0] == 1.0 and np.mean(losses[-5:]) < 0.5


def test_the_perceptual_term_is_zero_for_equal_pictures_and_has_a_gradient_for_others():
    real, fake = (torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1))
    assert perceptual_loss(edges, real, real.clone()).item() == pytest.approx(0, abs=1e-6)
    fake.requires_grad_()
    loss = perceptual_loss(edges, real, fake)
    loss.backward()
    expected = F.normalize(edges(real)[0], dim=1) - F.normalize(edges(fake)[0].detach(), dim=1)
    assert loss.item() == pytest.approx(expected.square().sum(dim=1).mean().item(), rel=1e-5)
    assert fake.grad.abs().sum() > 0


def test_the_perceptual_term_takes_part_only_with_a_weight():
    def fail(images):
        raise AssertionError("asked for features of no use")

    train(PARAMS, 1, fail)
    plain, perceived = (train(replace(PARAMS, perceptual_weight=weight), 3, edges) for weight in (0.0, 1.0))
    weights = [next(trainee.model.parameters()) for trainee in (plain, perceived)]
    assert not torch.equal(*weights)


def test_a_small_network_learns_four_pictures_by_heart():
    images = pictures(4)
    params = replace(PARAMS, steps=100, width=16, codes=32, learning_rate=1e-2, kernel_learning_rate=0.1)
    trainee = TokenizerTrainee(params, 0, images)
    for step in range(params.steps):
        trainee.step(step, np.arange(4))
    tokens = vqgan.encode_batches(trainee.model, images)
    error = np.square(images.astype(float) - vqgan.decode_batches(trainee.model, tokens)).mean()
    assert 10 * np.log10(255**2 / error) > 22
    assert len(np.unique(tokens)) > 8
