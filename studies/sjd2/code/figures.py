"""Figures of the study's notebook: each function draws one from results/<profile>/sjd2.json, and returns it with its
data; None where the profile leaves out what it shows."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lib.evidence import figures, grids, plots
from lib.evidence.shown import Shown
from lib.evidence.strips import read_strip
from studies.sjd2.code import measures, text
from studies.sjd2.code.claims import CLEAN, NETWORKS, SMALL, UNTUNED, together
from studies.sjd2.code.reports import Results, Run

Drawn = tuple[Figure, pd.DataFrame] | None

# Decoders and networks as readers know them.
DECODERS = {
    "autoregressive": "autoregressive",
    "jacobi": "Jacobi",
    "shared": "Jacobi, shared noise",
    "sjd_authors": "SJD, authors' settings",
    "sjd": "SJD",
    "gumbel": "SJD, Gumbel coupling",
    "maximal": "SJD, maximal coupling",
    "keep_alone": "SJD++, SJD2's keep rule",
    "sjd2_lossless": "SJD2, no keep rule",
    "sjd2": "SJD2",
    "sjd2_any": "SJD2, any slot",
    "denoised": "denoising alone",
}
NETWORK = {
    "small": "small",
    "large": "large",
    "wide": "wide, 1,024 tokens",
    "full": "full Scenes",
    UNTUNED: "small, not tuned",
    CLEAN: "small, tuned on clean input",
    "drafts:small": "small, tuned on drafts",
    "untold": "standardized, level not told",
    "standard_002": "standardized",
    "plain_002": "not standardized",
}
CROSS = {"color": "0.4", "linestyle": "none", "marker": "x", "markeredgecolor": "0.4", "markeredgewidth": 1}
DASHED = {"color": "0.5", "linestyle": "--", "linewidth": 0.8, "marker": ""}
DOTS = {"linestyle": "none"}
PICTURES = 7  # of a row; eight rows of them are a page


def named(network: str) -> str:
    """A network as readers know it, on two lines where it is long."""
    return NETWORK.get(network, network).replace(", ", ",\n")


def runs_of(report: Results, network: str, roles: Iterable[str], group: str) -> dict[str, Run]:
    """The runs of one group that play these roles on a network."""
    found = {role: together(report.groups, network, role, only=[group]) for role in roles}
    return {role: runs[0] for role, runs in found.items() if runs}


def pictures_asked(report: Results, group: str) -> str:
    """How many rows a group has, as a title."""
    own = report.groups[group]
    return f"{sum(own.rows.values())} prompts and captions × {own.units} {own.over}"


def tradeoff(report: Results, group: str = "quality") -> Drawn:
    """Likelihood of the pictures over step compression: decoders of one group alone, so that all drew the same rows."""
    found = runs_of(report, SMALL, DECODERS, group)
    if not found:
        return None
    frame = pd.DataFrame(
        [
            {"decoder": DECODERS[role], **plots.row(run.compression)}
            | {f"nats {key}": value for key, value in plots.row(run.judged).items()}
            for role, run in found.items()
            if run.judged
        ]
    )
    with figures.style():
        figure, axes = figures.axes(width="double", aspect=0.5)
        for number, one in frame.iterrows():
            across, up = ends(one, ""), ends(one, "nats ")
            look = figures.series(number % 8) | DOTS | {"fillstyle": "full" if number < 8 else "none"}
            axes.errorbar(one["value"], one["nats value"], up, across, label=one["decoder"], **look)
        axes.set(xlabel="step compression S (tokens a pass)", ylabel="nats a token, under the judge")
        axes.set(title=pictures_asked(report, group), xlim=(0, None))
        beside(axes)
    return figure, frame


def control(report: Results) -> Drawn:
    """Decoders on every network, and the share of SJD2's gain over SJD that is left over shared noise."""
    roles = [role for role in DECODERS if role not in ("autoregressive", "jacobi", "sjd_authors")]
    rows = [
        {"network": named(network), "decoder": DECODERS[role], **plots.row(report.control[network].compression[role])}
        for network in NETWORKS
        if network in report.control
        for role in roles
        if role in report.control[network].compression
    ]
    if not rows:
        return None
    frame = pd.DataFrame(rows)
    with figures.style():
        figure, axes = figures.axes(width="double", aspect=0.5)
        plots.intervals(axes, frame, "network", "decoder")
        axes.set(ylabel="step compression S", ylim=(0, 1.15 * frame["high"].max()))
        for place, network in enumerate(name for name in NETWORKS if name in report.control):
            if left := report.control[network].left_over_sjd:
                told = f"left of SJD2's gain\nover SJD: {100 * left.value:.0f} %"
                axes.annotate(told, (place, 1.02 * frame["high"].max()), ha="center", fontsize=6)
        beside(axes)
    return figure, frame


