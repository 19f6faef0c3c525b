"""Noise levels of speculative Jacobi-denoising decoding (SJD2, Teng et al. 2025, arXiv:2510.08994) and its fine-tuning.

A level is a whole number: 0 is clean, `steps` is pure noise, and every denoising step goes down by one. The time of a
level lies between 0 and 1; a vector at time t is (1 − t)·clean + t·noise (the paper's appendix A).

The paper gives neither the spacing's constants nor how Karras' noise scales become times. Spacings here:

- "linear": time k / steps.
- "karras": the scales of Karras et al. 2022 (EDM, arXiv:2206.00364, equation 5, with its σ from 0.002 to 80 and ρ = 7),
  which are ratios of noise to signal, so that t = σ / (1 + σ). The only reading that keeps what EDM's scales mean.
- "karras_time": EDM's formula applied to the times themselves, from 0.002 to 1, as if σ were t.

Both Karras spacings spend most steps near the clean end. The top level is exactly 1 in all of them.
"""

from typing import Literal, get_args

import torch
from torch import Tensor

from lib.errors import EaselError

Spacing = Literal["linear", "karras", "karras_time"]

RHO, SIGMA_MIN, SIGMA_MAX = 7.0, 0.002, 80.0


def levels(steps: int, spacing: Spacing) -> Tensor:
    """The time of every level, float32 [steps + 1], rising from exactly 0 to exactly 1.

    Raises:
        EaselError: no step, or an unknown spacing.
    """
    if steps < 1:
        raise EaselError(f"denoising needs at least one step, not {steps}.")
    if spacing not in get_args(Spacing):
        raise EaselError(f"there is no spacing {spacing!r}; choose one of {', '.join(get_args(Spacing))}.")
    if spacing == "linear":
        return (torch.arange(steps + 1, dtype=torch.float64) / steps).float()
    if spacing == "karras":
        scales = karras(steps, SIGMA_MIN, SIGMA_MAX)
        noisy = scales / (1 + scales)
    else:
        noisy = karras(steps, SIGMA_MIN, 1.0)
    noisy[-1] = 1.0  # a window starts as noise and nothing else
    return torch.cat([noisy.new_zeros(1), noisy]).float()


def karras(count: int, least: float, most: float) -> Tensor:
    """`count` noise scales from `least` to `most` (a single one is `most`), float64, evenly spaced in σ^(1/ρ)."""
    share = torch.linspace(0, 1, count, dtype=torch.float64) if count > 1 else torch.ones(1, dtype=torch.float64)
    low, high = least ** (1 / RHO), most ** (1 / RHO)
    return (low + share * (high - low)) ** RHO


def corrupt(clean: Tensor, noise: Tensor, time: Tensor) -> Tensor:
    """Vectors [..., D] brought to times [...] (equation 4)."""
    time = time.unsqueeze(-1)
    return (1 - time) * clean + time * noise


def shares(times: Tensor) -> Tensor:
    """s / t of every level, float [T + 1], from the times of levels 1 … T: s is the time of the level below. 0 for the
    clean level, which has none, as for level 1."""
    return torch.cat([times.new_zeros(2), times[:-1] / times[1:]])


def denoise(noisy: Tensor, estimate: Tensor, share: Tensor) -> Tensor:
    """One step down (equation 3): noisy vectors [..., D], clean estimates, and s / t [...] of the levels they are at.

    The equation comes to (s / t)·noisy + (1 − s / t)·estimate, which is defined at t = 1 too. From level 1 the result
    is the estimate itself.
    """
    return torch.lerp(estimate, noisy, share.unsqueeze(-1))
