"""Plots that several notebooks draw: measured values with their intervals, training curves."""

from collections.abc import Iterable

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from lib.evidence import figures
from lib.evidence.report import Interval


def row(found: Interval) -> dict[str, float]:
    """A value with its interval as a row of a table."""
    return {"value": found.value, "low": found.low, "high": found.high}


def ends(part: pd.DataFrame) -> list[pd.Series]:
    """How far the intervals of rows reach down and up from their values: what error bars need."""
    return [part["value"] - part["low"], part["high"] - part["value"]]


def points(axes: Axes, part: pd.DataFrame, x: str, label: str | None, number: int) -> None:
    """Values with their intervals over column `x`, joined by a line: series `number` of its figure."""
    axes.errorbar(part[x], part["value"], ends(part), label=label, **figures.series(number))


def ticks(axes: Axes, values: Iterable[float]) -> None:
    """A logarithmic x axis with a tick at every one of these values and no other."""
    axes.set_xscale("log")
    axes.set_xticks(list(values), [f"{value:g}" for value in values])
    axes.set_xticks([], minor=True)


def intervals(axes: Axes, frame: pd.DataFrame, category: str, group: str) -> None:
    """A dot with its interval for each category on the x axis, one series per group, side by side.

    Args:
        frame: one row per dot with columns `category`, `group`, value, low, high.
    """
    groups = list(frame.groupby(group, sort=False))
    names = list(frame[category].unique())
    apart = min(0.24, 0.8 / len(groups))  # many series still end before the next category
    for number, (label, part) in enumerate(groups):
        places = np.array([names.index(name) for name in part[category]]) + apart * (number - (len(groups) - 1) / 2)
        look = figures.series(number) | {"linestyle": "none"}
        axes.errorbar(places, part["value"], np.array(ends(part)), label=label, **look)
    axes.set_xticks(range(len(names)), [name.replace("_", " ") for name in names])
    axes.set_xlim(-0.5, len(names) - 0.5)
    axes.legend()


def curve(axes: Axes, history: pd.DataFrame, column: str, label: str, number: int = 0) -> None:
    """A training curve over the steps, series `number` of its figure."""
    axes.plot(history["step"], history[column], label=label, **(figures.series(number) | {"marker": ""}))
    axes.set(xlabel="training step")
