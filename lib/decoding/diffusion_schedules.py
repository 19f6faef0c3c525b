"""Noise levels of diffusion models: schedules, what networks predict at a level, and the levels that a sampler visits.

At a level with scales α and σ a grid is x = α x₀ + σ ε, its signal-to-noise ratio (α / σ)². A schedule lists the T
levels that a network is trained at. Those of diffusion preserve variance: α² = ᾱ, σ² = 1 − ᾱ. Those of rectified flow
(Liu et al. 2023, arXiv:2209.03003) are straight: α = 1 − t, σ = t. Networks are told a level's time: k / T for number
k = 1 … T of a schedule that preserves variance, σ for a straight one; 0 is clean. Where timesteps are counted from 0,
level k is timestep k − 1.

A larger picture shows more at the same level, since noise averages out over neighbours, and so needs noisier levels.
`shift` s divides every signal-to-noise ratio by s²: Hoogeboom et al. 2023 (arXiv:2301.11093) have s = side / 64, and
for rectified flow it comes to σ′ = sσ / (1 + (s − 1)σ) (Esser et al. 2024, arXiv:2403.03206, equation 23).
"""

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeVar, get_args

import numpy as np
import torch
from torch import Tensor

from lib.decoding.noise_levels import karras
from lib.errors import EaselError

Kind = Literal["linear", "scaled_linear", "cosine", "flow"]
Spacing = Literal["leading", "trailing", "linspace"]
# What a network says of x: the noise, the clean grid, v = α ε − σ x₀ (Salimans and Ho 2022, arXiv:2202.00512, section
# 4), or ε − x₀, along which rectified flow moves.
Target = Literal["epsilon", "x0", "v", "flow"]
Scale = TypeVar("Scale", float, Tensor)

# --- Schedules: β of every level, float64 [T]; ᾱ is the product of 1 − β up to the level ---


def linear_betas(steps: int, first: float = 1e-4, last: float = 0.02) -> Tensor:
    """β of T levels, evenly spaced; DDPM's ends (Ho et al. 2020, arXiv:2006.11239, section 4) at T = 1000."""
    return torch.linspace(first, last, steps, dtype=torch.float64)


def scaled_linear_betas(steps: int, first: float = 0.00085, last: float = 0.012) -> Tensor:
    """β of T levels, √β evenly spaced; Stable Diffusion's ends (Rombach et al. 2022, arXiv:2112.10752, in its code) at
    T = 1000. Kolors has 0.00085 and 0.014 at T = 1100."""
    return torch.linspace(first**0.5, last**0.5, steps, dtype=torch.float64) ** 2


def cosine_betas(steps: int, offset: float = 0.008, most: float = 0.999) -> Tensor:
    """β of T levels whose ᾱ is a squared cosine of the time, none above `most` (Nichol and Dhariwal 2021,
    arXiv:2102.09672, equation 17)."""
    times = torch.linspace(0, 1, steps + 1, dtype=torch.float64)
    kept = torch.cos((times + offset) / (1 + offset) * math.pi / 2) ** 2
    return (1 - kept[1:] / kept[:-1]).clamp(max=most)


def alphas_bar(betas: Tensor) -> Tensor:
    """ᾱ of every level, float64 [T], falling."""
    return (1 - betas).cumprod(dim=0)


def shifted(kept: Tensor, shift: float) -> Tensor:
    """ᾱ [T] with every signal-to-noise ratio divided by shift²."""
    return kept / (kept + shift**2 * (1 - kept))


def zero_terminal(kept: Tensor) -> Tensor:
    """ᾱ [T] changed so that the last level is noise alone and the first as it was: √ᾱ moved and stretched (Lin et al.
    2024, arXiv:2305.08891, algorithm 1)."""
    roots = kept.sqrt()
    return ((roots - roots[-1]) * roots[0] / (roots[0] - roots[-1])) ** 2


class Level(NamedTuple):
    """A noise level: its time from 0 (clean) to 1, and the scales of signal and noise."""

    time: float
    alpha: float
    sigma: float


CLEAN = Level(0.0, 1.0, 0.0)


@dataclass(frozen=True)
class NoiseSchedule:
    """The levels that a network is trained at, from the least noise to the most.

    Attributes:
        times: what networks are told, float64 [T], up to 1.
        alphas, sigmas: scales of signal and noise, float64 [T].
    """

    times: Tensor
    alphas: Tensor
    sigmas: Tensor

    def __len__(self) -> int:
        return len(self.alphas)

    @property
    def snr(self) -> Tensor:
        """Signal-to-noise ratio (α / σ)², float64 [T]."""
        return (self.alphas / self.sigmas) ** 2

    def level(self, number: int) -> Level:
        """That of number 1 … T; 0 is clean."""
        if number == 0:
            return CLEAN
        return Level(*(float(values[number - 1]) for values in (self.times, self.alphas, self.sigmas)))


def noise_schedule(
    kind: Kind, steps: int, betas: tuple[float, ...] = (), shift: float = 1.0, zero_terminal_snr: bool = False
) -> NoiseSchedule:
    """A schedule of `steps` levels.

    Args:
        betas: the first and the last β of the two linear kinds, which alone have any.
        shift: above 0; 1 leaves the schedule as it is.
        zero_terminal_snr: whether the last level is made noise alone, as that of rectified flow is.

    Raises:
        EaselError: an unknown kind.
    """
    if kind not in get_args(Kind):
        raise EaselError(f"there is no noise schedule {kind!r}; choose one of {', '.join(get_args(Kind))}.")
    times = torch.arange(1, steps + 1, dtype=torch.float64) / steps
    if kind == "flow":
        sigmas = shifted_flow(times, shift)
        return NoiseSchedule(sigmas, 1 - sigmas, sigmas)
    make = {"linear": linear_betas, "scaled_linear": scaled_linear_betas, "cosine": cosine_betas}[kind]
    kept = shifted(alphas_bar(make(steps, *betas)), shift)
    if zero_terminal_snr:
        kept = zero_terminal(kept)
    return NoiseSchedule(times, kept.sqrt(), (1 - kept).sqrt())


