"""Stage muse/tables: the study's numbers as tables (.csv, .md, .tex) → results/<profile>/tables/muse/."""

from typing import Any

import numpy as np

from lib.evidence.systems import save
from lib.evidence.tables import Number, interval, write_all
from lib.metrics.drawings import Search, Timing
from studies.muse.code import speed
from studies.muse.code.reports import Results, Run
from studies.muse.code.settings import FIRST, Params
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
        sources=["studies/muse/code/tables.py"],
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
        ("muse_speed", speed_rows(report), SPEED | timed),
        ("muse_equal_quality", equal_rows(report), EQUAL),
        ("muse_front", front_rows(report), FRONT),
        ("muse_roofline", roofline_rows(report), ROOFLINE | timed),
        ("muse_inpainting", inpainting_rows(report), INPAINTING),
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
        "own CLIP, against the test pictures whose captions were drawn: they compare only with each other. Likelihood: "
        "mean log-likelihood of a token of those pictures under an autoregressive network of which none is drawn."
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
    "caption": "CLIP score against FID over guidance scales, one training of each model (as the paper's Figure 8).",
    "units": {},
    "notes": ["All else as chosen on validation prompts. FID grows as pictures get fewer; all rows have as many."],
}


def front_rows(report: Results) -> list[dict[str, Any]]:
    """One row a model and guidance scale."""
    return [
        {
            "model": one.training,
            "guidance": one.sampling["guidance"],
            "pictures": one.captions,
            "CLIP score": interval(one.clip_score, 2),
            "FID": interval(one.fid, 2),
            "KID": interval(one.kid, 4),
        }
        for one in report.runs.values()
        if not one.prompts
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
    return [
        {"category": name.replace("_", " ")}
        | {title: interval(exact.categories[name], 1, 100) for title, exact in runs.items()}
        for name in names
    ]


SPEED = {
    "caption": "Seconds a picture, and how many times faster than the autoregressive model with its cache.",
    "units": {"time": "ms a picture"},
    "notes": [
        "One thread. Means and ranges over repetitions that took turns with nothing beside them. The paper's ratio of "
        "13 (Table 3, 256 tokens and 3B parameters) is an accelerator's, where a pass costs the same for one token as "
        "for all of them; here a pass over all tokens costs as many operations as all passes of the cached model."
    ],
    "claims": ["C31"],
}


def speed_rows(report: Results) -> list[dict[str, Any]]:
    """One row a model, number of passes and batch size."""
    rows = []
    for one in report.timings.values():
        seconds = np.array(one.seconds) / one.batch_size
        base = np.array(report.timings[f"autoregressive, batch {one.batch_size}"].seconds) / one.batch_size
        times = base / seconds
        passes = one.sampling.get("steps", report.length)
        exact = report.runs[f"{one.training}_{passes}" if "steps" in one.sampling else one.training].exact
        rows.append(
            {
                "model": one.training,
                "passes": passes,
                "batch": one.batch_size,
                "time": Number(1e3 * seconds.mean(), 1e3 * seconds.min(), 1e3 * seconds.max(), digits=1),
                "times as fast": Number(times.mean(), times.min(), times.max(), digits=2),
                "exact, %": interval(exact, 1, 100),
            }
        )
    return rows


EQUAL = {
    "caption": "Time until pictures are as good as the best of the model that is worst.",
    "units": {"quality": "%", "time": "ms a picture"},
    "notes": [
        "One thread. Interpolated between the numbers of passes that were drawn and timed, linear in the logarithm of "
        "the time. Means and ranges over independent trainings that reach this quality; the time of a pass is that of "
        "each model's first training."
    ],
    "claims": ["C30", "C31"],
}


def equal_rows(report: Results) -> list[dict[str, Any]]:
    """One row a model and batch size."""
    wanted, rows = speed.common(report), []
    if wanted is None or report.runs["autoregressive"].exact is None:
        return []
    for batch_size in sorted({one.batch_size for one in report.timings.values()}):
        found = {name: speed.seconds_until(report, name, batch_size, wanted) for name in speed.MODELS}
        base = found["masked"] and np.mean(found["masked"].values)
        for name, one in found.items():
            if one is None:
                continue
            values = 1e3 * np.array(one.values)
            rows.append(
                {
                    "model": name,
                    "batch": batch_size,
                    "quality": Number(100 * wanted, digits=1),
                    "trainings": len(values),
                    "time": Number(values.mean(), values.min(), values.max(), digits=1),
                    "times as long as masked": base and Number(values.mean() / (1e3 * base), digits=2),
                }
            )
    return rows


ROOFLINE = {
    "caption": "Why: operations and bytes of one picture, and for which machine the order turns.",
    "units": {
        "operations": "millions",
        "bytes": "millions",
        "time": "ms",
        "share of the machine": "%",
        "faster from": "operations a byte",
    },
    "notes": [
        "Batch 1, one thread, guidance included. Bytes: the weights, float32, once a pass. A machine that has time for "
        "so many operations while it reads one byte, and for no other delay, draws as fast with the model as with the "
        "autoregressive one (Williams et al. 2009, the roofline); one that has time for more, faster. Share of the "
        "machine: of the time that this roofline allows."
    ],
    "claims": ["C31"],
}


def roofline_rows(report: Results) -> list[dict[str, Any]]:
    """One row a model and number of passes, batch 1; then this machine."""
    rows, can = [], report.rates
    parameters = {one.model: one.parameters for one in report.trainings.values()}

    def moved(one: Timing) -> float:
        """Bytes of weights that a picture needs."""
        passes = {one.training: one.sampling.get("steps", report.length)}
        if first := FIRST.get(one.training):
            passes[first] = report.steps[first]
        return 4.0 * sum(parameters[model] * count for model, count in passes.items())

    alone = [one for one in report.timings.values() if one.batch_size == 1]
    base = next(one for one in alone if one.training == "autoregressive")
    for one in alone:
        seconds = float(np.mean(one.seconds))
        least = max(one.operations / can.operations, moved(one) / can.bytes)
        turns = one.operations / moved(base) if moved(one) < moved(base) and one.operations > base.operations else None
        rows.append(
            {
                "model": one.training.replace("_", " "),
                "passes": one.sampling.get("steps", report.length),
                "operations": Number(one.operations / 1e6, digits=0),
                "bytes": Number(moved(one) / 1e6, digits=0),
                "time": Number(1e3 * seconds, digits=1),
                "share of the machine": Number(100 * least / seconds, digits=0),
                "faster from": None if turns is None else Number(turns, digits=1),
            }
        )
    here = {name: None for name in rows[0]} | {
        "model": "one thread of this machine, a second",
        "operations": Number(can.operations / 1e6, digits=0),
        "bytes": Number(can.bytes / 1e6, digits=0),
        "faster from": Number(can.operations / can.bytes, digits=1),
    }
    return [*rows, here]


INPAINTING = {
    "caption": "The middle of test pictures drawn anew, the rest given.",
    "units": {"right": "%", "same tokens": "%"},
    "notes": [
        "Right: the reader sees the objects of the original and no others. The autoregressive model draws in reading "
        "order and cannot look at what is given further on."
    ],
    "claims": ["C35"],
}


def inpainting_rows(report: Results) -> list[dict[str, Any]]:
    """One row a model."""
    return [
        {
            "model": one.training,
            "pictures": one.pictures,
            "right": interval(one.right, 1, 100),
            "same tokens": interval(one.same, 1, 100),
        }
        for one in report.inpainting.values()
    ]


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
