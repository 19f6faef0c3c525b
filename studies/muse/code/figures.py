"""Figures of the study's notebook: each function draws one from what the stages left, and returns it with its data."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from lib.evidence import figures, grids, plots, samples
from lib.evidence.report import Interval
from lib.evidence.shown import Shown
from lib.evidence.strips import read_strip
from lib.training.muse import draw_rates
from studies.muse.code.reports import Results

# Models as legends name them; each has the look of its place here in every figure.
MODELS = {"autoregressive": "autoregressive", "cascade": "pixel diffusion", "latent": "latent diffusion"}
MODELS |= {"masked": "masked", "super_resolution": "masked, enlarged"}
CHOICES = {"order_confidence": "order:\nconfidence", "order_halton": "order:\nHalton", "order_random": "order:\nrandom"}
CHOICES |= {"constant": "guidance:\nconstant", "ramped": "guidance:\nramped"}


def judged(report: Results) -> bool:
    """Whether the data source says what its pictures must show, so that pictures can be right or wrong."""
    return report.runs[f"masked_{report.steps['masked']}"].exact is not None


def quality(report: Results, run: str) -> Interval | None:
    """How good a way of drawing is: exact accuracy, or the CLIP score where nobody knows what is right."""
    return report.runs[run].exact if judged(report) else report.runs[run].clip_score


def label(report: Results) -> str:
    """What `quality` is."""
    return "exact accuracy" if judged(report) else "CLIP score"


def number(model: str) -> int:
    """Of a model's look in every figure."""
    return list(MODELS).index(model)


def laws(draws: int = 200_000) -> dict[str, np.ndarray]:
    """Masking rates as training draws them, and of two other laws, one of which has the same mean and name."""
    uniform = np.random.default_rng(0).random(draws)
    return {
        "cos(πu/2), Muse's": draw_rates(uniform, "arccos"),
        "(2/π) arccos u": 2 / np.pi * np.arccos(uniform),
        "uniform": draw_rates(uniform, "uniform"),
    }


def rates(drawn: dict[str, np.ndarray]) -> tuple[Figure, pd.DataFrame]:
    """The densities of `laws`."""
    edges = np.linspace(0, 1, 21)
    density = pd.DataFrame({name: np.histogram(rate, edges, density=True)[0] for name, rate in drawn.items()})
    density.insert(0, "rate", (edges[1:] + edges[:-1]) / 2)
    with figures.style():
        figure, axes = figures.axes(width="single")
        for at, name in enumerate(drawn):
            axes.plot(density["rate"], density[name], label=name, **(figures.series(at) | {"marker": ""}))
        axes.set(xlabel="masking rate", ylabel="density", ylim=(0, None))
        axes.legend()
    return figure, density


def unmasking(folder: Path, shown: Shown) -> tuple[Figure, pd.DataFrame]:
    """Pictures as they would be if all was fixed after each pass, a row a prompt."""
    strip = "unmasking"
    frame, prompts = samples.table(shown, strip), [prompt.english for prompt in shown.pictures[strip]]
    passes = len(frame) // len(prompts)
    titles = [f"pass {at}" for at in range(1, passes + 1)] + [""] * (len(frame) - passes)
    images = read_strip(folder / f"{strip}.png")
    figure = grids.picture_grid(images, passes, titles, rows=prompts, marks=list(frame["right"]))
    return figure, frame


def passes(report: Results) -> tuple[Figure, pd.DataFrame]:
    """Quality over the number of passes of the models that can take any, and the autoregressive model's."""
    rows = [
        {"model": one.training, "passes": one.sampling["steps"], **plots.row(quality(report, name))}
        for name, one in report.runs.items()
        if one.training in report.steps and name == f"{one.training}_{one.sampling['steps']}"
    ]
    frame = pd.DataFrame(rows).sort_values(["model", "passes"])
    plain = quality(report, "autoregressive")
    with figures.style():
        figure, axes = figures.axes(width="double", aspect=0.45)
        for model, part in frame.groupby("model"):
            plots.points(axes, part, "passes", MODELS[model], number(model))
        axes.axhline(plain.value, color="0.4", linestyle="--", label=MODELS["autoregressive"])
        axes.axhspan(plain.low, plain.high, color="0.9", zorder=0)
        axes.set(xlabel="passes", ylabel=label(report), ylim=(0, None))
        plots.ticks(axes, sorted(set(frame["passes"])))
        axes.legend(loc=(0.01, 0.4))
    return figure, frame


