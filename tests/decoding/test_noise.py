"""Random numbers of rows."""

import numpy as np
import torch
from scipy import stats

from lib.decoding.noise import RowRandom


def test_a_row_draws_the_same_whatever_rows_are_beside_it():
    whole, part = RowRandom([3, 1, 7]), RowRandom([7])
    for name, shape in (("uniform", (2, 5)), ("normal", (4,)), ("gumbel", (3, 2))):
        first, second = getattr(whole, name)(*shape), getattr(part, name)(*shape)
        assert first.shape == (3, *shape) and first.dtype == torch.float32
        assert torch.equal(first[2:], second)
    assert torch.equal(whole.integers(9, 50)[2:], part.integers(9, 50))
    assert not torch.equal(whole.uniform(5)[0], whole.uniform(5)[1])


def test_distributions():
    random = RowRandom(range(4000))  # seeds in a row: what one seed gives must say nothing of the next one's
    for name, law in (("uniform", stats.uniform), ("normal", stats.norm), ("gumbel", stats.gumbel_r)):
        assert stats.kstest(getattr(random, name)(2).flatten().numpy(), law.cdf).pvalue > 1e-3
    codes = random.integers(5, 3)
    assert stats.chisquare(np.bincount(codes.flatten().numpy(), minlength=5)).pvalue > 1e-3


def test_gumbel_noise_is_finite_where_uniform_is_not(monkeypatch):
    for value in (0.0, 1 - 2.0**-24):
        monkeypatch.setattr(torch, "rand", lambda *shape, value=value, **_: torch.full(shape, value))
        assert torch.isfinite(RowRandom([0]).gumbel(3)).all()
