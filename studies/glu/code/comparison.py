"""The feed-forward comparison as arithmetic: the paper's table, paired differences, ranks, steps saved, cost ratios.

Losses are held-out log-perplexities (nats a token); lists have one value per seed, in the same order for every block.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from lib.errors import EaselError
from lib.evidence.statistics import differences, paired, spearman

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
PAPER_PARAMETERS = 220_000_000  # T5-base, rounded (arXiv:1910.10683, section 3.1.2)


def compared(nats: Mapping[str, Sequence[float]]) -> dict[str, dict[str, Any]]:
    """Every block's mean and spread, and its difference to the ReLU block seed by seed.

    Args:
        nats: block → one loss per seed.

    Returns:
        block → mean, sd (over seeds; None for one seed), and, but for ReLU, difference {value, low, high, p}: the
        paired 95 % interval and the one-sided sign-flip p on the side of its mean.
    """
    found = {}
    for block, values in nats.items():
        sd = float(np.std(values, ddof=1)) if len(values) > 1 else None
        found[block] = {"mean": float(np.mean(values)), "sd": sd}
        if block != BASELINE:
            found[block]["difference"] = paired(nats[BASELINE], values, block)
    return found


def certain(difference: Mapping[str, float]) -> bool:
    """Whether a difference of `paired` is told from 0 by its interval and by the sign-flip test."""
    return (difference["low"] > 0 or difference["high"] < 0) and difference["p"] <= 0.05


def rank_correlation(nats: Mapping[str, Sequence[float]], length: str) -> dict[str, Any]:
    """Spearman's correlation of our order with the paper's after the same length of training.

    Returns:
        mean: of the order of the blocks' mean losses; by_seed: of each seed's own order.
    """
    theirs = [getattr(PAPER[block], length) for block in nats]
    columns = np.array([nats[block] for block in nats])  # [blocks, seeds]
    by_seed = [spearman(column, theirs)[0] for column in columns.T]
    return {"mean": spearman(columns.mean(axis=1), theirs)[0], "by_seed": by_seed}


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


def saved_by_seed(variants: Mapping[str, Any], block: str = FAVOURITE) -> list[float]:
    """`steps_saved` of a block for every seed, from reports of stage glu/train_variants."""
    short, long = variants[block]["short"], variants[block]["long"]
    factor = long["steps"] / short["steps"]
    ends = zip(variants[BASELINE]["long"]["nats"], short["nats"], long["nats"], strict=True)
    return [steps_saved(*end, factor) for end in ends]


def speed_gain(baseline: Sequence[float], treatment: Sequence[float]) -> list[float]:
    """How many percent faster the treatment is, per repetition: 100 (baseline seconds / treatment seconds − 1)."""
    return [100 * (slow / fast - 1) for slow, fast in zip(baseline, treatment, strict=True)]


def memory_rises(blocks: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Working memory of a gated block over that of the ungated one with its activation, parameters matched."""
    return {
        f"{gated} / {plain}": blocks[gated]["working_bytes"] / blocks[plain]["working_bytes"]
        for plain, gated in PAIRS.items()
        if plain in blocks and gated in blocks
    }


def trouble(placements: Mapping[str, Mapping[str, Any]], names: Sequence[str]) -> list[float]:
    """Per seed: loss spikes plus lost runs, averaged over the placements `names` and all learning rates."""
    counts = [
        np.add(run["spikes"], np.asarray(run["lost"], int)) for name in names for run in placements[name].values()
    ]
    return np.mean(counts, axis=0).tolist()


def agreement(difference: Mapping[str, float], expected: str) -> str:
    """What a difference says of a finding by which the treatment's loss is `higher`, `lower` or `equal`."""
    if not certain(difference):
        return "consistent: no difference found" if expected == "equal" else "inconclusive"
    points = "higher" if difference["value"] > 0 else "lower"
    return "agrees" if points == expected else f"contradicts: {points} loss"
