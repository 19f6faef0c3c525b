"""The law of two bells against brute force; tables of drafts against the decoding that they show."""

from functools import partial

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from lib.decoding import jacobi, sjd2
from lib.decoding.diffusion import sample
from lib.decoding.diffusion_schedules import flow_levels
from lib.decoding.noise import RowRandom
from lib.decoding.noise_levels import levels
from lib.decoding.toy_chain import ToyNetwork
from lib.teaching import gaussians, pictures


def test_the_best_answer_is_the_mean_over_all_that_could_be():
    grid = np.linspace(-4, 4, 8001)
    assert np.trapezoid(gaussians.density(grid), grid) == pytest.approx(1, abs=1e-6)
    for x in (-1.3, 0.0, 0.4):
        weights = gaussians.density(grid) * np.exp(-((x - 0.6 * grid) ** 2) / (2 * 0.8**2))
        found = gaussians.expected(torch.tensor([x], dtype=torch.float64), 0.6, 0.8)
        assert float(found) == pytest.approx((grid * weights).sum() / weights.sum(), abs=1e-4)


def test_many_passes_lead_to_the_law_and_one_does_not():
    def drawn(passes):
        visited = flow_levels(passes)
        law = gaussians.TwoGaussians(2000, visited)
        return gaussians.distance(sample(law, RowRandom(range(2000)).normal(1, 1, 1), visited).grids)

    assert drawn(60) < 1.63 / 2000**0.5 + 0.02 < 0.3 < drawn(1)


@pytest.mark.parametrize("decode", [jacobi.decode, partial(sjd2.decode, keep=0.5)])
def test_a_table_of_drafts_shows_what_happened(decode):
    chain = ToyNetwork(rows=3, length=7, codes=3, times=levels(2, "karras")[1:])
    decoded = decode(chain, RowRandom([4, 5, 6]), window=3, trace_slots=7)
    for row in range(3):
        tokens, fixed = pictures.passes(decoded, row)
        assert tokens.shape == fixed.shape == (int(decoded.passes[row]), 7)
        assert np.array_equal(tokens[-1], decoded.tokens[row]) and fixed[-1].all()
        assert np.array_equal(np.diff(fixed.sum(axis=1), prepend=0), decoded.accepted[row, : len(tokens)])
        assert np.array_equal(tokens[fixed], np.broadcast_to(tokens[-1], tokens.shape)[fixed])
    figure = pictures.drafts({"a": pictures.passes(decoded, 0), "b": pictures.passes(decoded, 1)})
    assert len(figure.axes) == 2 and figure.axes[0].get_title() == f"a: {int(decoded.passes[0])} passes"
    plt.close(figure)
