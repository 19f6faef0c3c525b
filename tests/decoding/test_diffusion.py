"""Samplers of diffusion on a Gaussian law, whose score is known: what they should reach, and how fast they do."""

from itertools import pairwise

import pytest
import torch

from lib.decoding.diffusion import sample
from lib.decoding.diffusion_schedules import (
    CLEAN,
    Level,
    flow_levels,
    karras_levels,
    noise_schedule,
    prediction_of,
    spaced_levels,
)
from lib.decoding.noise import RowRandom
from lib.errors import EaselError
from lib.weights.torch_state import generator

MEAN, DEVIATION = 0.7, 0.4
STABLE = noise_schedule("scaled_linear", 1000, (0.00085, 0.012))
ZERO = noise_schedule("scaled_linear", 1000, (0.00085, 0.012), zero_terminal_snr=True)
# Levels of S passes; each begins with (almost) no signal, where the law is (almost) that of the start.
SAMPLERS = {
    "ddim": lambda passes: spaced_levels(ZERO, passes, "trailing"),
    "karras": lambda passes: karras_levels(noise_schedule("cosine", 1000), passes),
    "flow": lambda passes: flow_levels(passes),
    "shifted flow": lambda passes: flow_levels(passes, 3.0),
}


class Gaussian:
    """Cells of mean m and deviation s, each by itself: E[x₀ | x] in closed form, said as any target."""

    shape = (1, 2, 2)

    def __init__(self, rows, levels, target="v"):
        self.rows, self.levels, self.target, self.asked = rows, levels, target, []

    def predict(self, x, time):
        assert time.shape == (self.rows,) and (time == time[0]).all()
        level = min(self.levels, key=lambda one: abs(one.time - float(time[0])))
        self.asked.append(level)
        clean = expected(x, level)
        return prediction_of(self.target, clean, (x - level.alpha * clean) / level.sigma, level.alpha, level.sigma)

    def limit(self, clean):
        return clean


def expected(x, level):
    """E[x₀ | x]."""
    variance = level.alpha**2 * DEVIATION**2 + level.sigma**2  # of x
    return MEAN + level.alpha * DEVIATION**2 / variance * (x - level.alpha * MEAN)


def drawn(x, levels, *settings, target="v"):
    return sample(Gaussian(len(x), levels, target), x, levels, *settings).grids


def line(levels, target):
    """Without fresh noise the end is linear in the start: what 0 and 1 lead to, as (mean, deviation) of the end."""
    low, high = drawn(torch.stack([torch.zeros(Gaussian.shape), torch.ones(Gaussian.shape)]), levels, target=target)
    torch.testing.assert_close(low, low[:1, :1, :1].expand_as(low))  # every cell alike
    return float(low[0, 0, 0]), float((high - low)[0, 0, 0])


@pytest.mark.parametrize("target", ["x0", "v", "flow"])
@pytest.mark.parametrize("name", SAMPLERS)
def test_samplers_converge_to_the_law_in_first_order(name, target):
    errors = []
    for passes in (20, 40, 400):
        mean, deviation = line(SAMPLERS[name](passes), target)
        errors.append(abs(mean - MEAN) + abs(deviation - DEVIATION))
    assert errors[2] < 0.01
    assert errors[0] > 1.5 * errors[1] and errors[1] > 5 * errors[2]


@pytest.mark.parametrize("eta", [0.3, 1.0])
def test_fresh_noise_leaves_the_law(eta):
    levels, random = spaced_levels(ZERO, 1000, "trailing"), RowRandom([0])
    wide = Gaussian(1, levels)
    wide.shape = (1, 100, 100)  # cells are independent
    found = sample(wide, random.normal(*wide.shape), levels, eta, random).grids[0, 0]
    assert float(found.mean()) == pytest.approx(MEAN, abs=0.02)  # its deviation: 0.4 / √10000 = 0.004
    assert float(found.std()) == pytest.approx(DEVIATION, abs=0.015)
    neighbours = (found[:, 1:] - MEAN) * (found[:, :-1] - MEAN)
    assert float(neighbours.mean()) == pytest.approx(0, abs=0.01)


@pytest.mark.parametrize("eta", [0.0, 0.6, 1.0])
def test_one_ddim_step_is_the_formula(eta):
    """Equation 12 of Song et al., in ᾱ."""
    here, there = STABLE.level(800), STABLE.level(400)
    kept, next_kept = here.alpha**2, there.alpha**2
    x = torch.randn(3, 1, 2, 2, generator=generator(0))
    clean = expected(x, here)
    epsilon = (x - kept**0.5 * clean) / (1 - kept) ** 0.5
    sigma = eta * ((1 - next_kept) / (1 - kept)) ** 0.5 * (1 - kept / next_kept) ** 0.5
    fresh = RowRandom([4, 5, 6]).normal(1, 2, 2)
    wanted = next_kept**0.5 * clean + (1 - next_kept - sigma**2) ** 0.5 * epsilon + sigma * fresh
    found = drawn(x, [here, there], eta, RowRandom([4, 5, 6]), target="epsilon")
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)


