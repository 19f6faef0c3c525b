"""Figures of the study's notebook: each function draws one from what the stages left, and returns it with its data."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from lib.evidence import figures, plots
from lib.evidence.report import Interval
from studies.auraflow.code.reports import Results, Run, Schedules

MODELS = {"raster_language": "Raster order, language model", "raster_english": "Raster order, English encoder"}
MODELS |= {"raster_both": "Raster order, encoder of both", "next_scale": "Next scale", "flow": "Flow", "unet": "U-Net"}
LANGUAGES = {"en": "English", "zh": "Chinese"}
NOISES = {"sdxl": "SDXL", "kolors": "Kolors", "zero_terminal_snr": "zero terminal SNR"}


def judged(report: Results) -> bool:
    """Whether the data source says what its pictures must show, so that pictures can be right or wrong."""
    return report.runs["raster_language"].exact is not None


def quality(run: Run) -> Interval:
    """How good a way of drawing is: exact accuracy, or the CLIP score where nobody knows what is right."""
    return run.exact or run.clip_score


def label(report: Results) -> str:
    """What `quality` is."""
    return "exact accuracy" if judged(report) else "CLIP score"


def strips(report: Results) -> list[str]:
    """Names of all strips of pictures: of every model, and of every model in the other languages."""
    others = report.languages[1:]
    return [strip for name in MODELS for strip in (name, *(f"{name}_{language}" for language in others))]


def heading(report: Results, strip: str) -> str:
    """What drew a strip, and from which prompts."""
    run = report.runs[strip]
    asked = f"prompts in {LANGUAGES.get(run.language, run.language)}"
    # Strips show their prompts in English (lib/evidence/samples.py).
    asked += "" if run.language == "en" else ", shown in English"
    return f"{MODELS[run.training]}; {asked}, unselected."


def schedules(found: Schedules) -> tuple[Figure, pd.DataFrame]:
    """Brightness and contrast of what a U-Net draws, by the noise levels of its training, and of test pictures."""
    lights = {"test pictures": found.real}
    lights |= {name: {"spread": one.spread, "contrast": one.contrast} for name, one in found.schedules.items()}
    frame = pd.DataFrame(
        [
            {"pictures": NOISES.get(name, name), "what": what, **plots.row(one[key])}
            for name, one in lights.items()
            for key, what in (
                ("spread", "distance from the mean brightness"),
                ("contrast", "contrast inside a picture"),
            )
        ]
    )
    with figures.style():
        figure, axes = figures.axes(width="double", aspect=0.35)
        plots.intervals(axes, frame, "pictures", "what")
        axes.set(ylabel="brightness, 0 to 1", ylim=(0, None))
    return figure, frame


def languages(report: Results) -> tuple[Figure, pd.DataFrame]:
    """Every model's quality in every language."""
    others = report.languages[1:]
    rows = [
        {"model": name, "language": one.language, **plots.row(quality(one))}
        for name in report.trainings
        for one in (report.runs[run] for run in (name, *(f"{name}_{language}" for language in others)))
    ]
    frame, places = pd.DataFrame(rows), np.arange(len(report.trainings))
    with figures.style():
        figure, axes = figures.axes(width="double", aspect=0.4)
        for number, (language, part) in enumerate(frame.groupby("language", sort=False)):
            look, spoken = figures.series(number) | {"linestyle": "none"}, LANGUAGES.get(language, language)
            axes.errorbar(places + 0.16 * (number - 0.5), part["value"], plots.ends(part), label=spoken, **look)
        axes.set_xticks(places, [MODELS[name].replace(", ", ",\n") for name in report.trainings])
        axes.set(ylabel=label(report), ylim=(0, None))
        axes.legend(loc="upper right")
    return figure, frame


def passes(report: Results) -> tuple[Figure, pd.DataFrame]:
    """Quality over the number of passes of the models that denoise, in the first language."""
    rows = [
        {"model": one.training, "passes": one.sampling["steps"], **plots.row(quality(one))}
        for one in report.runs.values()
        if "steps" in one.sampling and one.language == report.languages[0]
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
            | plots.row(one.psnr)
            for one in report.scales
        ]
    )
    with figures.style():
        figure, axes = figures.axes(width="single")
        plots.points(axes, frame, "tokens", None, 0)
        axes.set(xlabel="tokens, coarsest first", ylabel="PSNR of test pictures (dB)")
    return figure, frame
