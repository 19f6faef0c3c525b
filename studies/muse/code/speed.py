"""Speed at equal quality: how long a model takes until its pictures are as good as one wants, by interpolation between
the numbers of passes that were drawn and timed."""

import math
from itertools import pairwise

import numpy as np

from lib.evidence.report import Estimate
from studies.muse.code.reports import Measured

MODELS = ("autoregressive", "masked", "latent", "cascade")
LEVELS = (0.5, 0.6, 0.7, 0.8, 0.9)  # exact accuracies at which times are compared


def quality(report: Measured, model: str) -> dict[int, Estimate]:
    """Exact accuracy, or CLIP score where nothing can be exact, of every number of passes that all trainings drew."""
    found = {}
    for name, one in report.runs.items():
        steps = one.sampling.get("steps", report.length)
        if name in (model, f"{model}_{steps}") and (one.exact or one.clip_score):
            found[steps] = one.exact or one.clip_score
    most = max((len(one.by_seed) for one in found.values()), default=0)
    return {steps: one for steps, one in sorted(found.items()) if len(one.by_seed) == most}


def common(report: Measured) -> float | None:
    """The quality that all models reach: the least of their bests."""
    bests = [max(one.value for one in found.values()) for model in MODELS if (found := quality(report, model))]
    return min(bests) if len(bests) > 1 else None


def seconds_until(report: Measured, model: str, batch_size: int, wanted: float) -> list[float | None]:
    """Seconds a picture of every training of a model until its quality is `wanted`, the time of its first training
    taken for all; None for those that never reach it, nothing for a model that was not drawn or not timed."""
    found = quality(report, model)
    times = {
        one.sampling.get("steps", report.length): float(np.median(one.seconds)) / batch_size
        for one in report.timings.values()
        if one.training == model and one.batch_size == batch_size
    }
    points = [(times[steps], one.by_seed) for steps, one in found.items() if steps in times]
    if not points:
        return []
    return [reached([(time, own[seed]) for time, own in points], wanted) for seed in range(len(points[0][1]))]


def times_as_long(report: Measured, model: str, batch_size: int, wanted: float) -> list[float]:
    """How many times as long as the masked model another one takes until its quality is `wanted`, training by training
    of equal seeds; those of which either never gets there are left out."""
    own, masked = (seconds_until(report, name, batch_size, wanted) for name in (model, "masked"))
    return [first / second for first, second in zip(own, masked, strict=False) if first and second]


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
