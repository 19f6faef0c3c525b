"""Intervals and tests for few seeds and many samples.

What is measured on many samples (accuracy over pictures) gets a bootstrap interval; what is compared over
few training seeds is compared *paired*, seed by seed, with a BCa interval of the differences and an exact sign-flip
test. A bootstrap interval of a handful of values is too narrow, so no verdict rests on it alone: the sign-flip test,
which is exact at any number of seeds, has to agree (`lib.evidence.verdicts`).

Every function refuses NaN and infinity: a missing number must be seen, not averaged.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from lib.errors import EaselError

# 2^16 sign patterns are enumerated in a few milliseconds; above that the test draws patterns.
EXACT_SIGN_FLIPS = 16
# Upper bound on the numbers that one block of resampled rows may hold (64 MiB of float64).
BLOCK_ELEMENTS = 8_000_000


@dataclass(frozen=True)
class Interval:
    """A value with its confidence interval, all in the unit of the data."""

    value: float
    low: float
    high: float

    def above(self, bound: float) -> bool:
        """The whole interval lies above `bound`."""
        return self.low > bound

    def below(self, bound: float) -> bool:
        """The whole interval lies below `bound`."""
        return self.high < bound


def _finite(values: ArrayLike, what: str) -> np.ndarray:
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise EaselError(f"{what}: expected numbers, found {values!r}.") from error
    if array.ndim == 0 or len(array) == 0:
        raise EaselError(f"{what}: needs at least one value.")
    if not np.isfinite(array).all():
        bad = int((~np.isfinite(array)).sum())
        raise EaselError(f"{what}: {bad} of {array.size} values are NaN or infinite; find out where they come from.")
    return array


def bootstrap(
    rows: ArrayLike,
    statistic: Callable[[np.ndarray], np.ndarray],
    generator: np.random.Generator,
    *,
    level: float = 0.95,
    resamples: int = 2000,
) -> Interval:
    """Percentile bootstrap interval of any statistic of the rows (Efron 1979).

    Rows [N, ...] are drawn with replacement, N at a time; the interval lies between the (1 − level)/2 and
    (1 + level)/2 quantiles of the statistic over the draws.

    Args:
        rows: N rows; what belongs together (one picture's scores) stays together in a row.
        statistic: maps resampled rows [R, N, ...] to [R]; it is called with blocks of draws, never one by one.
        generator: source of the draws.

    Raises:
        EaselError: no rows, NaN among them, or a statistic that does not return one finite number per draw.
    """
    array = _finite(rows, "bootstrap")
    count = len(array)
    block = max(1, BLOCK_ELEMENTS // array.size)
    draws = []
    for start in range(0, resamples, block):
        index = generator.integers(0, count, size=(min(block, resamples - start), count))
        draws.append(np.asarray(statistic(array[index]), dtype=np.float64))  # [R, N, ...] -> [R]
        if draws[-1].shape != (len(index),):
            shape = draws[-1].shape
            raise EaselError(
                f"bootstrap: the statistic must map [R, N, ...] to [R]; for R = {len(index)} it gave {shape}."
            )
    values = _finite(np.concatenate(draws), "bootstrap statistic")
    value = float(_finite(statistic(array[None]), "bootstrap statistic")[0])
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return Interval(value, float(low), float(high))


def bootstrap_mean(
    values: ArrayLike, generator: np.random.Generator, *, level: float = 0.95, resamples: int = 2000
) -> Interval:
    """Percentile bootstrap interval of the mean of values [N]; see `bootstrap`. One value: low = value = high."""
    return bootstrap(values, lambda rows: rows.mean(axis=1), generator, level=level, resamples=resamples)


def differences(baseline: ArrayLike, treatment: ArrayLike) -> np.ndarray:
    """Per-seed differences treatment − baseline, float64 [n].

    Raises:
        EaselError: the two do not have one value for each of the same seeds, or hold NaN.
    """
    first, second = _finite(baseline, "baseline"), _finite(treatment, "treatment")
    if first.shape != second.shape or first.ndim != 1:
        raise EaselError(
            f"paired seeds: baseline has {first.size} values and treatment {second.size}; "
            "both need one value per seed, for the same seeds in the same order."
        )
    return second - first


def paired_interval(
    differences: ArrayLike, generator: np.random.Generator, *, level: float = 0.95, resamples: int = 10_000
) -> Interval:
    """BCa bootstrap interval of the mean per-seed difference [n] (Efron 1987, through scipy).

    Bias correction z0 = Phi^-1(share of bootstrap means below the observed one) and acceleration
    a = Σ d_i^3 / (6 (Σ d_i^2)^1.5), d_i the deviations of the leave-one-out means from their average.
    One value or no variance: the interval has no width.
    """
    from scipy.stats import DegenerateDataWarning
    from scipy.stats import bootstrap as scipy_bootstrap

    array = _finite(differences, "paired differences")
    mean = float(array.mean())
    if len(array) == 1 or np.ptp(array) == 0:
        return Interval(mean, mean, mean)

    with warnings.catch_warnings():
        # Where BCa is undefined (all bootstrap means on one side of the observed one) scipy warns and gives NaN.
        warnings.simplefilter("ignore", DegenerateDataWarning)
        warnings.simplefilter("ignore", RuntimeWarning)
        interval = scipy_bootstrap(
            (array,), np.mean, n_resamples=resamples, confidence_level=level, method="BCa", rng=generator
        ).confidence_interval
    low, high = float(interval.low), float(interval.high)
    if not np.isfinite([low, high]).all():
        return bootstrap_mean(array, generator, level=level, resamples=resamples)
    return Interval(mean, low, high)


def sign_flip_p(differences: ArrayLike, alternative: str, generator: np.random.Generator) -> float:
    """p-value of the paired sign-flip (randomisation) test of the mean difference (Fisher 1935, section 21).

    Under the null hypothesis each difference is symmetric about zero, so all 2^n sign patterns are equally likely;
    p is the share of patterns whose mean is at least as extreme as the observed one. All patterns are enumerated
    for n ≤ 16; above, 100,000 are drawn and p = (1 + hits) / (1 + draws).
    The smallest p that n seeds can give one-sided is 2^-n: below 0.05 needs at least five seeds.

    Args:
        alternative: "greater" (mean > 0), "less" (mean < 0) or "two-sided".
        generator: used only above 16 differences.
    """
    array = _finite(differences, "paired differences")
    if alternative not in ("greater", "less", "two-sided"):
        raise EaselError(f"sign-flip test: alternative must be greater, less or two-sided, not {alternative!r}.")
    count = len(array)
    if count <= EXACT_SIGN_FLIPS:
        patterns = (np.arange(2**count)[:, None] >> np.arange(count)) & 1  # [2^n, n] of 0, 1
        sums = (1 - 2 * patterns) @ array  # [2^n]
        extra = 0
    else:
        # Drawn in blocks: 100,000 patterns of many seeds at once would not be small.
        sums = np.concatenate([(1 - 2 * generator.integers(0, 2, size=(10_000, count))) @ array for _ in range(10)])
        extra = 1
    observed = array.sum()
    if alternative == "two-sided":
        sums, observed = np.abs(sums), abs(observed)
    elif alternative == "less":
        sums, observed = -sums, -observed
    # Sums of the same numbers in another order differ in the last bits; such a tie counts as "as extreme".
    slack = 1e-12 * np.abs(array).sum()
    hits = int((sums >= observed - slack).sum())
    return (hits + extra) / (len(sums) + extra)


def generator_of(name: str) -> np.random.Generator:
    """The random numbers of what is called so."""
    return np.random.default_rng(int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big"))


def estimate(values: Sequence[float], name: str) -> dict[str, Any]:
    """Mean over seeds with its 95 % interval (BCa), and the values; `name` seeds the resampling."""
    return asdict(paired_interval(values, generator_of(name))) | {"by_seed": [float(value) for value in values]}


def ratios(baseline: Sequence[float], treatment: Sequence[float]) -> list[float]:
    """How many times less the treatment takes than the baseline, seed by seed."""
    return [slow / fast for slow, fast in zip(baseline, treatment, strict=True)]


def paired(baseline: Sequence[float], treatment: Sequence[float], name: str) -> dict[str, float]:
    """Mean of treatment − baseline with its 95 % interval, and the one-sided sign-flip p on the side of its mean.

    `name` seeds the resampling.
    """
    values = differences(baseline, treatment)
    generator = generator_of(name)
    interval = paired_interval(values, generator)
    p = sign_flip_p(values, "greater" if interval.value >= 0 else "less", generator)
    return asdict(interval) | {"p": p}


def spearman(first: Sequence[float], second: Sequence[float]) -> tuple[float, float]:
    """Spearman's rank correlation of two sequences [n] and its two-sided p-value (scipy; ties get average ranks).

    Raises:
        EaselError: unequal lengths, fewer than three pairs, NaN, or a constant sequence (no ranks to correlate).
    """
    from scipy.stats import spearmanr

    left, right = _finite(first, "rank correlation"), _finite(second, "rank correlation")
    if left.shape != right.shape or left.ndim != 1 or len(left) < 3:
        raise EaselError(f"rank correlation: needs two sequences of one length ≥ 3, got {left.size} and {right.size}.")
    if np.ptp(left) == 0 or np.ptp(right) == 0:
        raise EaselError("rank correlation: a constant sequence has no ranks to correlate.")
    result = spearmanr(left, right)
    return float(result.statistic), float(result.pvalue)
