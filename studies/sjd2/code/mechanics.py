"""Figures of how decoders work, from results/<profile>/sjd2.json: noise levels, windows and steps, drafts that change,
tokens a pass. As in studies/sjd2/code/figures.py, each function returns its figure and data, or None."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from lib.evidence import figures, plots
from lib.evidence.report import Estimate
from studies.sjd2.code import measures
from studies.sjd2.code.figures import CROSS, DASHED, DECODERS, NETWORK, Drawn, beside, likelihood, runs_of
from studies.sjd2.code.reports import Cell, Results

# Networks of the ablations by the deviation of their table: each pair shares a panel.
TABLES = {"embeddings as trained": ("small", "untold"), "embeddings of deviation 0.02": ("standard_002", "plain_002")}
TICKS = (1, 2, 5, 10, 20, 50)  # of the logarithmic axes of window over steps


def levels(report: Results) -> Drawn:
    """Loss of the token after an input of each noise level, by the table of embeddings; both panels on one scale."""
    frames = []
    for table, networks in TABLES.items():
        for network in networks:
            if network in report.networks:
                nats = report.networks[network].nats_per_level
                own = pd.DataFrame({"level": range(len(nats)), "nats": nats}).dropna()
                frames.append(own.assign(table=table, network="level told" if network == "small" else NETWORK[network]))
    if not frames:
        return None
    frame = pd.concat(frames)
    with figures.style():
        tables = list(frame.groupby("table", sort=False))
        look = {"sharey": True, "squeeze": False}
        figure, panels = figures.axes(width="double", columns=len(tables), aspect=0.75, **look)
        for axes, (table, part) in zip(panels[0], tables, strict=True):
            for number, (network, own) in enumerate(part.groupby("network", sort=False)):
                axes.plot(own["level"], own["nats"], label=network, **(figures.series(number) | {"marker": ""}))
            axes.set(xlabel="noise level of the input (0: clean)", title=table, ylim=(0, None))
            axes.legend(loc="lower right")
        panels[0, 0].set_ylabel("loss after it (nats a token)")
    return figure, frame


def embeddings(report: Results) -> Drawn:
    """How likely the pictures are with standardized embeddings and without, by decoder."""
    rows = [
        {"decoder": DECODERS[name.split("_")[0]], "embeddings": NETWORK[run.network], **plots.row(likelihood(run))}
        for name, run in runs_of(report, "embeddings").items()
    ]
    if not rows:
        return None
    frame = pd.DataFrame(rows)
    with figures.style():
        figure, axes = figures.axes(width="double", aspect=0.4)
        plots.intervals(axes, frame, "decoder", "embeddings")
        if report.random_codes is not None:
            axes.axhline(report.random_codes, label="random codes", **DASHED)
        axes.set(ylabel="nats a token of the pictures", ylim=(0, None))
        beside(axes)
    return figure, frame


def entropy(report: Results) -> Drawn:
    """S over the entropy of a token, which rises with the temperature."""
    runs = runs_of(report, "entropy")
    rows = [
        {"decoder": DECODERS[name.rsplit("_", 1)[0]], "temperature": run.sampling.temperature}
        | {"entropy": run.entropy.value, **plots.row(run.compression)}
        for name, run in runs.items()
        if run.decoder != "autoregressive"
    ]
    if not rows:
        return None
    frame = pd.DataFrame(rows).sort_values("entropy")
    with figures.style():
        figure, axes = figures.axes(width="double", aspect=0.45)
        for number, (decoder, part) in enumerate(frame.groupby("decoder", sort=False)):
            plots.points(axes, part, "entropy", decoder, number)
        axes.axhline(1, **DASHED)
        axes.set(xlabel="entropy of a token (nats)", ylabel="step compression S", xlim=(0, None), ylim=(0, None))
        beside(axes)
    return figure, frame


def surface(report: Results) -> Drawn:
    """Step compression and time over window and denoising steps; yellow is better in both panels."""
    cells = report.surface.cells
    if not cells:
        return None
    frame = surface_frame(cells)
    slow = runs_of(report, "surface").get("autoregressive")
    with figures.style():
        figure, panels = figures.axes(width="double", columns=2, aspect=0.95)
        titles = ["step compression S, ± half its interval", "time a picture (ms)"]
        if slow and slow.seconds:
            titles[1] += f"; autoregressive: {1000 * slow.seconds.value:.0f}"
        for axes, key, scale, title in zip(panels, ("compression", "seconds"), (1, 1000), titles, strict=True):
            grid = scale * frame.pivot(index="steps", columns="window", values=key).sort_index(ascending=False)
            half = frame.pivot(index="steps", columns="window", values="half").sort_index(ascending=False)
            axes.imshow(grid, cmap="viridis" if key == "compression" else "viridis_r", aspect="auto")
            for (row, column), value in np.ndenumerate(grid):
                told = "" if np.isnan(value) else f"{value:.{1 if scale == 1 else 0}f}"
                told += f"\n±{half.iloc[row, column]:.1f}" if told and scale == 1 else ""
                box = {"boxstyle": "round,pad=0.15", "facecolor": "white", "alpha": 0.7, "linewidth": 0}
                axes.text(column, row, told, ha="center", va="center", fontsize=6, bbox=box)
            axes.set_xticks(range(grid.shape[1]), grid.columns)
            axes.set_yticks(range(grid.shape[0]), grid.index)
            axes.set(xlabel="window L", ylabel="denoising steps T", title=title)
            axes.grid(False)
    return figure, frame


def surface_frame(cells: Sequence[Cell]) -> pd.DataFrame:
    """The cells of the surface, with the intervals of S over seeds."""
    rows = []
    for cell in cells:
        found = Estimate.of(cell.by_seed, f"surface {cell.run}")
        own = {"window": cell.window, "steps": cell.steps, "expected": cell.window / cell.steps}
        own |= {"compression": cell.compression, "low": found.low, "high": found.high, "seconds": cell.seconds}
        rows.append(own | {"half": (found.high - found.low) / 2, "value": cell.compression})
    return pd.DataFrame(rows).astype({"seconds": float})


def window_per_step(report: Results) -> Drawn:
    """S over window length per denoising step, beside the paper's two models."""
    if not report.surface.cells:
        return None
    frame = surface_frame(report.surface.cells)
    with figures.style():
        figure, axes = figures.axes(width="double", aspect=0.5)
        for number, (window, part) in enumerate(frame.sort_values("expected").groupby("window")):
            plots.points(axes, part, "expected", f"L = {window}", number)
        far = [frame["expected"].min(), frame["expected"].max()]
        axes.plot(far, far, label="S = L / T", **DASHED)
        for name, paper in measures.PAPER_MODELS.items():
            place = (paper.window / paper.steps, paper.compression)
            axes.plot(*place, **CROSS)
            axes.annotate(name, place, textcoords="offset points", xytext=(4, -8), fontsize=6)
        axes.set(xscale="log", yscale="log", xlabel="window / steps, L / T", ylabel="step compression S")
        axes.set_xticks(TICKS, [f"{tick:g}" for tick in TICKS])
        axes.set_yticks(TICKS[:-1], [f"{tick:g}" for tick in TICKS[:-1]])
        axes.minorticks_off()
        beside(axes)
    return figure, frame


