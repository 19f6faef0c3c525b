"""The study's tables of times: seconds, times at equal quality, and a roofline that says why."""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from lib.evidence.tables import Number, interval
from studies.muse.code import speed
from studies.muse.code.reports import Results

SPEED = {
    "caption": "Seconds a picture, and how many times faster than the autoregressive model with its cache.",
    "units": {"time": "ms a picture"},
    "notes": [
        "One thread. Means and ranges over repetitions that took turns with nothing beside them. The paper's ratio of "
        "13 (Table 3, 256 tokens and 3B parameters) is an accelerator's, where a pass costs the same for one token as "
        "for all of them; here a pass over all tokens costs as many operations as all passes of the cached model. No "
        "model computes anew what stays the same: tables of codes are multiplied once, after loading."
    ],
    "claims": ["C31"],
}


def speed_rows(report: Results) -> list[dict[str, Any]]:
    """One row a model, number of passes and batch size."""
    rows = []
    for one in report.timings.values():
        seconds = np.array(one.seconds) / one.batch_size
        base = np.array(report.timings[f"autoregressive, batch {one.batch_size}"].seconds) / one.batch_size
        times = base / seconds
        passes = one.sampling.get("steps", report.length)
        exact = report.runs[f"{one.training}_{passes}" if "steps" in one.sampling else one.training].exact
        rows.append(
            {
                "model": one.training,
                "passes": passes,
                "batch": one.batch_size,
                "time": mean_and_range(1e3 * seconds, 1),
                "times as fast": mean_and_range(times, 2),
                "exact, %": interval(exact, 1, 100),
            }
        )
    return rows


EQUAL = {
    "caption": "Time until pictures are as good as one wants, at several levels.",
    "units": {"quality": "%", "time": "ms a picture"},
    "notes": [
        "One thread. Quality: prompts drawn exactly right; the last level of a batch size is the best of the model "
        "that is worst. Interpolated between the numbers of passes that all trainings drew and that were timed, linear "
        "in the logarithm of the time; an upper bound where the fewest passes are good enough. Means and ranges over "
        "independent trainings that reach this quality, ratios over pairs of equal seed; the time of a pass is that of "
        "each model's first training."
    ],
    "claims": ["C30", "C31", "D70"],
}


def equal_rows(report: Results) -> list[dict[str, Any]]:
    """One row a batch size, quality and model that reaches it."""
    if report.runs["autoregressive"].exact is None:
        return []
    levels, rows = [*speed.LEVELS, speed.common(report)], []
    for batch_size in sorted({one.batch_size for one in report.timings.values()}):
        for wanted, name in itertools.product(levels, speed.MODELS):
            seconds = [one for one in speed.seconds_until(report, name, batch_size, wanted) if one is not None]
            if seconds:
                rows.append(
                    {
                        "batch": batch_size,
                        "quality": Number(100 * wanted, digits=1),
                        "model": name,
                        "trainings": f"{len(seconds)} of {len(report.trainings[name].minutes)}",
                        "time": mean_and_range(1e3 * np.array(seconds), 1),
                        "times as long as masked": mean_and_range(
                            speed.times_as_long(report, name, batch_size, wanted), 2
                        ),
                    }
                )
    return rows


def mean_and_range(values: Sequence[float], digits: int) -> Number | None:
    """As a table cell; an empty one for no values."""
    return Number(np.mean(values), min(values), max(values), digits=digits) if len(values) else None


ROOFLINE = {
    "caption": "Why: operations and bytes of one picture, and for which machine the order turns.",
    "units": {
        "operations": "millions",
        "bytes": "millions",
        "time": "ms",
        "share of the machine": "%",
        "faster from": "operations a byte",
    },
    "notes": [
        "Batch 1, one thread, guidance included. Bytes: float32 weights, as often as passes read them, and of tables "
        "the rows that are looked up; what is the same in every pass is computed once. A machine that has time for "
        "so many operations while it reads one byte, and for no other delay, draws as fast with the model as with the "
        "autoregressive one (Williams et al. 2009, the roofline); one that has time for more, faster. Share of the "
        "machine: of the time that this roofline allows."
    ],
    "claims": ["C31"],
}


def roofline_rows(report: Results) -> list[dict[str, Any]]:
    """One row a model and number of passes, batch 1; then this machine."""
    rows, can = [], report.rates
    alone = [one for one in report.timings.values() if one.batch_size == 1]
    base = next(one for one in alone if one.training == "autoregressive")
    for one in alone:
        seconds = float(np.mean(one.seconds))
        least = max(one.operations / can.operations, one.bytes / can.bytes)
        turns = one.operations / base.bytes if one.bytes < base.bytes and one.operations > base.operations else None
        rows.append(
            {
                "model": one.training.replace("_", " "),
                "passes": one.sampling.get("steps", report.length),
                "operations": Number(one.operations / 1e6, digits=0),
                "bytes": Number(one.bytes / 1e6, digits=0),
                "time": Number(1e3 * seconds, digits=1),
                "share of the machine": Number(100 * least / seconds, digits=0),
                "faster from": None if turns is None else Number(turns, digits=1),
            }
        )
    here = {name: None for name in rows[0]} | {
        "model": "one thread of this machine, a second",
        "operations": Number(can.operations / 1e6, digits=0),
        "bytes": Number(can.bytes / 1e6, digits=0),
        "faster from": Number(can.operations / can.bytes, digits=1),
    }
    return [*rows, here]
