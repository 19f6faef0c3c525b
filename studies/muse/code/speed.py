"""Speed at equal quality: how long a model takes until its pictures are as good as one wants, by interpolation between
the numbers of passes that were drawn and timed."""

import math
from itertools import pairwise

import numpy as np

from lib.evidence.report import Estimate, Values
from studies.muse.code.reports import Measured

MODELS = ("autoregressive", "masked", "latent", "cascade")


def quality(report: Measured, model: str) -> dict[int, Estimate]:
    """Exact accuracy, or CLIP score where nothing can be exact, of every number of passes that was drawn."""
    found = {}
    for name, one in report.runs.items():
        steps = one.sampling.get("steps", report.length)
        if name in (model, f"{model}_{steps}") and (one.exact or one.clip_score):
            found[steps] = one.exact or one.clip_score
    return dict(sorted(found.items()))


def common(report: Measured) -> float | None:
    """The quality that all models reach: the least of their bests."""
    bests = [max(one.value for one in found.values()) for model in MODELS if (found := quality(report, model))]
    return min(bests) if len(bests) > 1 else None


def seconds_until(report: Measured, model: str, batch_size: int, wanted: float) -> Values | None:
    """Seconds a picture of every training of a model until its quality is `wanted`, the time of its first training
    taken for all; those that never reach it are left out, None if none does."""
    found = quality(report, model)
    times = {
        one.sampling.get("steps", report.length): float(np.median(one.seconds)) / batch_size
        for one in report.timings.values()
        if one.training == model and one.batch_size == batch_size
    }
    points = [(times[steps], one.by_seed) for steps, one in found.items() if steps in times]
    if not points:
        return None
    until = [reached([(time, own[seed]) for time, own in points], wanted) for seed in range(len(points[0][1]))]
    values = [time for time in until if time is not None]
    return Values(values=values, unit="seconds a picture", seeds_are="independent trainings") if values else None


def reached(points: list[tuple[float, float]], wanted: float) -> float | None:
    """The time at which a curve of (time, quality), times rising, is first at `wanted`: linear in the logarithm of the
    time between two points; None where it never is."""
    if points[0][1] >= wanted:
        return points[0][0]
    for (before, low), (after, high) in pairwise(points):
        if high >= wanted:
            share = (wanted - low) / (high - low)
            return math.exp((1 - share) * math.log(before) + share * math.log(after))
    return None
