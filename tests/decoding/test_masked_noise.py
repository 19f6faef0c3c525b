"""Random numbers of parallel decoding: one seed gives one picture, and recorded numbers give a recorded run again."""

from typing import get_args

import numpy as np
import pytest
import torch

from lib.decoding import masked
from lib.decoding.masked import decode
from lib.decoding.noise import RowRandom
from lib.decoding.orders import Order
from tests.decoding.toy_masked import Recorded, SmoothMasked, ToyMasked, partly_known


@pytest.mark.parametrize("order", get_args(Order))
def test_pictures_do_not_depend_on_their_batch_nor_on_their_place_in_it(order):
    rows = 12
    network, known = SmoothMasked(rows, 9, 4), partly_known(rows, 9, 4)
    options = {"steps": 5, "order": order}
    whole = decode(network, RowRandom(range(rows)), known=known, **options)
    for size in (1, 4):
        for first in range(0, rows, size):
            part = slice(first, first + size)
            alone = decode(network.like(size), RowRandom(range(rows)[part]), known=known[part], **options)
            assert torch.equal(alone.tokens, whole.tokens[part]) and torch.equal(alone.passes, whole.passes[part])
            most = alone.accepted.shape[1]
            assert torch.equal(alone.accepted, whole.accepted[part, :most])
    shuffled = torch.randperm(rows, generator=torch.Generator().manual_seed(0))
    moved = decode(network, RowRandom(shuffled.tolist()), known=known[shuffled], **options)
    assert torch.equal(moved.tokens, whole.tokens[shuffled])


def test_nothing_is_drawn_from_global_generators():
    network, drawn = ToyMasked(rows=9), []
    for seed in (1, 2):
        torch.manual_seed(seed)
        np.random.seed(seed)
        drawn.append(decode(network, RowRandom(range(9)), steps=2).tokens)
    assert torch.equal(*drawn)


def reference(network, steps, noise, known, token_noise, order_noise):
    """MaskGIT's sampler after section 3.2 and the authors' code, picture by picture and slot by slot.

    Tokens are drawn by Gumbel noise [T, B, N, V], as `jax.random.categorical` does; a cut through the sorted confidence
    says what is masked again. Gives the tokens, and where each draw lies in the cumulative distribution: [T, B, N].
    """
    tokens = np.where(known < 0, network.codes, known)
    unknown = (known < 0).sum(1)
    uniform = np.zeros(order_noise.shape)
    for step in range(steps):
        ratio = (step + 1) / steps
        log_p = network.predict(torch.from_numpy(tokens), None).double().numpy()
        for b in range(len(tokens)):
            confidence = np.full(tokens.shape[1], np.inf)
            sampled = tokens[b].copy()
            for slot in range(tokens.shape[1]):
                code = int((log_p[b, slot] + token_noise[step, b, slot]).argmax())
                p = np.exp(log_p[b, slot])
                uniform[step, b, slot] = (p[:code].sum() + p[code] / 2) / p.sum()
                if tokens[b, slot] == network.codes:
                    sampled[slot] = code
                    confidence[slot] = log_p[b, slot, code] + noise * (1 - ratio) * order_noise[step, b, slot]
            masks = int(np.floor(unknown[b] * np.cos(np.pi / 2 * ratio)))
            masks = max(1, min((tokens[b] == network.codes).sum() - 1, masks))
            cut = np.sort(confidence)[masks]
            tokens[b] = sampled if step == steps - 1 else np.where(confidence < cut, network.codes, sampled)
    return tokens, uniform


def assert_replayed(steps, noise):
    """Numbers that the reference drew are handed to the sampler, which draws the same pictures."""
    network, rng = SmoothMasked(rows=3, length=16, codes=7), np.random.default_rng(steps)
    known = np.full((3, 16), -1)
    known[1, 3:9] = 5  # ten are unknown
    token_noise, order_noise = rng.gumbel(size=(steps, 3, 16, 7)), rng.gumbel(size=(steps, 3, 16)).astype(np.float32)
    expected, uniform = reference(network, steps, noise, known, token_noise, order_noise)
    random = Recorded(torch.from_numpy(uniform).float(), torch.from_numpy(order_noise))
    decoded = decode(network, random, steps=steps, noise=noise, known=torch.from_numpy(known))
    assert decoded.tokens.tolist() == expected.tolist()


@pytest.mark.parametrize("steps, noise", [(1, 1.0), (3, 0.0), (6, 1.0), (6, 4.5)])
def test_a_recorded_run_of_maskgits_sampler_is_replayed(steps, noise):
    assert_replayed(steps, noise)


def cumulative(exact):
    """open-muse multiplies its temperature by 1 − ratio again in every pass."""
    scales = []

    def confidence(log_p, gumbel, scale):
        scales.append(scale)
        return exact(log_p, gumbel, torch.stack(scales).prod(dim=0))

    return confidence


@pytest.mark.parametrize(
    "wrong",
    [
        cumulative,
        lambda exact: lambda log_p, gumbel, scale: log_p,  # lucidrains' sampler has no noise on confidence
        lambda exact: lambda log_p, gumbel, scale: log_p * scale[:, None] + gumbel,  # MaskGIT's docstring
    ],
)
def test_other_noise_is_found(monkeypatch, wrong):
    monkeypatch.setattr(masked, "confidence", wrong(masked.confidence))
    with pytest.raises(AssertionError):
        assert_replayed(6, 1.0)
