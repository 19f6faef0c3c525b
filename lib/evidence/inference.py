"""What a handful of seeds allows to be said: t intervals, p values, Holm's correction, and how small a p must be.

docs/statistics.md has what these rules promise, by simulation, beside the rules that they were chosen over.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtr, stdtrit

from lib.evidence.statistics import Interval

# False verdicts allowed in total, in either direction: of a study whose differences are normal, of any one claim.
ALPHA = 0.05
# Largest p that decides a claim of so many seeds, whatever the correction says, and that of one with any other number:
# differences like a centred log-normal variable (σ = 1), which piles up on one side of its mean, fall below it in less
# than ALPHA of all draws.
SKEWED, SKEWED_OTHERWISE = {5: 0.0028, 6: 0.0022}, 0.0016
# A spread below this share of the values is one of rounding.
ROUNDING = 1e-9


def t_interval(values: ArrayLike, level: float = 1 - ALPHA) -> Interval:
    """Student's interval of the mean of values [n]; of one value, the value without any width."""
    array = np.asarray(values, dtype=np.float64)
    mean, count = float(array.mean()), len(array)
    if count == 1:
        return Interval(mean, mean, mean)
    half = float(stdtrit(count - 1, (1 + level) / 2) * array.std(ddof=1) / np.sqrt(count))
    return Interval(mean, mean - half, mean + half)


def t_p(values: ArrayLike) -> np.ndarray:
    """Two-sided p of the t test that the mean of values [..., n], n ≥ 2, is 0; [...].

    Values without spread have no t. Their p is that of the exact sign-flip test, 2 · 2^-n, and 1 where all are 0.
    """
    array = np.asarray(values, dtype=np.float64)
    count, mean, sd = array.shape[-1], array.mean(axis=-1), array.std(axis=-1, ddof=1)
    flat = sd <= ROUNDING * np.abs(array).max(axis=-1)
    t = np.abs(mean) / np.where(flat, 1.0, sd) * np.sqrt(count)
    return np.where(flat, np.where(mean == 0, 1.0, 2.0 ** (1 - count)), 2 * stdtr(count - 1, -t))


def outside(values: ArrayLike, margin: float) -> np.ndarray:
    """Values [..., n] measured from the end of −margin … margin that is nearest to their mean: above 0 is outside.

    The p of these is twice that of two one-sided tests (TOST) where the mean lies inside: one half for "equal", one for
    "not equal".
    """
    array = np.asarray(values, dtype=np.float64)
    return array * np.where(array.mean(axis=-1, keepdims=True) < 0, -1, 1) - margin


def holm(p: ArrayLike) -> np.ndarray:
    """p values [..., m] of m tests, corrected so that any false one falls below α in at most α of all draws (1979).

    In order of size the smallest is multiplied by m, the next by m − 1 and so on; none becomes smaller than one before.
    """
    array = np.asarray(p, dtype=np.float64)
    count = array.shape[-1]
    order = np.argsort(array, axis=-1)
    factors = count - np.arange(count)
    steps = np.maximum.accumulate(np.take_along_axis(array, order, axis=-1) * factors, axis=-1)
    found = np.empty_like(array)
    np.put_along_axis(found, order, np.minimum(steps, 1.0), axis=-1)
    return found


def largest_p(seeds: int) -> float:
    """The p above which so many seeds decide nothing, because skewed differences show as much too often."""
    return SKEWED.get(seeds, SKEWED_OTHERWISE)


def decided(p: ArrayLike, corrected: ArrayLike, seeds: int) -> np.ndarray:
    """Whether p and its corrected value decide a claim of so many seeds: in favour or against it, as the mean says."""
    return (np.asarray(corrected) <= ALPHA) & (np.asarray(p) <= largest_p(seeds))
