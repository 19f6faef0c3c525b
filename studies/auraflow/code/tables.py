"""Stage auraflow/tables: the study's numbers as tables (.csv, .md, .tex) → results/<profile>/tables/auraflow/."""

from typing import Any

import numpy as np

from lib.evidence.systems import save
from lib.evidence.tables import Number, interval, write_all
from studies.auraflow.code.reports import Results
from studies.auraflow.code.settings import Params
from studies.auraflow.code.systems import systems


def run(params: Params) -> None:
    """Writes all tables."""
    source, out = params.results / "auraflow.json", params.results / "tables" / "auraflow"
    report = Results.read(source)
    write_all(
        out,
        all_tables(report),
        profile=params.profile,
        stage="auraflow/tables",
        sources=["studies/auraflow/code/tables.py"],
        inputs=[source],
    )
    save(out, systems(params, report))


def all_tables(report: Results) -> list[tuple[str, list[dict[str, Any]], dict[str, Any]]]:
    """(name, rows, options of `lib.evidence.tables.write`) of every table."""
    return [
        ("auraflow_models", model_rows(report), MODELS),
        ("auraflow_languages", language_rows(report), LANGUAGES),
        ("auraflow_passes", pass_rows(report), PASSES),
        ("auraflow_speed", speed_rows(report), SPEED),
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
