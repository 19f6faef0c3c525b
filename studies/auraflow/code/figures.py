"""Figures of the study's notebooks: each function draws one from what the stages left, and returns it with its data."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from lib.evidence import figures, plots
from lib.evidence.report import Interval
from studies.auraflow.code.reports import Results, Run, Schedules

NETWORKS = {"": "language model", "_english": "English encoder", "_both": "encoder of both", "_clip": "CLIP"}
FLOWS = {f"flow{name}": f"Flow, {network}" for name, network in NETWORKS.items() if name != "_clip"}
UNETS = {f"unet{name}": f"U-Net, {network}" for name, network in NETWORKS.items()}
TOKENS = {"next_scale": "Next scale", "next_scale_small": "Next scale, small", "next_scale_tiny": "Next scale, tiny"}
TOKENS |= {"raster": "Raster order"}
MODELS = FLOWS | UNETS | TOKENS
LANGUAGES = {"en": "English", "zh": "Chinese"}
NOISES = {"sdxl": "SDXL", "kolors": "Kolors", "zero_terminal_snr": "zero\nterminal SNR"}
WORDINGS = {"short": "short", "long": "long", "keywords": "keywords"}


def judged(report: Results) -> bool:
    """Whether the data source says what its pictures must show, so that pictures can be right or wrong."""
    return report.runs["flow"].exact is not None


def quality(run: Run) -> Interval:
    """How good a way of drawing is: exact accuracy, or the CLIP score where nobody knows what is right."""
    return run.exact or run.clip_score


def label(report: Results) -> str:
    """What `quality` is."""
    return "exact accuracy" if judged(report) else "CLIP score"


def strips(report: Results, trainings: Sequence[str]) -> list[str]:
    """Names of the strips of pictures of trainings, in every language."""
    return [strip for name in trainings for strip in (name, *(f"{name}_{one}" for one in report.languages[1:]))]


def heading(report: Results, strip: str) -> str:
    """What drew a strip, and from which prompts."""
    run = report.runs[strip]
    asked = f"prompts in {LANGUAGES.get(run.language, run.language)}"
    # Strips show their prompts in English (lib/evidence/samples.py).
    asked += "" if run.language == "en" else ", shown in English"
    return f"{MODELS[run.training]}; {asked}, unselected."


def languages(report: Results, trainings: Sequence[str]) -> tuple[Figure, pd.DataFrame]:
    """Quality in every language, of image models behind several text networks."""
    rows = [
        {"model": MODELS[one.training].replace(", ", ",\n"), "language": LANGUAGES.get(one.language, one.language)}
        | plots.row(quality(one))
        for one in (report.runs[strip] for strip in strips(report, trainings))
    ]
    return dots(pd.DataFrame(rows), "model", "language", label(report))


def wordings(report: Results, trainings: Sequence[str]) -> tuple[Figure, pd.DataFrame]:
    """Exact accuracy and grounds of test pictures by what their captions say."""
    rows = [
        {"captions": f"{title},\n{what}", "model": MODELS[name], **plots.row(getattr(report.again[way][name], key))}
        for way, title in WORDINGS.items()
        for key, what in (("exact", "object"), ("ground", "ground"))
        for name in trainings
    ]
    return dots(pd.DataFrame(rows), "captions", "model", "share that is right")


def schedules(found: Schedules) -> tuple[Figure, pd.DataFrame]:
    """Brightness and contrast of what a U-Net draws, by the noise levels of its training, and of test pictures."""
    rows = []
    for size, own in found.sizes.items():
        lights = {"test pictures": own.real}
        lights |= {name: {"spread": one.spread, "contrast": one.contrast} for name, one in own.schedules.items()}
        rows += [
            {"pictures": f"{NOISES.get(name, name)}, {size}", "what": what, **plots.row(one[key])}
            for name, one in lights.items()
            for key, what in (("spread", "distance from the mean"), ("contrast", "contrast inside a picture"))
        ]
    return dots(pd.DataFrame(rows), "pictures", "what", "brightness, 0 to 1")


def dots(frame: pd.DataFrame, category: str, group: str, label: str) -> tuple[Figure, pd.DataFrame]:
    """A dot with its interval for each category and group."""
    with figures.style():
        figure, axes = figures.axes(width="double", aspect=0.4)
        plots.intervals(axes, frame, category, group)
        axes.set(ylabel=label, ylim=(0, None))
    return figure, frame


def passes(report: Results) -> tuple[Figure, pd.DataFrame]:
    """Quality over the number of passes of the models that denoise, in the first language."""
    rows = [
        {"model": name, "passes": one.sampling["steps"], **plots.row(quality(one))}
        for name in ("flow", "unet")
        for one in report.runs.values()
        if one.training == name and one.language == report.languages[0]
    ]
    frame = pd.DataFrame(rows).sort_values(["model", "passes"])
    with figures.style():
        figure, axes = figures.axes(width="double", aspect=0.45)
        for number, (model, part) in enumerate(frame.groupby("model")):
            plots.points(axes, part, "passes", MODELS[model], number)
        axes.set(xlabel="passes", ylabel=label(report), ylim=(0, None))
        plots.ticks(axes, sorted(set(frame["passes"])))
        axes.legend(loc="upper left")
    return figure, frame


def scales(report: Results) -> tuple[Figure, pd.DataFrame]:
    """Quality of test pictures that are rebuilt from the coarsest scales alone."""
    frame = pd.DataFrame(
        [
            {"scale": f"{one.side}×{one.side}", "tokens": one.tokens, "perplexity": one.perplexity}
            | {"codes used": one.code_use}
            | plots.row(one.psnr)
            for one in report.scales
        ]
    )
    with figures.style():
        figure, axes = figures.axes(width="single")
        plots.points(axes, frame, "tokens", None, 0)
        axes.set(xlabel="tokens, coarsest first", ylabel="PSNR of test pictures (dB)")
    return figure, frame


def scaling(report: Results) -> tuple[Figure, pd.DataFrame]:
    """Quality of next-scale models over their size."""
    found = [(own, report.runs[name]) for name, own in report.trainings.items() if own.loss is not None]
    rows = [
        {"parameters": own.parameters, "loss": own.loss, "minutes": np.mean(own.minutes), **plots.row(quality(run))}
        for own, run in found
    ]
    frame = pd.DataFrame(rows).sort_values("parameters")
    with figures.style():
        figure, axes = figures.axes(width="single")
        plots.points(axes, frame, "parameters", None, 0)
        axes.set(xlabel="parameters", ylabel=label(report), ylim=(0, None), xscale="log")
    return figure, frame


def speeds(report: Results) -> pd.DataFrame:
    """Milliseconds a picture, one row a training and batch size."""
    rows = []
    for one in report.timings.values():
        own, passes = 1e3 * np.array(one.seconds) / one.batch_size, report.runs[one.training].passes
        row = {"model": MODELS[one.training], "batch": one.batch_size, "passes": passes, "ms a picture": own.mean()}
        rows.append(row | {"fastest": own.min(), "slowest": own.max()})
    return pd.DataFrame(rows)
