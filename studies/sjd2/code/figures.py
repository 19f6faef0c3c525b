"""Figures of the study's notebook: each function draws one from results/<profile>/sjd2.json, and returns it with its
data; None where the profile leaves out what it shows."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lib.evidence import figures, grids, plots
from lib.evidence.report import Estimate
from lib.evidence.shown import Shown
from lib.evidence.strips import read_strip
from studies.sjd2.code import measures, text
from studies.sjd2.code.claims import together
from studies.sjd2.code.reports import Results, Run

Drawn = tuple[Figure, pd.DataFrame] | None

# Runs and networks as readers know them; a run has the same name in every group.
DECODERS = {
    "autoregressive": "autoregressive",
    "jacobi": "Jacobi, fresh noise",
    "shared": "Jacobi, shared noise",
    "sjd_authors": "SJD, authors' settings",
    "sjd": "SJD",
    "gumbel": "SJD, drafts of shared noise",
    "maximal": "SJD, maximal coupling",
    "sjdpp": "SJD++",
    "keep_alone": "SJD++ with SJD2's threshold",
    "sjd2_lossless": "SJD2, no keep rule",
    "sjd2": "SJD2",
    "sjd2_authors": "SJD2, authors' settings",
    "sjd2_any": "SJD2, any slot",
    "denoised": "denoising alone",
    "shared_drafts": "shared noise, tuned on drafts",
}
NETWORK = {
    "small": "small",
    "large": "large",
    "wide": "wide, 1,024 tokens",
    "full": "full Scenes",
    "untold": "level not told",
    "standard_002": "standardized",
    "plain_002": "not standardized",
}
# Where the decoders of a network are compared.
GROUPS = {"small": "quality", "large": "large", "wide": "wide", "full": "full"}
COMPARED = ("sjd", "shared", "sjd2_lossless", "sjd2")
# What a tuning does: run of group quality → network, decoder.
TUNINGS = {
    "shared_untuned": ("not tuned", "shared"),
    "shared_clean": ("tuned on\nclean input", "shared"),
    "sjd": ("tuned for SJD2", "sjd"),
    "shared": ("tuned for SJD2", "shared"),
    "sjd2": ("tuned for SJD2", "sjd2"),
    "shared_drafts": ("tuned on drafts", "shared"),
}
CROSS = {"color": "0.4", "linestyle": "none", "marker": "x", "markeredgecolor": "0.4", "markeredgewidth": 1}
DASHED = {"color": "0.5", "linestyle": "--", "linewidth": 0.8, "marker": ""}
DOTS = {"linestyle": "none"}
PICTURES = 7  # of a row; eight rows of them are a page


def runs_of(report: Results, group: str, names: Iterable[str] | None = None) -> dict[str, Run]:
    """The runs of a group, those of these names if any are given; what a profile leaves out is missing."""
    runs = report.groups[group].runs if group in report.groups else {}
    return {name: runs[name] for name in (runs if names is None else names) if name in runs}


def likelihood(run: Run) -> Estimate:
    """Nats a token of a run's pictures: under the judge, or, where it knows no such pictures, under their network."""
    return run.judged or run.nats


def left_over(report: Results, network: str) -> Estimate | None:
    """Share of the passes saved by SJD2 over SJD that shared noise does not save, where SJD2 saves any."""
    runs = runs_of(report, GROUPS[network], ("sjd", "shared", "sjd2"))
    if len(runs) < 3:
        return None
    found = measures.left_over(*(run.passes.by_seed for run in runs.values()))
    return found and Estimate.of(found, f"left over {network}")


def tradeoff(report: Results) -> Drawn:
    """Likelihood of the pictures over step compression: decoders of one group alone, so that all drew the same rows."""
    found = runs_of(report, "decoders", DECODERS)
    if not found:
        return None
    frame = pd.DataFrame(
        [
            {"decoder": DECODERS[name], **plots.row(run.compression)}
            | {f"nats {key}": value for key, value in plots.row(likelihood(run)).items()}
            for name, run in found.items()
        ]
    )
    with figures.style():
        figure, axes = figures.axes(width="double", aspect=0.5)
        for number, one in frame.iterrows():
            across, up = ends(one), ends(one, "nats ")
            axes.errorbar(one["value"], one["nats value"], up, across, label=one["decoder"], **sign(number))
        axes.set(xlabel="step compression S (tokens a pass)", ylabel="nats a token of the pictures", xlim=(0, None))
        beside(axes)
    return figure, frame


def control(report: Results) -> Drawn:
    """Decoders on every network, and the share of SJD2's gain over SJD that is left over shared noise."""
    rows = [
        {"network": NETWORK[network].replace(", ", ",\n"), "decoder": DECODERS[name], **plots.row(run.compression)}
        for network, group in GROUPS.items()
        for name, run in runs_of(report, group, COMPARED).items()
    ]
    if not rows:
        return None
    frame = pd.DataFrame(rows)
    top = frame["high"].max()
    with figures.style():
        figure, axes = figures.axes(width="double", aspect=0.5)
        plots.intervals(axes, frame, "network", "decoder")
        axes.set(ylabel="step compression S", ylim=(0, 1.2 * top))
        drawn = [network for network, group in GROUPS.items() if group in report.groups]
        for place, network in enumerate(drawn):
            if left := left_over(report, network):
                told = f"left of SJD2's gain\nover SJD: {100 * left.value:.0f} %"
                axes.annotate(told, (place, 1.06 * top), ha="center", fontsize=6)
        beside(axes)
    return figure, frame


