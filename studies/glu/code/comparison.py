"""The feed-forward comparison as arithmetic: the paper's table, paired differences, ranks, steps saved, cost ratios.

Losses are held-out log-perplexities (nats a token); lists have one value per seed, in the same order for every block.
"""

from collections.abc import Mapping, Sequence
from itertools import permutations, product
from typing import Any, NamedTuple

import numpy as np

from lib.errors import EaselError
from lib.evidence.statistics import Interval, differences, spearman
from lib.models.layout import BLOCKS

BASELINE, FAVOURITE = "relu", "geglu"
PAIRS = {"relu": "reglu", "gelu": "geglu", "swish": "swiglu"}  # the same activation without and with a gate
# Of the paper's gain of GEGLU after the long training; blocks closer than this count as no better in practice.
MARGIN = 0.011


class Row(NamedTuple):
    """Table 1 of arXiv:2002.05202: 65,536 steps (mean and standard deviation of four runs), 524,288 steps (one run)."""

    short: float
    short_sd: float
    long: float


PAPER = {
    "relu": Row(1.997, 0.005, 1.677),
    "gelu": Row(1.983, 0.005, 1.679),
    "swish": Row(1.994, 0.003, 1.683),
    "glu": Row(1.982, 0.006, 1.663),
    "bilinear": Row(1.960, 0.005, 1.648),
    "geglu": Row(1.942, 0.004, 1.633),
    "swiglu": Row(1.944, 0.010, 1.636),
    "reglu": Row(1.953, 0.003, 1.645),
}
PAPER_STEPS = {"short": 65_536, "long": 524_288}
ROUNDING = 1e-9  # far below the steps between rank correlations
PAPER_PARAMETERS = 220_000_000  # T5-base, rounded (arXiv:1910.10683, section 3.1.2)


def rank_correlation(nats: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    """Spearman's correlation of the order of all eight blocks with the paper's after its long training.

    Returns:
        mean: of the order of the blocks' mean losses; by_seed: of each seed's own order; chance: the mean of
            `chance_correlations`; as_good: the share of these that are at least `mean`.
    """
    theirs = [PAPER[block].long for block in nats]
    columns = np.array([nats[block] for block in nats])  # [blocks, seeds]
    mean, chance = spearman(columns.mean(axis=1), theirs)[0], chance_correlations()
    return {
        "mean": mean,
        "by_seed": [spearman(column, theirs)[0] for column in columns.T],
        "chance": float(chance.mean()),
        "as_good": float((chance > mean - ROUNDING).mean()),
    }


def chance_correlations() -> np.ndarray:
    """Spearman's correlations with the paper's order of all 720 orders that put gated blocks before ungated ones, from
    low to high.

    Where gates help and all else is chance these are equally likely. Their mean is 5/7: an agreement of so much says
    nothing of the blocks beyond that gates help.
    """
    order = sorted(PAPER, key=lambda block: PAPER[block].long)
    places = {gate: [place for place, block in enumerate(order) if BLOCKS[block][0] == gate] for gate in (True, False)}
    orders = np.array([gated + plain for gated, plain in product(*map(permutations, places.values()))])
    count = len(order)
    squares = ((orders - np.arange(count)) ** 2).sum(axis=1)  # [orders]; no ties
    return np.sort(1 - 6 * squares / (count * (count**2 - 1)))


def beyond_chance(correlation: float) -> Interval:
    """A rank correlation minus the mean of `chance_correlations`, between its distances to the ends of their middle.

    It lies above 0 with both ends if at most 2.5 % of the orders by chance agree as well, and below with both if at
    most 2.5 % agree as little: a two-sided permutation test at 5 %.
    """
    chance = chance_correlations()
    outside = int(0.025 * len(chance))
    ends = (chance.mean(), chance[-1 - outside], chance[outside])
    return Interval(*(round(correlation - float(end), 9) for end in ends))  # what is equal has a difference of 0


def ungated_against_relu(nats: Mapping[str, Sequence[float]]) -> list[float]:
    """Loss of the better of GELU and Swish minus ReLU's, per seed; better by its mean over seeds."""
    best = min(("gelu", "swish"), key=lambda block: np.mean(nats[block]))
    return differences(nats[BASELINE], nats[best]).tolist()


def steps_saved(baseline_long: float, short: float, long: float, factor: float) -> float:
    """Percent of the long training's steps that a block saves on the way to the loss that the baseline ends with.

    Its loss is taken to fall linearly in the logarithm of the steps from `short` to `long`, both ends of trainings
    with schedules of their own; `factor` is how many times longer the second was. Negative where it needs more steps.

    Raises:
        EaselError: the longer training did not lower the loss, so nothing can be read from it.
    """
    if not long < short:
        raise EaselError(f"the loss did not fall from the short training ({short:.4f}) to the long one ({long:.4f}).")
    slope = (short - long) / np.log(factor)  # nats per e-fold of steps
    return float(100 * (1 - np.exp((long - baseline_long) / slope)))


def paper_steps_saved() -> float:
    """`steps_saved` of GEGLU in the paper's own table."""
    row = PAPER[FAVOURITE]
    return steps_saved(PAPER[BASELINE].long, row.short, row.long, PAPER_STEPS["long"] / PAPER_STEPS["short"])


def speed_gain(baseline: Sequence[float], treatment: Sequence[float]) -> list[float]:
    """How many percent faster the treatment is, per repetition: 100 (baseline seconds / treatment seconds − 1)."""
    return [100 * (slow / fast - 1) for slow, fast in zip(baseline, treatment, strict=True)]
