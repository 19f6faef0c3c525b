"""Sampling from diffusion models and rectified flows: from noise to a grid, pixels or latents, level by level.

A pass asks a network what x = α x₀ + σ ε is made of, x₀ and ε, and mixes both again at the next level, with less
noise. Where the levels are decides which sampler this is, of those of first order:

- levels of a schedule that preserves variance: DDIM (Song et al. 2021, arXiv:2010.02502, equation 12). `eta` is the
  paper's η: the share of the noise that is drawn anew, 0 for none, 1 for as much as DDPM draws.
- Karras' spacing: Euler's method on the probability-flow ODE, with σ / α as the time and x / α as the point (Karras et
  al. 2022, arXiv:2206.00364, algorithm 1 without its correction). DDIM at η = 0 is that method on its own levels.
- α = 1 − t, σ = t: Euler's method on rectified flow, x′ = x + (t′ − t)(ε − x₀) (Liu et al. 2023, arXiv:2209.03003).

That the three are one formula has a use: it is finite at a level of noise alone, where σ / α is not.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import torch
from torch import Tensor

from lib.decoding.diffusion_schedules import Level, Target, clean_of, noise_of
from lib.decoding.noise import RowRandom
from lib.errors import EaselError


class NoisePredictor(Protocol):
    """A network that says what noisy grids are made of, with the captions and guidance inside.

    Attributes:
        rows: pictures drawn at once, B.
        shape: of a grid, (C, H, W).
        target: what it says.
    """

    rows: int
    shape: tuple[int, int, int]
    target: Target

    def predict(self, x: Tensor, time: Tensor) -> Tensor:
        """What it says of x, float32 [B, C, H, W]: of each row by itself.

        Args:
            x: float32 [B, C, H, W]; time: of the noise level, float32 [B].
        """
        ...

    def limit(self, clean: Tensor) -> Tensor:
        """x₀ as it follows from a prediction, [B, C, H, W], brought to where pictures are, each by itself: dynamic
        thresholding of pixels, for instance."""
        ...


@dataclass(frozen=True)
class Sampled:
    """Grids and what they cost.

    Attributes:
        grids: float32 [B, C, H, W].
        passes: int64 [B], network calls; the second row that guidance computes is not counted.
    """

    grids: Tensor
    passes: Tensor


def sample(
    predictor: NoisePredictor, noise: Tensor, levels: Sequence[Level], eta: float = 0.0, random: RowRandom | None = None
) -> Sampled:
    """Denoises `noise` in len(levels) − 1 passes.

    Args:
        noise: where it starts, float32 [B, C, H, W], standard normal: `RowRandom.normal` gives every picture its own.
        levels: from the most noise to the least, the last one usually clean (`spaced_levels`, `karras_levels`,
            `flow_levels`). Where the first one has signal left, a start without any is slightly wrong, as usual (Lin et
            al. 2024, arXiv:2305.08891, section 3.1).
        eta: η, in 0 … 1.
        random: of the noise that is drawn anew, [C, H, W] a pass where there is any; only η > 0 needs it.

    Raises:
        EaselError: noise of the wrong shape, levels that do not fall, η out of range, random numbers missing or for
            another number of pictures, or a network that says ε alone where that says nothing of x₀.
    """
    wanted = (predictor.rows, *predictor.shape)
    if noise.shape != wanted:
        raise EaselError(f"the noise has the shape {list(noise.shape)}, must be {list(wanted)}.")
    if len(levels) < 2 or any(here.sigma * there.alpha <= there.sigma * here.alpha for here, there in pairwise(levels)):
        raise EaselError("sampling needs two noise levels or more, each with less noise than the one before.")
    if not 0 <= eta <= 1:
        raise EaselError(f"eta must be 0 … 1, not {eta}.")
    if eta > 0 and (random is None or random.rows != predictor.rows):
        raise EaselError(f"eta above 0 needs a seed for each of {predictor.rows} pictures.")
    if predictor.target == "epsilon" and levels[0].alpha == 0:
        raise EaselError("a network that predicts ε cannot start from noise alone (zero terminal SNR); predict v.")
    x = noise
    for here, there in pairwise(levels):
        said = predictor.predict(x, torch.full((predictor.rows,), here.time, device=x.device))
        clean = predictor.limit(clean_of(predictor.target, said, x, here.alpha, here.sigma))
        epsilon = noise_of("x0", clean, x, here.alpha, here.sigma)
        # Equation 16 of DDIM, written for any α and σ: none at a clean level.
        fresh = eta * there.sigma * (1 - (here.alpha * there.sigma / (there.alpha * here.sigma)) ** 2) ** 0.5
        x = there.alpha * clean + (there.sigma**2 - fresh**2) ** 0.5 * epsilon
        if fresh > 0:
            x = x + fresh * random.normal(*predictor.shape)
    return Sampled(grids=x, passes=torch.full((predictor.rows,), len(levels) - 1, device=noise.device))
