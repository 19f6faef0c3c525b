"""Stage muse/tables: the study's numbers as tables (.csv, .md, .tex) → results/<profile>/tables/muse/."""

from typing import Any

import numpy as np

from lib.evidence.systems import save
from lib.evidence.tables import Number, interval, write_all
from lib.metrics.drawings import Search
from studies.muse.code import tables_masked, tables_speed, twins
from studies.muse.code.pareto import on_the_front
from studies.muse.code.reports import Results, Run
from studies.muse.code.settings import Params
from studies.muse.code.systems import systems


def run(params: Params) -> None:
    """Writes all tables."""
    source, out = params.results / "muse.json", params.results / "tables" / "muse"
    report = Results.read(source)
    write_all(
        out,
        all_tables(report),
        profile=params.profile,
        stage="muse/tables",
        sources=[f"studies/muse/code/{name}.py" for name in ("tables", "tables_masked", "tables_speed", "twins")],
        inputs=[source],
    )
    save(out, systems(params, report))


def all_tables(report: Results) -> list[tuple[str, list[dict[str, Any]], dict[str, Any]]]:
    """(name, rows, options of `lib.evidence.tables.write`) of every table."""
    models = [(name, one) for name, one in report.runs.items() if one.prompts]
    timed = {"n": {"repetitions": min(len(one.seconds) for one in report.timings.values())}}
    return [
        ("muse_models", [run_row(*each) for each in models], MODELS | {"n": trainings(report)}),
        ("muse_categories", category_rows(report), CATEGORIES | {"n": trainings(report)}),
        ("muse_cardinality", cardinality_rows(report), CARDINALITY),
        ("muse_speed", tables_speed.speed_rows(report), tables_speed.SPEED | timed),
        ("muse_equal_quality", tables_speed.equal_rows(report), tables_speed.EQUAL),
        ("muse_roofline", tables_speed.roofline_rows(report), tables_speed.ROOFLINE | timed),
        ("muse_front", front_rows(report), FRONT),
        ("muse_health", tables_masked.health_rows(report), tables_masked.HEALTH),
        ("muse_table_1", twins.quality_rows(report, twins.TABLE_1), twins.CC3M),
        ("muse_table_2", twins.quality_rows(report, twins.TABLE_2), twins.COCO),
        ("muse_table_3", twins.speed_rows(report), twins.TIMES),
        ("muse_decoders", tables_masked.decoder_rows(report), tables_masked.DECODERS),
        ("muse_negative", tables_masked.negative_rows(report), tables_masked.NEGATIVE),
        ("muse_inpainting", tables_masked.inpainting_rows(report), tables_masked.INPAINTING),
        ("muse_captions", caption_rows(report), CAPTIONS),
        ("muse_trainings", training_rows(report), TRAININGS),
        ("muse_parts", part_rows(report), PARTS),
        ("muse_search", search_rows(report), SEARCH),
    ]


def trainings(report: Results) -> dict[str, int]:
    """How many independent trainings the models have that are compared."""
    compared = ("autoregressive", *(name for name in report.steps if f"{name}_{report.steps[name]}" in report.runs))
    return {f"trainings of {name.replace('_', ' ')}": len(report.trainings[name].minutes) for name in compared}


def described(sampling: dict[str, Any]) -> str:
    """Sampling settings in a few words."""
    words = [f"guidance {sampling['guidance']:g}{' ramped' if sampling.get('ramp') else ''}"]
    if "start" in sampling:
        words[0] += f" after {100 * sampling['start']:g} % of the passes"
    if "order" in sampling:
        words.append(sampling["order"] + (f", noise {sampling['noise']:g}" if sampling["noise"] else ""))
    if "temperature" in sampling:
        words.append(f"temperature {sampling['temperature']:g}")
    return ", ".join(words)


MODELS = {
    "caption": "Every way of drawing that is compared, over independent trainings.",
    "units": {
        "exact": "%",
        "GenEval's": "%",
        "exact, held out": "%",
        "objects": "% of those asked for",
        "likelihood": "nats a token",
    },
    "notes": [
        "Exact: of prompts whose shapes and colours training pictures have together; held out: of the others. "
        "Intervals are over prompts, for FID and KID over pictures. FID and KID in the features of this repository's "
        "own CLIP, against the test pictures whose captions were drawn, each once by one of a model's trainings: as "
        "many real as drawn ones, the same for all models; they compare only with each other. Likelihood: "
        "mean log-likelihood of a token of those pictures under an autoregressive network of which none is drawn. More "
        "passes than 20 are drawn by the first training alone."
    ],
    "claims": ["C30", "C33", "C34"],
}


def run_row(name: str, one: Run) -> dict[str, Any]:
    """One way of drawing."""
    return {
        "run": name.replace("_", " "),
        "passes": Number(one.passes, digits=1),
        "sampling": described(one.sampling),
        "prompts": one.prompts,
        "exact": interval(one.exact, 1, 100),
        "GenEval's": interval(one.accuracy, 1, 100),
        "exact, held out": interval(one.heldout, 1, 100),
        "objects": interval(one.objects, 0, 100),
        "CLIP score": interval(one.clip_score, 2),
        "diversity": interval(one.diversity, 3),
        "FID": interval(one.fid, 2),
        "KID": interval(one.kid, 4),
        "likelihood": interval(one.likelihood, 3),
    }


FRONT = {
    "caption": "CLIP score against FID over sampling settings, one training of each model (as the paper's Figure 8).",
    "units": {},
    "notes": [
        "Every guidance, temperature and ramp that was tried; all else as chosen on validation prompts. On the front: "
        "no other setting of the model beats it in both. FID grows as pictures get fewer; all rows have as many."
    ],
}


