"""Stage auraflow/tables: the study's numbers as tables (.csv, .md, .tex) → results/<profile>/tables/auraflow/."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from lib.evidence.report import Interval
from lib.evidence.systems import save
from lib.evidence.tables import Number, interval, write_all
from studies.auraflow.code.reports import Results, Schedules, Shown
from studies.auraflow.code.settings import DENOISING, Params
from studies.auraflow.code.systems import systems


def run(params: Params) -> None:
    """Writes all tables."""
    source, out = params.results / "auraflow.json", params.results / "tables" / "auraflow"
    report, schedules = Results.read(source), params.results / "auraflow_schedules.json"
    write_all(
        out,
        [*all_tables(report), ("auraflow_schedules", schedule_rows(Schedules.read(schedules)), SCHEDULES)],
        profile=params.profile,
        stage="auraflow/tables",
        sources=["studies/auraflow/code/tables.py"],
        inputs=[source, schedules],
    )
    save(out, systems(params, report))


def all_tables(report: Results) -> list[tuple[str, list[dict[str, Any]], dict[str, Any]]]:
    """(name, rows, options of `lib.evidence.tables.write`) of every table."""
    one = report.runs[next(iter(report.trainings))]  # all draw as many
    exact = {"prompts": one.exact and one.exact.n}
    drawn = exact | {
        "held-out prompts": one.heldout and one.heldout.n,
        "test captions behind FID and KID": one.captions,
    }
    timed = {"repetitions": min(len(timing.seconds) for timing in report.timings.values())}
    return [
        ("auraflow_models", model_rows(report), MODELS | {"n": drawn}),
        ("auraflow_languages", language_rows(report), LANGUAGES | {"n": exact}),
        ("auraflow_captions", caption_rows(report), CAPTIONS),
        ("auraflow_filled", filled_rows(report), FILLED),
        ("auraflow_passes", pass_rows(report), PASSES | {"n": exact}),
        ("auraflow_speed", speed_rows(report), SPEED | {"n": timed}),
        ("auraflow_scales", scale_rows(report), SCALES),
        ("auraflow_scaling", scaling_rows(report), SCALING),
        ("auraflow_search", search_rows(report), SEARCH),
    ]


def described(sampling: dict[str, Any]) -> str:
    """Sampling settings in a few words."""
    return ", ".join(f"{name} {value:g}" for name, value in sampling.items() if name != "steps")


MODELS = {
    "caption": "Every image model with its text network, on English prompts, over independent trainings.",
    "units": {"exact": "%", "exact, held out": "%", "objects": "% of those asked for", "training": "core-minutes"},
    "notes": [
        "All read captions in both languages while they are trained. Exact: of prompts whose shapes and colours "
        "training pictures have together; held out: of the others. Intervals are over prompts, for FID and KID over "
        "pictures. FID and KID in the features of this repository's own CLIP: they compare only with each other."
    ],
    "claims": ["P58", "D50", "D51", "D52"],
}


def model_rows(report: Results) -> list[dict[str, Any]]:
    """One row a training."""
    rows = []
    for name, own in report.trainings.items():
        one = report.runs[name]
        rows.append(
            {
                "model": own.model.replace("_", " "),
                "text network": own.text,
                "trainings": len(own.minutes),
                "parameters": own.parameters,
                "pictures seen": own.pictures_seen,
                "training": Number(float(np.mean(own.minutes)), digits=1),
                "passes": Number(one.passes, digits=0),
                "exact": interval(one.exact, 1, 100),
                "exact, held out": interval(one.heldout, 1, 100),
                "objects": interval(one.objects, 0, 100),
                "CLIP score": interval(one.clip_score, 2),
                "FID": interval(one.fid, 2),
                "KID": interval(one.kid, 4),
            }
        )
    return rows


LANGUAGES = {
    "caption": "Prompts drawn exactly right, by the language that they are put in and by their kind.",
    "units": {"exact": "%", "single object": "%", "colours": "%"},
    "notes": [
        "The same prompts, translated. The text network named english has read no Chinese; Chinese captions are "
        "half of what every image model is trained on."
    ],
    "claims": ["P58", "D50", "D51", "D52"],
}


def language_rows(report: Results) -> list[dict[str, Any]]:
    """One row a training and language."""
    rows = []
    for name, own in report.trainings.items():
        for run in (name, *(f"{name}_{language}" for language in report.languages[1:])):
            one = report.runs[run]
            kinds = one.exact.categories if one.exact else {}
            rows.append(
                {
                    "model": own.model.replace("_", " "),
                    "text network": own.text,
                    "language": one.language,
                    "exact": interval(one.exact, 1, 100),
                    "single object": interval(kinds.get("single_object"), 1, 100),
                    "colours": interval(kinds.get("colours"), 1, 100),
                    "CLIP score": interval(one.clip_score, 2),
                }
            )
    return rows


WORDINGS = {"short": "short captions", "long": "long captions", "keywords": "keywords"}
CAPTIONS = {
    "caption": "Test pictures drawn from captions that say little, from captions that say all, and from keywords.",
    "units": {name: "%" for name in WORDINGS.values()} | {f"ground, {name}": "%" for name in WORDINGS.values()},
    "notes": [
        "The same test pictures, English, over all trainings. All name one object and its colour; long captions its "
        "size and the background as well, as captions by a language model do, and so do keywords, without grammar: no "
        "model has seen any in training. Right: the object, in its colour, and nothing else. Ground: its colour is "
        "that of the test picture, which short captions do not say: there it is as often right as by chance."
    ],
}


def caption_rows(report: Results) -> list[dict[str, Any]]:
    """One row a training."""
    return [
        row_of(report, name, {title: report.again.get(way, {}) for way, title in WORDINGS.items()})
        for name in report.trainings
    ]


HOLES = {"inpainted": "middle anew", "outpainted": "all but the middle anew"}
FILLED = {
    "caption": "Test pictures of which the middle half in both directions is drawn anew, or all but that.",
    "units": {name: "%" for name in HOLES.values()} | {f"ground, {name}": "%" for name in HOLES.values()},
    "notes": [
        "Right: the picture shows the object that it showed, in its colour, and nothing else, by its longest caption. "
        "The next-scale models are given at every scale what known cells still lack, which they were not trained for; "
        "the raster model sees of what is given only what comes before. Ground: its colour at the rim is the picture's."
    ],
}


def filled_rows(report: Results) -> list[dict[str, Any]]:
    """One row a training of a model that fills gaps."""
    ways = {title: report.again.get(way, {}) for way, title in HOLES.items()}
    return [row_of(report, name, ways) for name in next(iter(ways.values()))]


def row_of(report: Results, name: str, ways: Mapping[str, Mapping[str, Shown]]) -> dict[str, Any]:
    """What a training made of test pictures, in every way: objects, then grounds."""
    own, shown = report.trainings[name], {title: found.get(name) for title, found in ways.items()}
    row = {"model": own.model.replace("_", " "), "text network": own.text, "parameters": own.parameters}
    row |= {"trainings": len(own.minutes)}
    row |= {title: interval(one and one.exact, 1, 100) for title, one in shown.items()}
    return row | {f"ground, {title}": interval(one and one.ground, 1, 100) for title, one in shown.items()}


PASSES = {
    "caption": "Models that denoise, by the number of passes; the first training of each.",
    "units": {"exact": "%"},
    "notes": ["English prompts; guidance as chosen for the usual number of passes, whose row is over all trainings."],
}


def pass_rows(report: Results) -> list[dict[str, Any]]:
    """One row a training and number of passes."""
    found = [one for one in report.runs.values() if one.training in DENOISING and one.language == report.languages[0]]
    return [
        {
            "model": report.trainings[one.training].model,
            "text network": report.trainings[one.training].text,
            "passes": one.sampling["steps"],
            "exact": interval(one.exact, 1, 100),
            "CLIP score": interval(one.clip_score, 2),
        }
        for one in sorted(found, key=lambda one: (one.training, one.sampling["steps"]))
    ]


SPEED = {
    "caption": "Time and operations of a picture, from the caption to the pixels.",
    "units": {"time": "ms a picture", "fastest": "ms a picture", "slowest": "ms a picture", "operations": "million"},
    "notes": ["One thread, nothing beside it. Mean and range over repetitions; operations of products alone."],
    "claims": ["C36"],
}


def speed_rows(report: Results) -> list[dict[str, Any]]:
    """One row a training and batch size."""
    rows = []
    for one in report.timings.values():
        own, training = 1e3 * np.array(one.seconds) / one.batch_size, report.trainings[one.training]
        rows.append(
            {
                "model": training.model.replace("_", " "),
                "text network": training.text,
                "batch": one.batch_size,
                "passes": Number(report.runs[one.training].passes, digits=0),
                "time": Number(own.mean(), digits=1),
                "fastest": Number(own.min(), digits=1),
                "slowest": Number(own.max(), digits=1),
                "operations": Number(one.operations / one.batch_size / 1e6, digits=0),
            }
        )
    return rows


SCALES = {
    "caption": "What the scales of the next-scale model's image tokenizer tell, by test pictures.",
    "units": {"entropy": "bits a token", "codes used": "%", "PSNR": "dB"},
    "notes": ["One vocabulary for all scales. PSNR: of pictures rebuilt from this scale and all coarser ones."],
}


def scale_rows(report: Results) -> list[dict[str, Any]]:
    """One row a scale, the coarsest first."""
    return [
        {
            "scale": f"{one.side}×{one.side}",
            "tokens so far": one.tokens,
            "codes used": Number(100 * one.code_use, digits=1),
            "entropy": Number(one.entropy_bits, digits=2),
            "perplexity": Number(one.perplexity, digits=0),
            "PSNR": interval(one.psnr, 2),
        }
        for one in report.scales
    ]


SCALING = {
    "caption": "Next-scale models of several sizes, trained on as many pictures.",
    "units": {"exact": "%", "loss": "nats a token", "training": "core-minutes"},
    "notes": ["One training each, so no trend is claimed. Loss: of test pictures, tokens of all scales."],
}


def scaling_rows(report: Results) -> list[dict[str, Any]]:
    """One row a size, the smallest first."""
    models = {name: one for name, one in report.trainings.items() if one.loss is not None}
    return [
        {
            "parameters": one.parameters,
            "pictures seen": one.pictures_seen,
            "training": Number(float(np.mean(one.minutes)), digits=1),
            "loss": Number(one.loss, digits=3),
            "exact": interval(report.runs[name].exact, 1, 100),
            "FID": interval(report.runs[name].fid, 2),
        }
        for name, one in sorted(models.items(), key=lambda item: item[1].parameters)
    ]


SCHEDULES = {
    "caption": "What the U-Net draws that was trained at the noise levels of several schedules.",
    "units": {"brightness": "%", "spread of brightness": "%", "contrast": "%", "ground": "%"},
    "notes": [
        "Brightness from black, 0 %, to white, 100 %; its spread: how far a picture's lies from the mean of the test "
        "pictures, on average; contrast: standard deviation inside a picture; ground: of the colour that the caption "
        "asks for. Captions of test pictures, the longest, which name the ground; the first row of a size those "
        "pictures themselves. ε and leading levels as Stable Diffusion XL and Kolors were published, v and trailing "
        "levels as Lin et al. propose. FID and KID compare within a size alone."
    ],
    "claims": ["C37"],
}


def schedule_rows(report: Schedules) -> list[dict[str, Any]]:
    """Of every size one row for the test pictures, and one a schedule."""
    missing = {"levels": "–", "says": "–", "asked at": "–", "terminal SNR": "–"}
    missing |= {"FID": interval(None, 2), "KID": interval(None, 4)}
    rows = []
    for size, own in report.sizes.items():
        side = f"{size}×{size}"
        real = {"size": side, "schedule": "test pictures", "trainings": "–", "pictures": own.pictures}
        rows.append(real | light_row(own.real) | {"ground": interval(None, 1)} | missing)
        for name, one in own.schedules.items():
            rows.append(
                {
                    "size": side,
                    "schedule": name.replace("_", " "),
                    "trainings": report.seeds,
                    "pictures": report.seeds * own.pictures,
                    **light_row({"brightness": one.brightness, "spread": one.spread, "contrast": one.contrast}),
                    "ground": interval(one.ground, 1, 100),
                    "levels": one.levels,
                    "says": {"epsilon": "ε"}.get(one.target, one.target),
                    "asked at": f"{one.spacing} levels",
                    "terminal SNR": Number(one.terminal_snr, digits=5),
                    "FID": interval(one.fid, 2),
                    "KID": interval(one.kid, 4),
                }
            )
    return rows


def light_row(found: dict[str, Interval]) -> dict[str, Any]:
    """How bright pictures are."""
    return {
        "brightness": interval(found["brightness"], 1, 100),
        "spread of brightness": interval(found["spread"], 1, 100),
        "contrast": interval(found["contrast"], 1, 100),
    }


SEARCH = {
    "caption": "Sampling settings that were tried on validation prompts, with the first training of each name.",
    "units": {"exact": "%"},
    "notes": ["English prompts that the comparison does not use. The best one of each name was taken."],
}


def search_rows(report: Results) -> list[dict[str, Any]]:
    """One row a training and setting."""
    return [
        {
            "model": report.trainings[name].model.replace("_", " "),
            "text network": report.trainings[name].text,
            "sampling": described(trial.sampling),
            "exact": Number(100 * trial.exact, digits=1),
            "taken": "yes" if trial == own.best else "",
        }
        for name, own in report.search.models.items()
        for trial in own.trials
    ]
