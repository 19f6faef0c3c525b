"""Plots that several notebooks draw: measured values with their intervals, training curves."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from lib.evidence import figures


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
        ends = np.array([part["value"] - part["low"], part["high"] - part["value"]])  # [2, dots]
        look = figures.series(number) | {"linestyle": "none"}
        axes.errorbar(places, part["value"], ends, label=label, **look)
    axes.set_xticks(range(len(names)), [name.replace("_", " ") for name in names])
    axes.set_xlim(-0.5, len(names) - 0.5)
    axes.legend()


def curve(axes: Axes, history: pd.DataFrame, column: str, label: str, number: int = 0) -> None:
    """A training curve over the steps, series `number` of its figure."""
    axes.plot(history["step"], history[column], label=label, **(figures.series(number) | {"marker": ""}))
    axes.set(xlabel="training step")