def tuning(report: Results) -> Drawn:
    """What a tuning does to every decoder: the small network before, tuned in three ways, and decoded."""
    networks = (UNTUNED, CLEAN, SMALL, "drafts:small")
    rows = [
        {"network": named(network), "decoder": DECODERS[role], **plots.row(report.control[network].compression[role])}
        for network in networks
        if network in report.control
        for role in ("sjd", "shared", "keep_alone", "sjd2")
        if role in report.control[network].compression
    ]
    if not rows:
        return None
    frame = pd.DataFrame(rows)
    with figures.style():
        figure, axes = figures.axes(width="double", aspect=0.45)
        plots.intervals(axes, frame, "network", "decoder")
        axes.set(ylabel="step compression S", ylim=(0, None))
        beside(axes)
    return figure, frame


def exactness(report: Results) -> Drawn:
    """Distance of every decoder from the law of the toy chain: lossless ones first, the nearest at the top."""
    rows = [
        {"decoder": name, "distance": case.total_variation, "chance": case.by_chance.most}
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
    group = report.groups.get("latency")
    rows = [
        {"decoder": spelt(run), "passes": run.compression.value, **plots.row(run.against.latency)}
        for run in (group.runs.values() if group else ())
        if run.against.latency and run.network == SMALL
    ]
    if not rows:
        return None
    frame = pd.DataFrame(rows)
    paper = list(measures.PAPER_ACCELERATORS.values())
    with figures.style():
        figure, axes = figures.axes(width="double", aspect=0.5)
        for number, one in frame.iterrows():
            look = figures.series(number % 8) | DOTS | {"fillstyle": "full" if number < 8 else "none"}
            axes.errorbar(one["passes"], one["value"], ends(one, ""), label=one["decoder"], **look)
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
    found = {key: together(report.groups, SMALL, role) for key, role in text.ROLES.items()}
    rows = [
        {"decoder": name.replace(", ", ",\n"), "of": of, **plots.row(entry)}
        for key, name in text.NAMES.items()
        for of, entry in (
            ("characters of captions", report.text.compression[key]),
            ("tokens of pictures", found[key][0].compression if found[key] else None),
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


def spelt(run: Run) -> str:
    """A decoder with what tells it from others of its kind."""
    options = run.options
    name = {"jacobi": "Jacobi", "sjd": "SJD", "sjdpp": "SJD++", "sjd2": "SJD2"}.get(run.decoder, run.decoder)
    said = [f"window {options['window']}"] if "window" in options else []
    said += ["shared noise"] if options.get("noise") == "shared" else []
    said += [f"{options['coupling']} coupling"] if options.get("coupling", "independent") != "independent" else []
    said += ["no keep rule"] if options.get("keep") == "inf" else []
    said += [f"{run.steps} steps"] if run.steps else []
    return ", ".join([name, *said])


def ends(row: pd.Series, kind: str) -> list[list[float]]:
    """How far one interval reaches down and up."""
    value, low, high = (row[f"{kind}{end}"] for end in ("value", "low", "high"))
    return [[value - low], [high - value]]


def beside(axes: Axes) -> None:
    """A legend that hides no data."""
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=6)