def tuning(report: Results) -> Drawn:
    """What a tuning does to every decoder: the small network before, and tuned in three ways."""
    found = runs_of(report, "quality", TUNINGS)
    if not found:
        return None
    frame = pd.DataFrame(
        [
            {"network": TUNINGS[name][0], "decoder": DECODERS[TUNINGS[name][1]], **plots.row(run.compression)}
            for name, run in found.items()
        ]
    )
    with figures.style():
        figure, axes = figures.axes(width="double", aspect=0.45)
        plots.intervals(axes, frame, "network", "decoder")
        axes.set(ylabel="step compression S", ylim=(0, None))
        beside(axes)
    return figure, frame


def exactness(report: Results) -> Drawn:
    """Distance of every decoder from the law of the toy chain: lossless ones first, the nearest at the top."""
    rows = [
        {"decoder": name.replace("_", " "), "distance": case.total_variation, "chance": case.by_chance.most}
        | {"argued": "lossless" if case.lossless else "lossy"}
        for name, case in report.exactness.cases.items()
    ]
    if not rows:
        return None
    frame = pd.DataFrame(rows).sort_values(["argued", "distance"], ignore_index=True)
    with figures.style():
        figure, axes = figures.axes(width="double", aspect=0.018 * len(frame) + 0.12)
        for number, (argued, part) in enumerate(frame.groupby("argued", sort=False)):
            axes.plot(part["distance"], part.index, label=f"argued {argued}", **(figures.series(number) | DOTS))
        axes.plot(frame["chance"], frame.index, label="chance, at most", **(CROSS | {"marker": "|"}))
        axes.set_yticks(frame.index, frame["decoder"], fontsize=6)
        axes.set(xlabel="total variation distance from the law", xlim=(0, None), ylim=(len(frame) - 0.5, -0.5))
        axes.legend(loc="upper right")
    return figure, frame


def latency(report: Results) -> Drawn:
    """Times less time over times fewer passes, one picture at a time: every decoder has a sign of its own."""
    found = {name: run for name, run in runs_of(report, "latency", DECODERS).items() if run.against.latency}
    if not found:
        return None
    frame = pd.DataFrame(
        [
            {"decoder": DECODERS[name], "passes": run.compression.value, **plots.row(run.against.latency)}
            for name, run in found.items()
        ]
    )
    paper = list(measures.PAPER_ACCELERATORS.values())
    with figures.style():
        figure, axes = figures.axes(width="double", aspect=0.5)
        for number, one in frame.iterrows():
            axes.errorbar(one["passes"], one["value"], ends(one), label=one["decoder"], **sign(number))
        axes.plot([one.passes for one in paper], [one.latency for one in paper], label="the paper's decoders", **CROSS)
        most = max(frame["passes"].max(), 4)
        axes.plot([1, most], [1, most], label="time falls with passes", **DASHED)
        axes.set(xlabel="times fewer passes", ylabel="times less time", xlim=(0, None), ylim=(0, None))
        beside(axes)
    return figure, frame


def on_text(report: Results) -> Drawn:
    """S on characters beside S on pictures, by decoder."""
    if report.text is None:
        return None
    found = {key: together(report.groups, "small", role) for key, role in text.ROLES.items()}
    runs = {key: own[0] for key, own in found.items() if own}
    rows = [
        {"decoder": name.replace(", ", ",\n"), "of": of, **plots.row(entry)}
        for key, name in text.NAMES.items()
        for of, entry in (
            ("characters of captions", report.text.compression[key]),
            ("tokens of pictures", runs[key].compression if key in runs else None),
        )
        if entry
    ]
    frame = pd.DataFrame(rows)
    with figures.style():
        figure, axes = figures.axes(width="double", aspect=0.4)
        plots.intervals(axes, frame, "decoder", "of")
        axes.axhline(1, **DASHED)
        axes.set(ylabel="step compression S", ylim=(0, None))
        beside(axes)
    return figure, frame


def pictures(folder: Path, shown: Shown, strips: dict[str, str]) -> Drawn:
    """Strips of pictures below each other, one run a row, under their prompts.

    Args:
        strips: name of a strip → what it is.
    """
    strips = {strip: label for strip, label in strips.items() if strip in shown.pictures}
    if not strips:
        return None
    prompts = [prompt.english for prompt in shown.pictures[next(iter(strips))]][:PICTURES]
    images = [read_strip(folder / f"{strip}.png")[: len(prompts)] for strip in strips]
    marks = [mark for strip in strips for mark in shown.marks(strip)[: len(prompts)]]
    titles = prompts + [""] * (len(marks) - len(prompts))
    look = {"rows": list(strips.values()), "marks": marks, "heading": f"Unselected. {grids.counted(marks)}"}
    figure = grids.picture_grid(np.concatenate(images), len(prompts), titles, **look)
    runs, asked = np.repeat(list(strips), len(prompts)), prompts * len(strips)
    return figure, pd.DataFrame({"run": runs, "prompt": asked, "right": marks})


def sign(number: int) -> dict[str, Any]:
    """A dot of its own for each of sixteen decoders: the second eight are hollow."""
    look = figures.series(number % 8) | DOTS
    return look if number < 8 else look | {"markerfacecolor": "white", "markeredgecolor": look["color"]}


def ends(row: pd.Series, kind: str = "") -> list[list[float]]:
    """How far one interval reaches down and up."""
    value, low, high = (row[f"{kind}{end}"] for end in ("value", "low", "high"))
    return [[value - low], [high - value]]


def beside(axes: Axes) -> None:
    """A legend that hides no data."""
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=6)