def test_with_all_noise_fresh_a_step_is_ddpms():
    """η = 1 from one level to the next: the variance of Ho et al.'s posterior, (1 − ᾱ′) / (1 − ᾱ) β."""
    here, there = STABLE.level(500), STABLE.level(499)
    beta = 1 - here.alpha**2 / there.alpha**2
    variance = there.sigma**2 / here.sigma**2 * beta
    x = torch.zeros(1, 1, 2, 2)
    found, still = (drawn(x, [here, there], eta, RowRandom([3])) for eta in (1.0, 0.0))
    fresh = RowRandom([3]).normal(1, 2, 2)
    clean = expected(x, here)
    epsilon = -here.alpha * clean / here.sigma
    wanted = there.alpha * clean + (there.sigma**2 - variance) ** 0.5 * epsilon + variance**0.5 * fresh
    torch.testing.assert_close(found, wanted)
    assert (found - still).abs().max() > 1e-3


def test_a_step_is_eulers_in_the_ratio_of_noise_to_signal():
    """Karras et al., algorithm 1 without correction: x̃ ← x̃ + (σ̃′ − σ̃) (x̃ − D(x̃; σ̃)) / σ̃."""
    levels = karras_levels(STABLE, 6)
    x = torch.randn(2, 1, 2, 2, generator=generator(1))
    found = drawn(x, levels)
    point = x / levels[0].alpha
    for here, there in pairwise(levels):
        at, to = here.sigma / here.alpha, there.sigma / there.alpha
        slope = (point - expected(point * here.alpha, here)) / at
        point = point + (to - at) * slope
    torch.testing.assert_close(found, point, atol=1e-5, rtol=1e-4)


def test_a_step_is_eulers_on_rectified_flow():
    levels = flow_levels(5, 2.0)
    x = torch.randn(2, 1, 2, 2, generator=generator(1))
    found = drawn(x, levels)
    for here, there in pairwise(levels):
        clean = expected(x, here)
        epsilon = (x - (1 - here.time) * clean) / here.time
        x = x + (there.time - here.time) * (epsilon - clean)
    torch.testing.assert_close(found, x, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_a_picture_does_not_depend_on_its_batch(eta):
    def of(seeds):
        random = RowRandom(seeds)
        return drawn(random.normal(*Gaussian.shape), spaced_levels(STABLE, 5, "leading", 1), eta, random)

    whole = of([7, 8, 9])
    assert torch.equal(of([8])[0], whole[1]) and torch.equal(of([9, 8]), whole[[2, 1]])


def test_every_level_but_the_last_is_a_pass():
    levels = spaced_levels(STABLE, 7, "linspace")
    network, x = Gaussian(2, levels), torch.ones(2, 1, 2, 2)
    found = sample(network, x, levels)
    assert network.asked == levels[:-1] and found.passes.tolist() == [7, 7]
    # To a clean level leads the prediction itself.
    last = drawn(x, [levels[0], CLEAN], 1.0, RowRandom([0, 1]))
    torch.testing.assert_close(last, expected(x, levels[0]))


def test_clean_grids_are_brought_to_where_pictures_are():
    levels = spaced_levels(STABLE, 7, "linspace")
    network = Gaussian(2, levels)
    network.limit = lambda clean: clean.clamp(max=0.5)
    found = sample(network, 3 * torch.ones(2, 1, 2, 2), levels).grids
    assert (found == 0.5).all()


def test_what_does_not_fit_is_refused():
    levels = flow_levels(3)
    network, noise = Gaussian(2, levels), torch.zeros(2, 1, 2, 2)
    with pytest.raises(EaselError, match=r"has the shape \[3, 1, 2, 2\], must be \[2, 1, 2, 2\]"):
        sample(network, torch.zeros(3, 1, 2, 2), levels)
    for wrong in (levels[:1], levels[::-1], [levels[0], levels[0]], [levels[0], Level(0.5, 0.0, 1.0)]):
        with pytest.raises(EaselError, match="two noise levels or more, each with less noise"):
            sample(network, noise, wrong)
    with pytest.raises(EaselError, match=r"eta must be 0 … 1, not 1\.5"):
        sample(network, noise, levels, 1.5)
    for random in (None, RowRandom([1])):
        with pytest.raises(EaselError, match="a seed for each of 2 pictures"):
            sample(network, noise, levels, 0.5, random)
    with pytest.raises(EaselError, match="cannot start from noise alone"):
        sample(Gaussian(2, levels, "epsilon"), noise, levels)
