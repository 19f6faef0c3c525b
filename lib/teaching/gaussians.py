"""A law of two Gaussians on a line, whose best possible denoiser is a formula: what samplers do, without a network."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from lib.decoding.diffusion_schedules import Level, Target, prediction_of

MEANS, DEVIATION, WEIGHTS = (-1.0, 1.0), 0.2, (0.3, 0.7)


class TwoGaussians:
    """A `NoisePredictor` of lib/decoding/diffusion.py: every row is a point on the line, a grid of one cell.

    Args:
        rows: points that are drawn at once.
        levels: that the sampler visits, by whose times it finds α and σ.
        target: what it says.

    Attributes:
        path: what it was shown, a tensor [B] for each pass.
    """

    shape = (1, 1, 1)

    def __init__(self, rows: int, levels: Sequence[Level], target: Target = "v"):
        self.rows, self.target = rows, target
        self.levels = {level.time: level for level in levels}
        self.path: list[Tensor] = []

    def predict(self, x: Tensor, time: Tensor) -> Tensor:
        here = min(self.levels.values(), key=lambda level: abs(level.time - float(time[0])))
        self.path.append(x.flatten())
        clean = expected(x, here.alpha, here.sigma)
        return prediction_of(self.target, clean, (x - here.alpha * clean) / here.sigma, here.alpha, here.sigma)

    def limit(self, clean: Tensor) -> Tensor:
        return clean


def expected(x: Tensor, alpha: float, sigma: float) -> Tensor:
    """E[x₀ | x] where x = α x₀ + σ ε, in closed form: both Gaussians' answers, weighed by how likely x makes them."""
    means = torch.tensor(MEANS, dtype=x.dtype)
    variance = alpha**2 * DEVIATION**2 + sigma**2  # of x, given one of the two
    off = x.unsqueeze(-1) - alpha * means  # [..., 2]
    share = (torch.tensor(WEIGHTS, dtype=x.dtype).log() - off**2 / (2 * variance)).softmax(dim=-1)  # [..., 2]
    return (share * (means + alpha * DEVIATION**2 / variance * off)).sum(dim=-1)


def density(x: np.ndarray) -> np.ndarray:
    """Of the law at points [n]."""
    bells = [np.exp(-0.5 * ((x - mean) / DEVIATION) ** 2) / (DEVIATION * math.sqrt(2 * math.pi)) for mean in MEANS]
    return np.tensordot(WEIGHTS, bells, axes=1)


def below(x: np.ndarray) -> np.ndarray:
    """The law's share below points [n]."""
    from scipy.stats import norm

    return np.tensordot(WEIGHTS, [norm.cdf(x, mean, DEVIATION) for mean in MEANS], axes=1)


def distance(points: Tensor) -> float:
    """The largest difference between the points' distribution function and the law's (Kolmogorov and Smirnov), 0 … 1.

    Of n points that do follow the law it is above 1.36 / √n one time in twenty.
    """
    from scipy.stats import kstest

    return float(kstest(points.flatten().numpy(), below).statistic)
