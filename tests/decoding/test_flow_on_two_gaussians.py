"""Rectified flow on a law of two Gaussians on a line, where everything is known: the velocity, and where each point of
the start must end, since a flow on a line keeps the order of its points."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.stats import norm

from lib.decoding.diffusion import sample
from lib.decoding.diffusion_schedules import clean_of, flow_levels, noise_of, noise_schedule, spaced_levels
from lib.teaching.gaussians import TwoGaussians, below, density, expected

LINE = np.linspace(-3, 3, 6001)  # on which the law is summed up
QUANTILES = np.linspace(0.02, 0.98, 49)


def velocity(x, time):
    """E[ε − x₀ | x] by a sum over x₀, by no formula for it."""
    noise = (x[:, None] - (1 - time) * LINE) / time
    weights = density(LINE) * norm.pdf(noise)
    return (weights * (noise - LINE)).sum(1) / weights.sum(1)


def start(quantiles):
    return torch.tensor(norm.ppf(quantiles), dtype=torch.float32).view(-1, 1, 1, 1)


def ends(levels, target):
    return sample(TwoGaussians(len(QUANTILES), levels, target), start(QUANTILES), levels).grids.flatten().numpy()


@pytest.mark.parametrize("time", [0.1, 0.5, 0.9])
def test_the_velocity_is_the_mean_of_all_paths_through_a_point(time):
    x = np.linspace(-1.5, 1.5, 13)
    level = flow_levels(10)[round(10 - 10 * time)]
    assert level.time == pytest.approx(time)
    who = TwoGaussians(13, [level], "flow")
    said = who.predict(torch.tensor(x, dtype=torch.float64).view(-1, 1, 1, 1), torch.full((13,), time))
    assert said.flatten().numpy() == pytest.approx(velocity(x, time), abs=1e-5)


def test_a_pass_is_a_step_of_euler_along_it():
    levels, x = flow_levels(7, 2.0), norm.ppf(QUANTILES)
    for here, there in pairwise(levels):
        x = x + (there.time - here.time) * velocity(x, here.time)
    assert ends(levels, "flow") == pytest.approx(x, abs=1e-3)


@pytest.mark.parametrize("shift", [1.0, 3.0])
def test_every_point_ends_at_its_own_quantile(shift):
    """The share of the law below a point's end is the share of the noise below its start: at first to the order of the
    step."""
    errors = [np.abs(below(ends(flow_levels(passes, shift), "flow")) - QUANTILES).max() for passes in (50, 100, 800)]
    assert errors[2] < 0.01
    assert errors[0] > 1.6 * errors[1] and errors[1] > 4 * errors[2]


def test_one_pass_ends_in_the_mean():
    mean = float((LINE * density(LINE)).sum() / density(LINE).sum())
    assert ends(flow_levels(1), "flow") == pytest.approx(np.full(len(QUANTILES), mean), abs=1e-4)


@pytest.mark.parametrize("kind", ["flow", "cosine"])
def test_whatever_a_network_says_its_pictures_are_the_same(kind):
    """What it says at a level and x₀ follow from each other, and the sampler asks for x₀ alone."""
    levels = flow_levels(12)[1:] if kind == "flow" else spaced_levels(noise_schedule("cosine", 100), 12, "leading")
    found = {target: ends(levels, target) for target in ("v", "epsilon", "x0", "flow")}
    for target in ("epsilon", "x0", "flow"):
        assert found[target] == pytest.approx(found["v"], abs=2e-3), target


def test_an_error_in_epsilon_is_alpha_times_one_in_v():
    """So both are the same loss, weighed by α² (Salimans and Ho, section 4), and a network for one is a network for the
    other."""
    levels = spaced_levels(noise_schedule("cosine", 100), 10, "leading")[:-1]
    x = torch.linspace(-2, 2, 9, dtype=torch.float64)
    for level in levels:
        clean = expected(x, level.alpha, level.sigma)
        epsilon = (x - level.alpha * clean) / level.sigma
        wrong = level.alpha * epsilon - level.sigma * clean + 0.1  # v, and an error
        off = noise_of("v", wrong, x, level.alpha, level.sigma) - epsilon
        torch.testing.assert_close(off, torch.full_like(x, 0.1 * level.alpha))
        other = clean_of("epsilon", epsilon + off, x, level.alpha, level.sigma)
        torch.testing.assert_close(other, clean_of("v", wrong, x, level.alpha, level.sigma))
