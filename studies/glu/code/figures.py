"""Figures of the study's notebook: each function draws one from results/<profile>/glu.json, with its data."""

from collections.abc import Mapping
from dataclasses import asdict

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lib.evidence import figures, plots
from lib.evidence.inference import t_interval
from studies.glu.code.comparison import BASELINE, FAVOURITE, PAPER, PAPER_STEPS
from studies.glu.code.reports import Block, HighRate, RankCorrelation, Results, Switches
from studies.glu.code.settings import TASK_OF_TEXT, TWO_LENGTHS

TASKS = {"coarse": "coarse tokens", "fine": "fine tokens", TASK_OF_TEXT: "captions with gaps"}
SPELT = {"relu": "ReLU", "gelu": "GELU", "swish": "Swish", "glu": "GLU", "bilinear": "Bilinear"}
SPELT |= {"geglu": "GEGLU", "swiglu": "SwiGLU", "reglu": "ReGLU"}
PLACED = {"preln": "pre-LN", "postln": "post-LN", "normformer": "NormFormer", "cogview": "CogView's sandwich"}
DOTS = {"linestyle": "none"}


def tasks(measured: Results) -> dict[str, dict[str, Block]]:
    """Task → block → its losses after the long training."""
    found = {tokens: compared.long.blocks for tokens, compared in measured.variants.items()}
    return found | {TASK_OF_TEXT: measured.text.compared.blocks}


def ranks(measured: Results) -> dict[str, RankCorrelation]:
    """Task → the agreement with the paper's order, where all blocks were trained."""
    found = {tokens: compared.long.rank_correlation for tokens, compared in measured.variants.items()}
    found[TASK_OF_TEXT] = measured.text.compared.rank_correlation
    return {task: agreement for task, agreement in found.items() if agreement}


def blocks(measured: Results) -> list[str]:
    """The blocks that were trained, in the paper's order."""
    return [block for block in PAPER if block in measured.variants[TWO_LENGTHS].long.blocks]


def seeds(measured: Results, task: str) -> int:
    """Paired seeds of a task."""
    return len(measured.claims.tasks[task].geglu.baseline)


def paper_gap(block: str, length: str) -> float:
    """What the paper's table says of a block's loss minus ReLU's."""
    return getattr(PAPER[block], length) - getattr(PAPER[BASELINE], length)


def differences(measured: Results) -> tuple[Figure, pd.DataFrame]:
    """Every block's loss minus ReLU's on every task, beside the paper's after its long training."""
    frame = pd.DataFrame(
        [
            {"block": SPELT[block], "task": f"{TASKS[task]}, {seeds(measured, task)} seeds"}
            | plots.row(found[block].difference)
            | {"paper": paper_gap(block, "long")}
            for task, found in tasks(measured).items()
            for block in blocks(measured)
            if found[block].difference
        ]
    )
    paper = frame.drop_duplicates("block")["paper"].to_numpy()
    with figures.style():
        figure, axes = figures.axes(width="double", aspect=0.45)
        plots.intervals(axes, frame, "block", "task")
        places, label = np.arange(len(paper)), f"paper, {PAPER_STEPS['long']:,} steps"
        axes.hlines(paper, places - 0.36, places + 0.36, colors="0.35", linewidth=1.5, zorder=1, label=label)
        axes.axhline(0, color="0.5", linewidth=0.8)
        axes.set(ylabel="difference to ReLU (nat/token)")
        axes.legend(ncols=2, loc="lower left", bbox_to_anchor=(0, 1))
    return figure, frame


def curves(measured: Results) -> tuple[Figure, pd.DataFrame]:
    """Every block's loss minus ReLU's on the way through the training on coarse tokens, a panel each."""
    own = {block: measured.curves[TWO_LENGTHS][block] for block in blocks(measured)}
    base = np.array(own[BASELINE].nats)  # [points, seeds]
    frame = pd.DataFrame(
        [
            {"block": SPELT[block], "step": step} | asdict(t_interval(np.subtract(curve.nats[point], base[point])))
            for block, curve in own.items()
            if block != BASELINE
            for point, step in enumerate(curve.step)
        ]
    )
    with figures.style():
        figure, panels = figures.axes(width="double", rows=2, columns=4, aspect=0.85, sharex=True, sharey=True)
        for panel, (name, part) in zip(panels.flat, frame.groupby("block", sort=False), strict=False):
            panel.fill_between(part["step"], part["low"], part["high"], color="0.8", linewidth=0)
            panel.plot(part["step"], part["value"], **figures.series(0))
            panel.axhline(0, color="0.5", linewidth=0.8)
            panel.set_title(name)
        for panel in list(panels.flat)[frame["block"].nunique() :]:
            panel.set_axis_off()
        figure.supxlabel("training step", fontsize=8)
        figure.supylabel(f"loss minus ReLU's (nat/token), {seeds(measured, TWO_LENGTHS)} seeds", fontsize=8)
    return figure, frame


