"""Noise schedules against numbers worked out by hand, conversions against each other."""

import math
from itertools import pairwise
from typing import get_args

import pytest
import torch

from lib.decoding.diffusion_schedules import (
    CLEAN,
    Kind,
    Spacing,
    Target,
    alphas_bar,
    clean_of,
    cosine_betas,
    flow_levels,
    karras_levels,
    linear_betas,
    noise_of,
    noise_schedule,
    prediction_of,
    scaled_linear_betas,
    shifted,
    spaced_levels,
    timesteps,
    zero_terminal,
)
from lib.errors import EaselError
from lib.weights.torch_state import generator

KINDS, SPACINGS, TARGETS = get_args(Kind), get_args(Spacing), get_args(Target)
STABLE = noise_schedule("scaled_linear", 1000, (0.00085, 0.012))


def product(betas):
    """ᾱ of the last level, in plain Python."""
    return math.prod(1 - beta for beta in betas)


def test_linear_betas():
    assert linear_betas(5, 0.1, 0.5).tolist() == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5])
    assert alphas_bar(linear_betas(3, 0.1, 0.3)).tolist() == pytest.approx([0.9, 0.72, 0.504])
    assert float(alphas_bar(linear_betas(1000))[-1]) == pytest.approx(4.036e-5, rel=1e-3)  # DDPM's


def test_scaled_linear_betas():
    assert scaled_linear_betas(3, 0.01, 0.09).tolist() == pytest.approx([0.01, 0.04, 0.09])
    for steps, last, terminal in ((1000, 0.012, 0.0047), (1100, 0.014, 0.0012)):  # SDXL's and Kolors'
        ends = 0.00085**0.5, last**0.5
        betas = [(ends[0] + (ends[1] - ends[0]) * k / (steps - 1)) ** 2 for k in range(steps)]
        kept = alphas_bar(scaled_linear_betas(steps, 0.00085, last))
        assert float(kept[-1]) == pytest.approx(product(betas), rel=1e-9) == pytest.approx(terminal, abs=5e-5)


def test_kolors_ends_with_a_quarter_of_the_signal_to_noise_ratio():
    kolors = noise_schedule("scaled_linear", 1100, (0.00085, 0.014))
    assert float(STABLE.snr[-1] / kolors.snr[-1]) == pytest.approx(4, abs=0.2)
    assert kolors.snr[-1] > 0


def test_cosine_betas():
    def kept(t):
        return math.cos((t + 0.008) / 1.008 * math.pi / 2) ** 2 / math.cos(0.008 / 1.008 * math.pi / 2) ** 2

    found = alphas_bar(cosine_betas(1000))
    for k in (0, 249, 499, 899):
        assert float(found[k]) == pytest.approx(kept((k + 1) / 1000), rel=1e-9)
    assert float(cosine_betas(1000)[-1]) == 0.999 and 0 < found[-1] < 1e-8


@pytest.mark.parametrize("kind", KINDS)
def test_schedules_lose_signal_and_gain_noise(kind):
    schedule = noise_schedule(kind, 50, (0.001, 0.2) if kind.endswith("linear") else ())
    assert len(schedule) == 50 and schedule.times[-1] == 1
    for values, sign in ((schedule.times, 1), (schedule.alphas, -1), (schedule.sigmas, 1), (schedule.snr, -1)):
        assert (sign * values.diff() > 0).all() and values.dtype == torch.float64
    assert schedule.level(0) == CLEAN
    assert schedule.level(50).sigma == float(schedule.sigmas[-1])
    kept = schedule.alphas + schedule.sigmas if kind == "flow" else schedule.alphas**2 + schedule.sigmas**2
    torch.testing.assert_close(kept, torch.ones(50, dtype=torch.float64))


def test_zero_terminal_snr_is_exactly_zero_and_leaves_the_first_level():
    kept = alphas_bar(scaled_linear_betas(1000))
    found = zero_terminal(kept)
    assert found[-1] == 0 and float(found[0]) == pytest.approx(float(kept[0]), rel=1e-12)
    roots = kept.sqrt()
    middle = (roots[500] - roots[-1]) * roots[0] / (roots[0] - roots[-1])
    assert float(found[500]) == pytest.approx(float(middle**2), rel=1e-12)
    schedule = noise_schedule("scaled_linear", 1000, (0.00085, 0.012), zero_terminal_snr=True)
    assert schedule.snr[-1] == 0 and schedule.level(1000) == (1.0, 0.0, 1.0)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shift", [0.5, 1.0, 4.0])
def test_a_shift_divides_every_signal_to_noise_ratio_by_its_square(kind, shift):
    betas = (0.001, 0.1) if kind.endswith("linear") else ()
    plain, found = noise_schedule(kind, 20, betas), noise_schedule(kind, 20, betas, shift)
    torch.testing.assert_close(found.snr, plain.snr / shift**2)


