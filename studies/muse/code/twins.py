"""Twins of the paper's Tables 1, 2 and 3 (Muse, Chang et al. 2023, arXiv:2301.00704): what it has of each kind of
model, and what this study has of that kind."""

from typing import Any

from lib.evidence.tables import Number, interval
from studies.muse.code.reports import Results, Run, Timed
from studies.muse.code.settings import FIRST
from studies.muse.code.tables_speed import mean_and_range

# The paper's: model, parameters in millions (None: not said there), FID, CLIP score; then our model of that kind.
TABLE_1 = [  # trained and evaluated on CC3M
    ("VQGAN", 600, 28.86, 0.20, "autoregressive"),
    ("ImageBART", 2800, 22.61, 0.23, None),
    ("LDM-4", 645, 17.01, 0.24, "latent"),
    ("RQ-Transformer", 654, 12.33, 0.26, None),
    ("Draft-and-revise", 654, 9.65, 0.26, None),
    ("Muse, base", 632, 6.8, 0.25, "masked"),
    ("Muse, base and super-resolution", 900, 6.06, 0.26, "super_resolution"),
]
TABLE_2 = [  # MS-COCO, 256×256, without training on it; CLIP 0.27 is quoted there from Imagen's paper
    ("LAFITE", None, 26.94, None, None),
    ("DALL-E", None, 17.89, None, None),
    ("LDM", None, 12.63, None, "latent"),
    ("GLIDE", None, 12.24, None, None),
    ("DALL-E 2", None, 10.39, None, None),
    ("Imagen-3.4B", 3400, 7.27, 0.27, "cascade"),
    ("Parti-3B", 3000, 8.10, None, "autoregressive"),
    ("Parti-20B", 20000, 7.23, None, None),
    ("Muse-3B", 3000, 7.88, 0.32, "masked"),
]
TABLE_3 = [  # model, side of its pictures, seconds a batch; our model of that kind
    ("Imagen", 256, 9.1, "cascade"),
    ("Imagen", 1024, 13.3, None),
    ("LDM, 50 steps", 512, 3.7, "latent"),
    ("LDM, 250 steps", 512, 18.5, None),
    ("Parti-3B", 256, 6.4, "autoregressive"),
    ("Muse-3B", 256, 0.5, "masked"),
    ("Muse-3B", 512, 1.3, "super_resolution"),
]

NOTE = (
    "The paper's numbers are of other pictures, features and sizes: only the order of the models in a column can be "
    "set beside that in another. Ours: the usual number of passes, settings chosen on validation prompts; FID in this "
    "repository's own CLIP's features; CLIP score as 100 × cosine; no FID of the larger pictures, too few of which are "
    "drawn."
)
UNITS = {"exact": "%", "paper, parameters": "millions", "parameters": "millions"}
CC3M = {
    "caption": "The paper's Table 1 (CC3M) and what is here.",
    "units": UNITS,
    "notes": [NOTE, "Of the paper's base and super-resolution model: 632 and 268 million parameters."],
}
COCO = {
    "caption": "The paper's Table 2 (MS-COCO, not trained on it) and what is here.",
    "units": UNITS,
    "notes": [NOTE, "The paper quotes Imagen's CLIP score as 0.27 at this FID, and elsewhere as 0.29 at its best."],
}
TIMES = {
    "caption": "The paper's Table 3 (seconds a batch) and what is here.",
    "units": {
        "paper, pixels": "a side",
        "paper, time": "s a batch",
        "paper, times as long as Muse": "256×256",
        "time": "ms a picture, batch 1",
    },
    "notes": [
        "The paper's Muse, Imagen and Parti ran on a TPUv4, LDM on an A100. Ours: one thread, one picture at a time, "
        "the usual number of passes; ratios over repetitions, means and ranges. Quality is not the same: see the times "
        "at equal quality."
    ],
    "claims": ["C31", "P3", "P10", "P79"],
}


def run_of(report: Results, model: str | None) -> Run | None:
    """A model in its usual number of passes."""
    return report.runs.get(model) or report.runs.get(f"{model}_{report.steps.get(model)}")


def quality_rows(report: Results, paper: list[tuple]) -> list[dict[str, Any]]:
    """One row a model of the paper's table."""
    rows = []
    for name, size, fid, clip, model in paper:
        run = run_of(report, model)
        sizes = [report.trainings[one].parameters for one in (FIRST.get(model), model) if run and one]
        rows.append(
            {
                "paper": name,
                "paper, parameters": size,
                "paper, FID": fid,
                "paper, CLIP": clip,
                "here": run and model.replace("_", " "),
                "parameters": Number(sum(sizes) / 1e6, digits=2) if run else None,
                "FID": run and interval(run.fid, 2),
                "CLIP score": run and interval(run.clip_score, 2),
                "exact": run and interval(run.exact, 1, 100),
            }
        )
    return rows


def speed_rows(report: Results) -> list[dict[str, Any]]:
    """One row a model of the paper's Table 3."""
    timings = {one.training: one for one in report.timings.values() if is_usual(report, one)}
    fast, rows = timings["masked"].seconds, []
    base = next(seconds for name, side, seconds, _ in TABLE_3 if (name, side) == ("Muse-3B", 256))
    for name, side, seconds, model in TABLE_3:
        own = timings.get(model)
        ratios = [mine / its for mine, its in zip(own.seconds, fast, strict=True)] if own else []
        rows.append(
            {
                "paper": name,
                "paper, pixels": side,
                "paper, time": seconds,
                "paper, times as long as Muse": Number(seconds / base, digits=1),
                "here": own and model.replace("_", " "),
                "passes": own and own.sampling.get("steps", report.length),
                "time": own and mean_and_range([1e3 * one for one in own.seconds], 1),
                "times as long as masked": mean_and_range(ratios, 2),
            }
        )
    return rows


def is_usual(report: Results, one: Timed) -> bool:
    """Whether one picture was timed in the usual number of passes."""
    return one.batch_size == 1 and one.sampling.get("steps") == report.steps.get(one.training)
