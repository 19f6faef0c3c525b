"""Stage glu/tables: the study's numbers as tables (.csv, .md, .tex) → results/<profile>/tables/glu/."""

from typing import Any

import numpy as np

from lib.evidence.tables import Number, interval, write_all
from studies.glu.code import comparison
from studies.glu.code.reports import Cost, EvaluatedSwitches, Results, Search, Switches
from studies.glu.code.settings import TASK_OF_TEXT, Params


def run(params: Params) -> None:
    """Writes all tables."""
    report = params.results / "glu.json"
    write_all(
        params.results / "tables" / "glu",
        all_tables(Results.read(report)),
        profile=params.profile,
        stage="glu/tables",
        sources=["studies/glu/code/tables.py"],
        inputs=[report],
    )


def all_tables(report: Results) -> list[tuple[str, list[dict[str, Any]], dict[str, Any]]]:
    """(name, rows, options of `lib.evidence.tables.write`) of every table."""
    compared = {f"paired seeds, {task}": len(found.geglu.baseline) for task, found in report.claims.tasks.items()}
    searched, switched = ({"n": {"paired seeds": len(seeds)}} for seeds in (report.search.seeds, report.switches.seeds))
    return [
        ("glu_variants", variant_rows(report), VARIANTS | {"n": compared}),
        ("glu_search", search_rows(report.search), SEARCH | searched),
        ("glu_cost", cost_rows(report.cost), COST | {"n": {"repetitions": report.cost.repetitions}}),
        ("glu_switches", switch_rows(report.switches), SWITCHES | switched),
        ("glu_placements", placement_rows(report.switches), PLACEMENTS | switched),
    ]


VARIANTS = {
    "caption": "Held-out log-perplexity of the eight feed-forward blocks, ours and the paper's (Table 1).",
    "source": "Paper: arXiv:2002.05202, T5-base on C4; ours: image tokens, and gaps in captions (text), parameters "
    "matched, paired seeds.",
    "units": {"short": "nats/token", "long": "nats/token", "paper short": "nats/token", "paper long": "nats/token"},
    "notes": [
        "Columns Δ: difference to ReLU, ours with the 95 % t interval over paired seeds. The paper's short training "
        "has four runs a block, its long one a single run."
    ],
    "claims": ["C21", "C22", "C23", "C46", "C47", "C48", "C49", "C50", "C51"],
}


def variant_rows(report: Results) -> list[dict[str, Any]]:
    """One row a task and block: ours and the paper's, both lengths."""
    tasks = {tokens: {length: one.blocks for length, one in found if one} for tokens, found in report.variants.items()}
    tasks[TASK_OF_TEXT] = {"long": report.text.compared.blocks}
    rows = []
    for task, lengths in tasks.items():
        for block in lengths["long"]:
            row: dict[str, Any] = {"task": task, "block": block}
            for length in ("short", "long"):
                entry = lengths.get(length, {}).get(block)
                theirs, relu = (getattr(comparison.PAPER[name], length) for name in (block, comparison.BASELINE))
                row[length] = entry and Number(entry.mean, digits=4)
                row[f"Δ {length}"] = entry and entry.difference and interval(entry.difference, 4)
                row[f"paper {length}"] = Number(theirs, digits=3)
                row[f"paper Δ {length}"] = Number(theirs - relu, digits=3)
            rows.append(row)
    return rows


SEARCH = {
    "caption": "Learning rates tried on the validation split before the comparison: GEGLU against ReLU.",
    "source": "Short trainings from seeds of their own; differences over paired seeds.",
    "units": {"effect": "nats/token", "noise": "nats/token", "seed sd": "nats/token"},
    "notes": [
        "Effect: GEGLU − ReLU. Noise: standard deviation of the paired differences; seed sd: of ReLU alone. Ratio: "
        "effect without its sign over noise; the largest of a task is chosen."
    ],
}


def search_rows(search: Search) -> list[dict[str, Any]]:
    """One row a task and rate."""
    return [
        {
            "task": task,
            "peak rate": rate + (" (chosen)" if float(rate) == found.chosen else ""),
            "steps": found.steps,
            "effect": Number(trial.effect, digits=4),
            "noise": Number(trial.noise, digits=4),
            "seed sd": Number(trial.seed_noise, digits=4),
            "ratio": Number(trial.ratio, digits=2),
        }
        for task, found in search.tasks.items()
        for rate, trial in found.trials.items()
    ]


COST = {
    "caption": "Cost of the feed-forward blocks.",
    "source": "Initial weights, random data; two blocks timed in turn, medians [fastest, slowest repetition].",
    "units": {"step": "ms", "picture": "ms", "working memory": "MB", "products": "GFLOP/picture", "XLA": "GFLOP/batch"},
    "notes": [
        "Working memory: what XLA plans for forward and backward pass of a batch beside parameters and gradients. "
        "Products: of training, counted from the configuration; XLA: of the same, by XLA's own count."
    ],
    "claims": ["C25", "P1"],
}


def cost_rows(cost: Cost) -> list[dict[str, Any]]:
    """One row a size and block."""
    return [
        {
            "size": size,
            "block": name,
            "parameters": block.parameters,
            "inner": block.inner,
            "step": block.step_seconds and milliseconds(block.step_seconds),
            "picture": block.picture_seconds and milliseconds(block.picture_seconds),
            "working memory": Number(block.working_bytes / 1e6, digits=1),
            "products": Number(block.flops_training / 1e9, digits=3),
            "XLA": Number(block.xla_flops / 1e9, digits=2),
        }
        for size, entry in cost.sizes.items()
        for name, block in entry.blocks.items()
    ]


def milliseconds(seconds: list[float]) -> Number:
    """Median [smallest, largest] as a table cell."""
    return Number(*(1000 * float(f(seconds)) for f in (np.median, min, max)))


SWITCHES = {
    "caption": "Other findings of the DALL·E Mini report, and ours at small scale.",
    "source": "Held-out log-perplexity; differences over paired seeds.",
    "units": {"Δ": "nats/token"},
    "text_widths": {"report's finding": 5.0, "compared": 4.0, "ours": 3.0},
    "notes": [
        "Δ: treatment − baseline with the 95 % t interval over paired seeds. Ours: decided as verdicts are; less than "
        f"{comparison.MARGIN} nats counts as no difference. The report gives no numbers for these findings."
    ],
    "claims": ["C26", "C52"],
}


def switch_rows(switches: EvaluatedSwitches) -> list[dict[str, Any]]:
    """One row a finding."""
    return [
        {
            "switch": name,
            "report's finding": entry.finding,
            "compared": f"{entry.treatment.layout} against {entry.baseline.layout}",
            "Δ": interval(entry.difference, 4),
            "ours": entry.verdict,
        }
        for name, entry in switches.switches.items()
    ]


PLACEMENTS = {
    "caption": "Placements of norms under learning rates that are too high.",
    "source": "Sums over seeds; the report finds NormFormer the most successful, post-LN and pre-LN unstable.",
    "claims": ["C27"],
}


def placement_rows(switches: Switches) -> list[dict[str, Any]]:
    """One row a placement and rate."""
    seeds = len(switches.seeds)
    return [
        {
            "placement": name,
            "peak rate": rate,
            "spikes": sum(run.spikes),
            "lost runs": f"{sum(run.lost)} of {seeds}",
            "final loss": Number(float(np.mean(run.final)), digits=3) if None not in run.final else None,
        }
        for name, runs in switches.placements.items()
        for rate, run in runs.items()
    ]