def scaling(measured: Results) -> tuple[Figure, dict[str, pd.DataFrame]]:
    """GEGLU's loss minus ReLU's by the length of training on coarse tokens, and in the trials of learning rates."""
    gaps = {length: paper_gap(FAVOURITE, length) for length in PAPER_STEPS}
    by_length = pd.DataFrame(
        [
            {"training": f"{compared.steps} steps"} | compared.blocks[FAVOURITE].difference.plain()
            for _, compared in measured.variants[TWO_LENGTHS]
        ]
        + [{"training": f"{PAPER_STEPS[length]:,} steps, paper", "value": gap} for length, gap in gaps.items()]
    )
    by_rate = pd.DataFrame(
        [
            {"task": task, "rate": rate, "steps": found.steps, "value": trial.effect, "noise": trial.noise}
            for task, found in measured.search.tasks.items()
            for rate, trial in found.trials.items()
        ]
    )
    with figures.style():
        figure, (left, right) = figures.axes(width="double", columns=2, aspect=0.75, sharey=True)
        _by_length(left, by_length, seeds(measured, TWO_LENGTHS))
        _by_rate(right, by_rate, len(measured.search.seeds), gaps)
        for panel in (left, right):
            panel.axhline(0, color="0.5", linewidth=0.8)
            panel.margins(x=0.15)
    return figure, {"length": by_length, "rate": by_rate}


def _by_length(axes: Axes, frame: pd.DataFrame, count: int) -> None:
    paper = frame["low"].isna()
    axes.errorbar(frame.index[~paper], frame["value"][~paper], plots.ends(frame[~paper]), **figures.series(0) | DOTS)
    axes.plot(frame.index[paper], frame["value"][paper], **figures.series(1) | DOTS)
    axes.set_xticks(frame.index, [name.replace(" steps", "\nsteps") for name in frame["training"]])
    axes.set(ylabel="GEGLU − ReLU (nat/token)", title=f"coarse tokens; 95 % intervals, {count} seeds")


def _by_rate(axes: Axes, frame: pd.DataFrame, count: int, gaps: Mapping[str, float]) -> None:
    axes.errorbar(frame.index, frame["value"], frame["noise"], **figures.series(0) | DOTS)
    axes.set_xticks(frame.index, [f"{one.task}\n{one.rate}\n{one.steps}" for one in frame.itertuples()])
    title = f"trials; bars: one standard deviation, {count} seeds"
    axes.set(xlabel="trial, with its peak rate and steps", title=title)
    for gap in gaps.values():
        axes.axhline(gap, **(figures.series(1) | {"marker": "", "linewidth": 0.8}))
    axes.text(0.02, gaps["short"], "the paper's two", transform=axes.get_yaxis_transform(), fontsize=6, va="top")


def spikes(switches: Switches) -> pd.DataFrame:
    """Spikes, lost runs and final loss of every placement of norms at every rate that is too high."""
    rows = []
    for name, runs in switches.placements.items():
        for rate, run in runs.items():
            final = [value for value in run.final if value is not None]
            counts = {"spikes": sum(run.spikes), "lost runs": sum(run.lost)}
            end = np.mean(final) if final else np.nan
            rows.append({"placement": PLACED[name], "peak rate": rate, **counts, "final loss": end})
    return pd.DataFrame(rows)


def stability(switches: Switches) -> tuple[Figure, dict[str, pd.DataFrame]]:
    """The loss of every placement of norms at the highest rate, mean and range over seeds."""
    highest = max((rate for runs in switches.placements.values() for rate in runs), key=float)
    drawn = {name: _ranges(runs[highest]) for name, runs in switches.placements.items()}
    with figures.style():
        figure, panels = figures.axes(width="double", columns=len(drawn), aspect=1.1, sharey=True, squeeze=False)
        for number, (name, panel) in enumerate(zip(drawn, panels[0], strict=True)):
            history = drawn[name]
            panel.fill_between(history["step"], history["least"], history["most"], color="0.8", linewidth=0)
            panel.plot(history["step"], history["loss"], **(figures.series(number) | {"marker": ""}))
            panel.axhline(switches.unigram_nats, color="0.5", linestyle="--", linewidth=0.8)
            panel.set(xlabel="training step", title=PLACED[name])
        first = panels[0, 0]
        first.set(ylabel="loss (nat/token)")
        figure.suptitle(f"peak learning rate {highest}")
        place = {"transform": first.get_yaxis_transform(), "ha": "right", "va": "bottom", "fontsize": 6}
        first.text(0.98, switches.unigram_nats, "code frequencies alone", **place)
    return figure, drawn


def _ranges(run: HighRate) -> pd.DataFrame:
    nats = np.array(run.training.nats)  # [points, seeds]
    ranges = {"loss": nats.mean(axis=1), "least": nats.min(axis=1), "most": nats.max(axis=1)}
    return pd.DataFrame({"step": run.training.step} | ranges)