def stability(report: Results) -> Drawn:
    """Changes of a draft a pass by its place in the window."""
    rows = [
        {"decoder": DECODERS[name], "slot": slot + 1}
        | plots.row(Estimate.of([seed[place] for seed in run.changes.by_seed], f"{name} {slot}"))
        for name, run in runs_of(report, "stability").items()
        if run.changes
        for place, slot in enumerate(run.changes.slots)
    ]
    if not rows:
        return None
    frame = pd.DataFrame(rows)
    with figures.style():
        figure, axes = figures.axes(width="double", aspect=0.4)
        for number, (name, part) in enumerate(frame.groupby("decoder", sort=False)):
            plots.points(axes, part, "slot", name, number)
        axes.set(xlabel="place in the window", ylabel="changes of the draft a pass", ylim=(0, None))
        axes.set_xticks(sorted(set(frame["slot"])))
        beside(axes)
    return figure, frame


def accepted(report: Results) -> Drawn:
    """Passes that fix so many tokens or more, on a logarithmic scale, as far as one in a thousand does."""
    frames = []
    for name, run in runs_of(report, "decoders", ("sjd_authors", "sjd", "shared", "sjd2")).items():
        reached = np.array(run.accepted.shares)[::-1].cumsum()[::-1][1:] + run.accepted.longer
        own = pd.DataFrame({"tokens": range(1, len(reached) + 1), "share": 100 * reached})
        frames.append(own[own["share"] >= 0.1].assign(decoder=DECODERS[name]))
    if not frames:
        return None
    frame = pd.concat(frames)
    with figures.style():
        figure, axes = figures.axes(width="double", aspect=0.4)
        for number, (name, part) in enumerate(frame.groupby("decoder", sort=False)):
            look = figures.series(number) | {"marker": ""}
            axes.plot(part["tokens"], part["share"], label=name, drawstyle="steps-mid", **look)
        axes.set(xlabel="tokens", ylabel="passes that fix so many\nor more (%)", yscale="log", xlim=(1, None))
        axes.set_yticks([0.1, 1, 10, 100], ["0.1", "1", "10", "100"])
        axes.minorticks_off()
        beside(axes)
    return figure, frame


def windows(report: Results) -> Drawn:
    """S of SJD over the length of its window."""
    runs = runs_of(report, "windows").values()
    rows = [{"window": run.options["window"], **plots.row(run.compression)} for run in runs]
    if not rows:
        return None
    frame = pd.DataFrame(rows).sort_values("window")
    with figures.style():
        figure, axes = figures.axes(width="single")
        plots.points(axes, frame, "window", None, 0)
        axes.axvline(16, label="16, the authors' window", **DASHED)
        axes.set(xlabel="SJD's window (tokens)", ylabel="step compression S", ylim=(0, None))
        plots.ticks(axes, frame["window"])
        axes.legend(loc="lower left")
    return figure, frame
