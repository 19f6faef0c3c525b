"""Stage auraflow/tables: the study's numbers as tables (.csv, .md, .tex) → results/<profile>/tables/auraflow/."""

from typing import Any

import numpy as np

from lib.evidence.report import Interval
from lib.evidence.systems import save
from lib.evidence.tables import Number, interval, write_all
from studies.auraflow.code.reports import Results, Schedules
from studies.auraflow.code.settings import Params
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
        ("auraflow_inpainting", inpainting_rows(report), INPAINTING),
        ("auraflow_passes", pass_rows(report), PASSES | {"n": exact}),
        ("auraflow_speed", speed_rows(report), SPEED | {"n": timed}),
        ("auraflow_scales", scale_rows(report), SCALES),
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
    "claims": ["P58", "D50", "D51", "D52", "D53"],
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
    "notes": ["The same prompts, translated. The text network named english has read no Chinese."],
    "claims": ["P58", "D50", "D51", "D52", "D53"],
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


CAPTIONS = {
    "caption": "Pictures drawn exactly right from captions that say little and from captions that say all.",
    "units": {"short captions": "%", "long captions": "%"},
    "notes": [
        "The same test pictures, English captions, over all trainings. Both name one object and its colour; the long "
        "ones its size and the background as well, as captions by a language model do. Exact: the object, in its "
        "colour, and nothing else."
    ],
}


def caption_rows(report: Results) -> list[dict[str, Any]]:
    """One row a training."""
    return [
        {
            "model": own.model.replace("_", " "),
            "text network": own.text,
            "trainings": len(own.minutes),
            "short captions": interval(report.again.get("short", {}).get(name), 1, 100),
            "long captions": interval(report.again.get("long", {}).get(name), 1, 100),
        }
        for name, own in report.trainings.items()
    ]


INPAINTING = {
    "caption": "Test pictures whose middle is drawn anew, half of the picture in both directions.",
    "units": {"right": "%"},
    "notes": [
        "Right: the picture shows the object that it showed, in its colour, and nothing else, by its longest caption. "
        "The next-scale model is given the tokens of all scales that show nothing of the middle, which it was not "
        "trained for; the raster model sees of what is given only what comes before."
    ],
}


def inpainting_rows(report: Results) -> list[dict[str, Any]]:
    """One row a training of a model that can be given tokens."""
    return [
        {
            "model": report.trainings[name].model.replace("_", " "),
            "text network": report.trainings[name].text,
            "trainings": len(report.trainings[name].minutes),
            "pictures": one.n,
            "right": interval(one, 1, 100),
        }
        for name, one in report.again.get("filled", {}).items()
    ]


PASSES = {
    "caption": "Models that denoise, by the number of passes; the first training of each.",
    "units": {"exact": "%"},
    "notes": ["English prompts; guidance as chosen for the usual number of passes, whose row is over all trainings."],
}


def pass_rows(report: Results) -> list[dict[str, Any]]:
    """One row a training and number of passes."""
    found = [one for one in report.runs.values() if "steps" in one.sampling and one.language == report.languages[0]]
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


SCHEDULES = {
    "caption": "What the U-Net draws that was trained at the noise levels of several schedules.",
    "units": {"brightness": "%", "spread of brightness": "%", "contrast": "%"},
    "notes": [
        "Brightness from black, 0 %, to white, 100 %; its spread: how far a picture's lies from the mean of the test "
        "pictures, on average; contrast: standard deviation inside a picture. Captions of test pictures, the first row "
        "those pictures themselves. All say v, in as many updates, fewer than in the comparison of models."
    ],
    "claims": ["C37"],
}


def schedule_rows(report: Schedules) -> list[dict[str, Any]]:
    """One row for the test pictures, and one a schedule."""
    missing = {"levels": "–", "terminal SNR": "–", "FID": interval(None, 2), "KID": interval(None, 4)}
    real = {"schedule": "test pictures", "trainings": "–", "pictures": report.pictures}
    rows = [real | light_row(report.real) | missing]
    for name, one in report.schedules.items():
        rows.append(
            {
                "schedule": name.replace("_", " "),
                "trainings": report.seeds,
                "pictures": report.seeds * report.pictures,
                **light_row({"brightness": one.brightness, "spread": one.spread, "contrast": one.contrast}),
                "levels": one.levels,
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
