"""Stage systems: what all studies say of their systems (lib/evidence/systems.py), as one table and one figure →
results/<profile>/tables/systems/, paper_figs/<profile>/systems/.
"""

from collections import Counter
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator

from lib import config
from lib.evidence import figures
from lib.evidence.systems import FAMILIES, FILE, System, Systems
from lib.evidence.tables import Number, interval, write_all
from lib.ownership import fresh

NAME = "systems"
BATCHES = (1, 16)
TICKS = [digit * 10**power for power in range(-1, 5) for digit in (1, 2, 5)]  # milliseconds
TABLE = {
    "caption": "Every system of the bench.",
    "units": {
        "parameters": "millions",
        "training": "core-minutes",
        "operations": "millions a picture",
        "batch 1": "ms a picture",
        "batch 16": "ms a picture",
        "exact, en": "%",
        "exact, zh": "%",
        "likelihood": "nats a token",
    },
}
READ = (
    "Only systems of the same pictures can be compared. Parameters: of the image models, without text network and "
    "tokenizer. Times: one thread, mean and range over repetitions, of decoders over sampling seeds. Exact: of prompts "
    "whose shapes and colours training pictures have together. FID and KID in the features of this repository's own "
    "CLIP, against each study's own test pictures. Likelihood: under a judge of the study's own. A dash: the study "
    "does not measure it."
)


def run(params: config.Params) -> None:
    """Writes both; nothing where no study has systems."""
    files = [params.results / "tables" / study / FILE for study in config.studies()]
    files = [file for file in files if file.is_file()]
    systems = [system for file in files for system in Systems.read(file).systems]
    out, drawn = params.results / "tables" / NAME, params.figures / NAME
    letters = {
        pictures: chr(ord("A") + at) for at, pictures in enumerate(dict.fromkeys(one.pictures for one in systems))
    }
    said = [f"{letter}: {pictures}." for pictures, letter in letters.items()]
    origin = {"stage": NAME, "sources": ["lib/pipeline/systems.py"], "inputs": files}
    rows = [row(one, letters[one.pictures]) for one in systems]
    write_all(out, [(NAME, rows, TABLE | {"notes": [READ, *said]})], profile=params.profile, **origin)
    fresh(drawn)
    if compared := alike(systems):
        frame = pd.DataFrame([point(one) for one in compared])
        with figures.style():
            figure, axes = figures.axes(width="double", aspect=0.55)
            draw(axes, frame)
            figures.save(figure, drawn / "quality_and_time", frame, **origin)


def row(one: System, pictures: str) -> dict[str, Any]:
    """A system in the table."""
    return {
        "system": one.name,
        "pictures": pictures,
        "trainings": len(one.minutes) or None,
        "parameters": Number(one.parameters / 1e6, digits=2),
        "training": Number(float(np.mean(one.minutes)), digits=1) if one.minutes else None,
        "passes": Number(one.passes, digits=0),
        "operations": None if one.operations is None else Number(one.operations / 1e6, digits=0),
        **{f"batch {size}": milliseconds(one, size) for size in BATCHES},
        **{f"exact, {language}": interval(one.exact.get(language), 0, 100) for language in ("en", "zh")},
        "FID": interval(one.fid, 2),
        "KID": interval(one.kid, 4),
        "CLIP score": interval(one.clip_score, 1),
        "likelihood": interval(one.likelihood, 2),
    }


def milliseconds(one: System, batch_size: int) -> Number | None:
    """A picture in a batch of that size: mean and range."""
    if batch_size not in one.seconds:
        return None
    own = 1e3 * np.array(one.seconds[batch_size])
    return Number(own.mean(), own.min(), own.max(), digits=1)


def alike(systems: list[System]) -> list[System]:
    """Of the systems that were timed alone and judged, those of the pictures that most of them draw."""
    able = [one for one in systems if 1 in one.seconds and "en" in one.exact]
    most = Counter(one.pictures for one in able).most_common(1)
    return [one for one in able if one.pictures == most[0][0]] if most else []


def point(one: System) -> dict[str, Any]:
    """A system in the figure: time of a picture drawn alone, share of prompts drawn exactly right."""
    time, exact = 1e3 * float(np.mean(one.seconds[1])), one.exact["en"]
    shares = {"exact": exact.value, "low": exact.low, "high": exact.high}
    return {"system": one.name, "family": one.family, "milliseconds": time, "passes": one.passes} | shares


def draw(axes: Axes, frame: pd.DataFrame) -> None:
    """Every system as a point with its interval, numbered; names below the axes."""
    for at, family in enumerate(FAMILIES):
        own = frame[frame.family == family]
        if len(own):
            exact = 100 * own[["exact", "low", "high"]]
            errors = [exact.exact - exact.low, exact.high - exact.exact]
            style = figures.series(at) | {"linestyle": "none"}
            axes.errorbar(own.milliseconds, exact.exact, yerr=errors, label=family, **style)
    for number, (_, one) in enumerate(frame.iterrows(), start=1):
        place = (one.milliseconds, 100 * one.exact)
        axes.annotate(str(number), place, xytext=(5, 3), textcoords="offset points", fontsize=7)
    names = [f"{number} {name}" for number, name in enumerate(frame.system, start=1)]
    axes.set(xscale="log", xlabel="ms a picture, drawn alone on one thread", ylabel="prompts drawn exactly right (%)")
    axes.set_ylim(0, 102)
    left, right = axes.get_xlim()
    axes.set_xticks([tick for tick in TICKS if left <= tick <= right])
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_locator(NullLocator())
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.82))
    axes.text(1.02, 0.6, "\n".join(names), transform=axes.transAxes, fontsize=7, va="top")