def front_rows(report: Results) -> list[dict[str, Any]]:
    """One row a model and setting."""
    runs = {name: one for name, one in report.runs.items() if not one.prompts}
    best = on_the_front(runs)
    return [
        {
            "model": one.training,
            "sampling": described(one.sampling),
            "pictures": one.captions,
            "CLIP score": interval(one.clip_score, 2),
            "FID": interval(one.fid, 2),
            "KID": interval(one.kid, 4),
            "on the front": name in best,
        }
        for name, one in runs.items()
    ]


CARDINALITY = {
    "caption": "Prompts drawn exactly right by how many objects they ask for (the paper's Figure 6 has examples).",
    "units": {"exact": "%"},
    "notes": [
        "Only parts of the data with several objects can tell; on those the autoregressive model alone was trained. "
        "The usual numbers of passes."
    ],
}


def cardinality_rows(report: Results) -> list[dict[str, Any]]:
    """One row a training and number of objects."""
    runs = {name: run for name in report.trainings if (run := usual(report, name)) and run.cardinality}
    return [
        {
            "training": name,
            "part": report.trainings[name].part,
            "objects asked for": count,
            "prompts": share.n,
            "exact": interval(share, 1, 100),
        }
        for name, run in runs.items()
        for count, share in run.cardinality.items()
    ]


CATEGORIES = {
    "caption": "Exact accuracy by the kind of prompt.",
    "units": {},
    "notes": ["In %: all that was asked for, and nothing else, as the scene reader sees it."],
}


def category_rows(report: Results) -> list[dict[str, Any]]:
    """One row a category; one column a model at its usual number of passes."""
    shown = {"autoregressive": "autoregressive"}
    shown |= {f"{name}_{steps}": f"{name}, {steps} passes" for name, steps in report.steps.items()}
    runs = {title: report.runs[name].exact for name, title in shown.items() if name in report.runs}
    if any(exact is None for exact in runs.values()):
        return []
    names = next(iter(runs.values())).categories
    rows = [
        {"category": name.replace("_", " ")}
        | {title: interval(exact.categories[name], 1, 100) for title, exact in runs.items()}
        for name in names
    ]
    apart = {title: interval(report.runs[name].heldout, 1, 100) for name, title in shown.items() if name in report.runs}
    return [*rows, {"category": "held out"} | apart]


CAPTIONS = {
    "caption": "Pictures drawn exactly right from captions that say little and from captions that say all.",
    "units": {"short captions": "%", "long captions": "%"},
    "notes": [
        "The same test pictures, over all trainings, in the settings of the comparison. Both captions ask for the same "
        "object; the long ones tell its size and the background as well, the subject of the paper's Figure 6."
    ],
}


def caption_rows(report: Results) -> list[dict[str, Any]]:
    """One row a model."""
    short, long = (report.worded.get(wording, {}) for wording in ("short", "long"))
    return [
        {
            "model": name,
            "trainings": len(report.trainings[name].minutes),
            "pictures": one.n,
            "short captions": interval(one, 1, 100),
            "long captions": interval(long[name], 1, 100),
        }
        for name, one in short.items()
    ]


TRAININGS = {
    "caption": "What was trained.",
    "units": {"parameters": "millions", "arithmetic": "10¹² operations", "time": "min on one core", "exact": "%"},
    "notes": [
        "Arithmetic: 6 × parameters × cells seen, of a U-Net too much, whose lower levels have fewer cells. Exact: in "
        "the usual number of passes. Masked accuracy: right tokens of those masked."
    ],
}


def training_rows(report: Results) -> list[dict[str, Any]]:
    """One row a training, over its seeds."""
    return [
        {
            "training": name,
            "part": one.part,
            "seeds": len(one.minutes),
            "parameters": Number(one.parameters / 1e6, digits=2),
            "pictures seen": one.pictures_seen,
            "arithmetic": Number(one.operations / 1e12, digits=1),
            "time": Number(float(np.mean(one.minutes)), digits=1),
            "exact": interval(usual(report, name).exact, 1, 100) if usual(report, name) else None,
            "masked accuracy": ", ".join(
                f"{100 * np.mean([own[end] for own in one.accuracy_by_rate if end in own]):.0f} % at rates to {end} %"
                for end in one.accuracy_by_rate[0]
            )
            if one.accuracy_by_rate
            else None,
        }
        for name, one in report.trainings.items()
    ]


def usual(report: Results, training: str) -> Run | None:
    """The run of a training in as many passes as usual, if it draws by itself."""
    return report.runs.get(training) or report.runs.get(f"{training}_{report.steps.get(training)}")


PARTS = {
    "caption": "On which part of the data the autoregressive model is right: validation prompts, one training each.",
    "units": {"exact": "%"},
}


def part_rows(report: Results) -> list[dict[str, Any]]:
    """One row a part."""
    return [
        {
            "part": name,
            "exact": Number(100 * one.best.exact, digits=1),
            "sampling": described(one.best.sampling),
            "compared": name == report.part,
        }
        for name, one in report.choice.parts.items()
    ]


SEARCH = {
    "caption": "Sampling settings tried on validation prompts: the five best of every training.",
    "units": {"exact": "%", "objects": "% of those asked for"},
}


def search_rows(report: Results) -> list[dict[str, Any]]:
    """Five rows a training."""
    return [row for name, one in report.search.models.items() for row in best_rows(name, one)]


def best_rows(name: str, one: Search) -> list[dict[str, Any]]:
    """The five best settings of a training."""
    best = sorted(one.trials, key=lambda trial: -trial.exact)[:5]
    return [
        {
            "training": name,
            "sampling": described(trial.sampling),
            "exact": Number(100 * trial.exact, digits=1),
            "objects": None if trial.objects is None else Number(100 * trial.objects, digits=0),
        }
        for trial in best
    ]