def training(report: Results) -> tuple[Figure, pd.DataFrame]:
    """Quality over the operations of a training, of all models of tokens and pixels on the chosen part of the data."""
    rows = []
    for name, one in report.trainings.items():
        run = next((run for run in (name, f"{name}_{report.steps.get(name)}") if run in report.runs), None)
        if run and one.part == report.part and one.model != "super_resolution" and quality(report, run):
            value = plots.row(quality(report, run))
            rows.append({"training": name, "model": one.model, "operations": one.operations, **value})
    frame = pd.DataFrame(rows).sort_values(["model", "operations"])
    with figures.style():
        figure, axes = figures.axes(width="single")
        for model, part in frame.groupby("model"):
            scaled = part.assign(operations=part["operations"] / 1e12)
            plots.points(axes, scaled, "operations", MODELS[model], number(model))
        axes.set(xlabel="10¹² operations of a training", ylabel=label(report), ylim=(0, None))
        axes.legend(loc="lower right")
    return figure, frame


def speed(report: Results) -> tuple[Figure, pd.DataFrame]:
    """Milliseconds a picture over the number of passes, one picture at a time; the data have batches as well."""
    rows = []
    for one in report.timings.values():
        own = 1e3 * np.array(one.seconds) / one.batch_size
        calls = one.sampling.get("steps", report.length)
        entry = {"model": one.training, "batch": one.batch_size, "passes": calls}
        rows.append(entry | {"ms a picture": own.mean(), "fastest": own.min(), "slowest": own.max()})
    frame = pd.DataFrame(rows).sort_values(["batch", "model", "passes"])
    with figures.style():
        figure, axes = figures.axes(width="single")
        for model, part in frame[frame["batch"] == 1].groupby("model"):
            axes.plot(part["passes"], part["ms a picture"], label=MODELS[model], **figures.series(number(model)))
        axes.set(xscale="log", yscale="log", xlabel="passes", ylabel="ms a picture, batch 1")
        axes.legend()
    return figure, frame


def front(report: Results) -> tuple[Figure, pd.DataFrame]:
    """CLIP score over FID, a line a model, a point a guidance scale; nothing where no run has both."""
    frame = pd.DataFrame(
        [
            {"model": one.training, "guidance": one.sampling["guidance"], "FID": one.fid.value, "CLIP": score.value}
            for one in report.runs.values()
            if not one.prompts and one.fid and (score := one.clip_score)
        ]
    )
    with figures.style():
        figure, axes = figures.axes(width="single")
        for model, part in frame.groupby("model") if len(frame) else ():
            axes.plot(part["FID"], part["CLIP"], label=MODELS[model], **figures.series(number(model)))
        axes.set(xlabel="FID, own CLIP's features", ylabel="CLIP score")
        if len(frame):
            axes.legend()
    return figure, frame


def choices(report: Results) -> tuple[Figure, pd.DataFrame]:
    """Quality by the order of unmasking, and by guidance that rises or does not."""
    frame = pd.DataFrame(
        [
            {"run": title, "what": "measured", **plots.row(quality(report, name))}
            for name, title in CHOICES.items()
            if name in report.runs
        ]
    )
    with figures.style():
        figure, axes = figures.axes(width="double", aspect=0.35)
        plots.intervals(axes, frame, "run", "what")
        axes.get_legend().remove()
        axes.set(ylabel=label(report), ylim=(0, None))
    return figure, frame