def shifted_flow(sigmas: Tensor, shift: float) -> Tensor:
    """σ of rectified flow [...] with every signal-to-noise ratio ((1 − σ) / σ)² divided by shift²."""
    return shift * sigmas / (1 + (shift - 1) * sigmas)


# --- What networks predict: p = a x₀ + b ε, which with x = α x₀ + σ ε is solved for x₀ and ε ---


def mixture(target: Target, alpha: Scale, sigma: Scale) -> tuple[Scale | float, Scale | float]:
    """a and b of a target at a level."""
    return {"epsilon": (0.0, 1.0), "x0": (1.0, 0.0), "v": (-sigma, alpha), "flow": (-1.0, 1.0)}[target]


def prediction_of(target: Target, clean: Tensor, noise: Tensor, alpha: Scale, sigma: Scale) -> Tensor:
    """What a network should say of x = α x₀ + σ ε; scales are numbers, or broadcast against the grids."""
    a, b = mixture(target, alpha, sigma)
    return a * clean + b * noise


def clean_of(target: Target, prediction: Tensor, x: Tensor, alpha: Scale, sigma: Scale) -> Tensor:
    """x₀ by a prediction of x. From ε alone it does not follow where α = 0, as ε does not from x₀ where σ = 0."""
    a, b = mixture(target, alpha, sigma)
    return (b * x - sigma * prediction) / (alpha * b - sigma * a)


def noise_of(target: Target, prediction: Tensor, x: Tensor, alpha: Scale, sigma: Scale) -> Tensor:
    """ε by a prediction of x; see `clean_of`."""
    a, b = mixture(target, alpha, sigma)
    return (alpha * prediction - a * x) / (alpha * b - sigma * a)


# --- Levels that a sampler visits: from the most noise to none, S + 1 of them for S passes ---


def timesteps(steps: int, count: int, spacing: Spacing, offset: int = 0) -> list[int]:
    """Which of the levels 0 … T − 1 (counted from 0, as papers' code does) `count` passes visit, falling (Lin et al.
    2024, table 2).

    Args:
        spacing: leading steps by ⌊T / count⌋ from 0 up, as DDIM's code does, and never reaches the last level; trailing
            steps by T / count from the last level down; linspace has both ends.
        offset: added to the leading ones. Stable Diffusion and Kolors have 1.

    Raises:
        EaselError: an unknown spacing, or timesteps outside the schedule.
    """
    if spacing == "leading":
        chosen = np.arange(count)[::-1] * (steps // max(count, 1)) + offset
    elif spacing == "trailing":
        chosen = np.rint(steps - np.arange(count) * (steps / max(count, 1))) - 1
    elif spacing == "linspace":
        chosen = np.rint(np.linspace(steps - 1, 0, count))
    else:
        raise EaselError(f"there is no spacing {spacing!r}; choose one of {', '.join(get_args(Spacing))}.")
    if not (1 <= count <= steps and chosen.min() >= 0 and chosen.max() < steps):
        raise EaselError(f"{count} passes with {spacing} spacing and offset {offset} do not fit {steps} levels.")
    return chosen.astype(int).tolist()


def spaced_levels(schedule: NoiseSchedule, count: int, spacing: Spacing, offset: int = 0) -> list[Level]:
    """Levels of a schedule for `count` passes, and the clean one; see `timesteps`.

    The last pass always leads to x₀ as predicted. (Stable Diffusion's DDIM leads to the first level's ᾱ instead.)
    """
    return [schedule.level(k + 1) for k in timesteps(len(schedule), count, spacing, offset)] + [CLEAN]


def karras_levels(schedule: NoiseSchedule, count: int) -> list[Level]:
    """Levels for `count` passes whose ratios of noise to signal σ / α are spaced as in Karras et al. 2022
    (arXiv:2206.00364, equation 5, ρ = 7), between the ends of a schedule that preserves variance.

    Times between two levels of the schedule follow log(σ / α), linearly.

    Raises:
        EaselError: the last level has no signal, so that its ratio is infinite.
    """
    if not schedule.alphas[-1] > 0:
        raise EaselError("Karras' spacing needs signal at every level; this schedule ends in noise alone.")
    ratios = (schedule.sigmas / schedule.alphas).numpy()
    chosen = karras(count, ratios[0], ratios[-1]).numpy()[::-1]  # [count], falling
    times = np.interp(np.log(chosen), np.log(ratios), schedule.times.numpy())
    alphas = 1 / np.sqrt(1 + chosen**2)
    return [Level(*map(float, level)) for level in zip(times, alphas, chosen * alphas, strict=True)] + [CLEAN]


def flow_levels(count: int, shift: float = 1.0) -> list[Level]:
    """Levels of rectified flow for `count` passes, evenly spaced before the shift.

    Since networks are told σ itself, one that was trained with some shift can be sampled with any.
    """
    sigmas = shifted_flow(torch.linspace(1, 0, count + 1, dtype=torch.float64), shift)
    return [Level(sigma, 1 - sigma, sigma) for sigma in sigmas.tolist()]