def test_shifts_by_hand():
    assert shifted(torch.tensor([0.5, 0.0]), 2.0).tolist() == pytest.approx([0.2, 0.0])  # SNR 1 → 1/4
    assert [level.sigma for level in flow_levels(4, 3.0)] == pytest.approx([1, 0.9, 0.75, 0.5, 0])


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("scales", [(0.8, 0.6), (0.3, 0.7), (0.9999, 0.0141)])
def test_conversions_are_inverse(target, scales):
    clean, noise = torch.randn(2, 3, 2, 2, 2, generator=generator(0), dtype=torch.float64)
    for alpha, sigma in (scales, torch.tensor(scales).double().expand(3, 2).T.reshape(2, 3, 1, 1, 1)):
        x = alpha * clean + sigma * noise
        said = prediction_of(target, clean, noise, alpha, sigma)
        torch.testing.assert_close(clean_of(target, said, x, alpha, sigma), clean)
        torch.testing.assert_close(noise_of(target, said, x, alpha, sigma), noise)


def test_targets_are_what_they_are_called():
    clean, noise = torch.tensor([1.0]), torch.tensor([10.0])
    found = [float(prediction_of(target, clean, noise, 0.8, 0.6)) for target in ("epsilon", "x0", "v", "flow")]
    assert found == pytest.approx([10, 1, 0.8 * 10 - 0.6 * 1, 9])
    # v at noise alone: −x₀.
    assert float(clean_of("v", torch.tensor([-1.0]), noise, 0.0, 1.0)) == 1


def test_timesteps_by_hand():
    """Table 2 of Lin et al.: T = 1000, ten passes (counted there from 1)."""
    assert timesteps(1000, 10, "leading") == [900, 800, 700, 600, 500, 400, 300, 200, 100, 0]
    assert timesteps(1000, 10, "linspace") == [999, 888, 777, 666, 555, 444, 333, 222, 111, 0]
    assert timesteps(1000, 10, "trailing") == [999, 899, 799, 699, 599, 499, 399, 299, 199, 99]
    assert timesteps(1000, 50, "leading", 1)[:2] == [981, 961]  # Stable Diffusion's
    assert timesteps(7, 3, "trailing") == [6, 4, 1]
    for spacing in SPACINGS:
        assert timesteps(5, 5, spacing) == [4, 3, 2, 1, 0]


@pytest.mark.parametrize("spacing", SPACINGS)
def test_spaced_levels_are_those_of_the_schedule(spacing):
    levels = spaced_levels(STABLE, 20, spacing)
    assert len(levels) == 21 and levels[-1] == CLEAN
    assert levels[:-1] == [STABLE.level(k + 1) for k in timesteps(1000, 20, spacing)]
    assert all(here.time > there.time for here, there in pairwise(levels))


def test_karras_spacing():
    levels = karras_levels(STABLE, 5)
    ratios = [level.sigma / level.alpha for level in levels]
    ends = [float(STABLE.sigmas[k] / STABLE.alphas[k]) ** (1 / 7) for k in (0, -1)]
    assert ratios == pytest.approx([*((ends[1] + (ends[0] - ends[1]) * k / 4) ** 7 for k in range(5)), 0])
    assert levels[0].time == 1 and levels[4].time == pytest.approx(0.001) and levels[5] == CLEAN
    for level in levels:
        assert level.alpha**2 + level.sigma**2 == pytest.approx(1)
        near = STABLE.level(round(1000 * level.time))
        assert level.sigma == pytest.approx(near.sigma, abs=2e-3)


def test_flow_levels():
    for sigma, level in zip([1, 0.75, 0.5, 0.25, 0], flow_levels(4), strict=True):
        assert level == (sigma, 1 - sigma, sigma)
    schedule = noise_schedule("flow", 4, shift=3.0)  # a network is told σ in training as well
    assert [schedule.level(k) for k in (4, 3, 2, 1, 0)] == flow_levels(4, 3.0)


def test_what_is_not_there_is_refused():
    with pytest.raises(EaselError, match="there is no noise schedule 'square'"):
        noise_schedule("square", 10)
    with pytest.raises(EaselError, match="there is no spacing 'karras'"):
        timesteps(10, 2, "karras")
    for count, offset in ((0, 0), (11, 0), (10, 1)):
        with pytest.raises(EaselError, match=f"{count} passes with leading spacing and offset {offset} do not fit 10"):
            timesteps(10, count, "leading", offset)
    with pytest.raises(EaselError, match="ends in noise alone"):
        karras_levels(noise_schedule("cosine", 10, zero_terminal_snr=True), 3)
