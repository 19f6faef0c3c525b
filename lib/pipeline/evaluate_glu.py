"""Stage evaluate_glu: what the trainings and measurements of the GLU study say → results/<profile>/glu.json, tables."""

import shutil
from pathlib import Path
from typing import Any

import jax
import numpy as np

from lib.config import Params
from lib.config_glu import changed
from lib.data.store import write_json
from lib.evidence import glu
from lib.evidence.results import read
from lib.evidence.tables import Number, write
from lib.models.glu import FFN, GLU
from lib.models.layout import BLOCKS, Layout, matched_width

BUILD = Path("build/glu")
PAPER_WIDTH, PAPER_INNER = 768, 3072  # T5-base
NATS, SEEDS, ROUNDS = "nats a token", "training seeds", "repetitions, timed in turn"


def run(params: Params) -> None:
    """Reads all reports of the study, compares, writes the numbers and five tables."""
    variants = {block: read(BUILD / "variants" / f"{block}.json") for block in params.glu_variants.variants}
    search, text, cost, switches = (read(BUILD / f"{name}.json") for name in ("search", "text", "cost", "switches"))
    report = {
        "variants": compare_variants(variants),
        "claims": claims(variants, switches),
        "parameters": parameters(variants),
        "steps_saved": {"values": glu.saved_by_seed(variants), "unit": "%", "seeds_are": SEEDS}
        | {"paper": glu.paper_steps_saved()},
        "search": search | {"chosen": chosen(params)},
        "text": text | {"compared": compare_text(text)},
        "cost": cost | {"gains": gains(cost), "memory": memory(cost)},
        "switches": compare_switches(switches),
        "curves": {
            block: {length: entry[length]["curve"] for length in ("short", "long")} for block, entry in variants.items()
        },
    }
    out, folder = params.results / "glu.json", params.results / "glu"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    write_json(out, report)
    origin = {"stage": "evaluate_glu", "sources": ["lib/pipeline/evaluate_glu.py"], "inputs": [out]}
    write(folder / "glu_variants", variant_rows(report), **VARIANTS, claims=["C21", "C22", "C23"], **origin)
    write(folder / "glu_search", search_rows(report["search"]), **SEARCH, **origin)
    write(folder / "glu_cost", cost_rows(cost), **COST, claims=["C25", "P1"], **origin)
    write(folder / "glu_switches", switch_rows(report), **SWITCHES, claims=["C26"], **origin)
    write(folder / "glu_placements", placement_rows(report["switches"]), **PLACEMENTS, claims=["C27"], **origin)


def chosen(params: Params) -> list[str]:
    """The trials whose setting the comparison has, whatever their length."""
    search, setting = params.glu_search, params.glu_variants.setting
    plain = {name: {key: changes[key] for key in changes if key != "steps"} for name, changes in search.trials.items()}
    return [name for name, changes in plain.items() if changed(search.base, changes) == setting]


def compare_variants(variants: dict[str, Any]) -> dict[str, Any]:
    """Losses after both lengths: as `lib.evidence.glu.compared`, and the rank correlation with the paper."""
    found = {}
    for length in ("short", "long"):
        nats = {block: entry[length]["nats"] for block, entry in variants.items()}
        steps = next(iter(variants.values()))[length]["steps"]
        found[length] = {
            "steps": steps,
            "blocks": glu.compared(nats),
            "nats": nats,
            "last_weights": {block: entry[length]["nats_last_weights"] for block, entry in variants.items()},
            "rank_correlation": glu.rank_correlation(nats, length) if len(nats) > 2 else None,
        }
    return found


def claims(variants: dict[str, Any], switches: dict[str, Any]) -> dict[str, Any]:
    """What claims.yaml decides by, under the names that it asks for."""
    long = {block: entry["long"]["nats"] for block, entry in variants.items()}
    short = {block: entry["short"]["nats"] for block, entry in variants.items()}
    pair = {"unit": NATS, "seeds_are": SEEDS}
    found = {
        "geglu": {"baseline": long["relu"], "treatment": long["geglu"]} | pair,
        "geglu_short": {"baseline": short["relu"], "treatment": short["geglu"]} | pair,
    }
    if set(variants) == set(BLOCKS):
        by_seed = glu.rank_correlation(long, "long")["by_seed"]
        found["rank_correlation"] = {"values": by_seed, "unit": "rank correlation", "seeds_are": SEEDS}
        found["ungated"] = {"values": glu.ungated_against_relu(long)} | pair
    bias = switches["switches"].get("bias")
    if bias:
        sides = ("baseline", "treatment")
        found["bias_loss"] = {side: bias[side]["nats"] for side in sides} | pair
        found["bias_time"] = {side: [1000 * time for time in bias["step_seconds"][side]] for side in sides}
        found["bias_time"] |= {"unit": "ms a step", "seeds_are": ROUNDS}
    placements = switches["placements"]
    found["placements"] = {
        "baseline": glu.trouble(placements, ("preln", "postln")),
        "treatment": glu.trouble(placements, ("normformer", "cogview")),
        "unit": "spikes and lost runs a training",
        "seeds_are": SEEDS,
    }
    return found


def parameters(variants: dict[str, Any]) -> dict[str, Any]:
    """Parameters of the trained networks and of the paper's blocks; the distinct counts of the latter should be one."""
    ours = {block: entry["parameters"] for block, entry in variants.items()}
    paper = {block: block_parameters(block, PAPER_WIDTH, PAPER_INNER) for block in BLOCKS}
    return {
        "ours": ours,
        "spread": max(ours.values()) / min(ours.values()) - 1,
        "paper_blocks": paper,
        "paper_distinct": sorted(set(paper.values())),
    }


def block_parameters(block: str, width: int, inner: int) -> int:
    """Parameters of one feed-forward block, its width matched to ungated ones of `inner`, counted from its arrays."""
    gated, activation = BLOCKS[block]
    layout = Layout(gated=gated, activation=activation, norm_placement="postln")  # no norms inside the block
    module = (GLU if gated else FFN)(layout, width, matched_width(inner) if gated else inner)
    shapes = jax.eval_shape(module.init, jax.random.key(0), jax.ShapeDtypeStruct((1, width), np.float32))
    return sum(leaf.size for leaf in jax.tree.leaves(shapes))


def compare_text(text: dict[str, Any]) -> dict[str, Any]:
    """The same comparison on captions with gaps, and whether any block is told apart from ReLU there."""
    blocks = glu.compared({block: entry["nats"] for block, entry in text["variants"].items()})
    told = [block for block, entry in blocks.items() if "difference" in entry and glu.certain(entry["difference"])]
    return {"blocks": blocks, "told_apart": told}


def gains(cost: dict[str, Any]) -> dict[str, Any]:
    """How many percent faster GEGLU is than ReLU with as many parameters, in training and in drawing."""
    found = {}
    for size, entry in cost["sizes"].items():
        blocks = entry["blocks"]
        found[size] = {
            what: {"values": glu.speed_gain(blocks[glu.BASELINE][key], blocks[glu.FAVOURITE][key])}
            | {"unit": "% faster", "seeds_are": ROUNDS}
            for what, key in (("training", "step_seconds"), ("drawing", "picture_seconds"))
        }
    return found


def memory(cost: dict[str, Any]) -> dict[str, Any]:
    """Working memory, gated over ungated; and whether it rises in every pair at every size."""
    rises = {size: glu.memory_rises(entry["blocks"]) for size, entry in cost["sizes"].items()}
    ratios = [ratio for pairs in rises.values() for ratio in pairs.values()]
    return {"ratios": rises, "always_rises": bool(ratios) and min(ratios) > 1}


def compare_switches(switches: dict[str, Any]) -> dict[str, Any]:
    """The report's findings beside ours."""
    found = {}
    for name, entry in switches["switches"].items():
        difference = glu.paired(entry["baseline"]["nats"], entry["treatment"]["nats"], name)
        found[name] = entry | {"difference": difference, "verdict": glu.agreement(difference, entry["expected"])}
    return switches | {"switches": found}


def number(entry: dict[str, float], digits: int = 4) -> Number:
    """{"value", "low", "high"} as a table cell."""
    return Number(entry["value"], entry["low"], entry["high"], digits=digits)


VARIANTS = {
    "caption": "Held-out log-perplexity of the eight feed-forward blocks, ours and the paper's (Table 1).",
    "source": "Paper: arXiv:2002.05202, T5-base on C4; ours: image tokens, parameters matched, paired seeds.",
    "units": {"short": "nats/token", "long": "nats/token", "paper short": "nats/token", "paper long": "nats/token"},
    "notes": [
        "Columns Δ: difference to ReLU, ours with the paired 95 % interval over seeds. The paper's short training has "
        "four runs a block, its long one a single run."
    ],
}


def variant_rows(report: dict[str, Any]) -> list[dict[str, Any]]:
    """One row a block: ours and the paper's, both lengths."""
    rows = []
    for block in report["variants"]["long"]["blocks"]:
        row: dict[str, Any] = {"block": block}
        for length in ("short", "long"):
            entry = report["variants"][length]["blocks"][block]
            theirs = getattr(glu.PAPER[block], length)
            row[length] = Number(entry["mean"], digits=4)
            row[f"Δ {length}"] = number(entry["difference"]) if "difference" in entry else None
            row[f"paper {length}"] = Number(theirs, digits=3)
            row[f"paper Δ {length}"] = Number(theirs - getattr(glu.PAPER[glu.BASELINE], length), digits=3)
        rows.append(row)
    return rows


SEARCH = {
    "caption": "Settings tried on the validation split before the comparison: GEGLU against ReLU.",
    "source": "Short trainings; differences over paired seeds.",
    "units": {"effect": "nats/token", "noise": "nats/token", "seed sd": "nats/token", "cost": "CPU min"},
    "notes": [
        "Effect: GEGLU − ReLU. Noise: standard deviation of the paired differences; seed sd: of ReLU alone. Ratio: "
        "−effect / noise; its quotient with √minutes is what decides how surely an hour of training tells blocks apart."
    ],
}


def search_rows(search: dict[str, Any]) -> list[dict[str, Any]]:
    """One row a trial and kind of weights."""
    return [
        {
            "trial": name + (" (chosen)" if name in search["chosen"] else ""),
            "weights": weights,
            "changed": ", ".join(f"{key} {value}" for key, value in trial["changes"].items()),
            "parameters": trial["parameters"],
            "effect": Number(trial[weights]["effect"], digits=4),
            "noise": Number(trial[weights]["noise"], digits=4),
            "seed sd": Number(trial[weights]["seed_noise"], digits=4),
            "ratio": Number(trial[weights]["ratio"], digits=2),
            "cost": Number(trial["cpu_minutes"], digits=2),
            "ratio/√min": Number(trial[weights]["ratio_per_root_minute"], digits=2),
        }
        for name, trial in search["trials"].items()
        for weights in ("averaged", "last")
    ]


COST = {
    "caption": "Cost of the feed-forward blocks.",
    "source": "Initial weights, random data; blocks timed in turn, medians [fastest, slowest repetition].",
    "units": {"step": "ms", "picture": "ms", "working memory": "MB", "products": "GFLOP/picture", "XLA": "GFLOP/batch"},
    "notes": [
        "Working memory: what XLA plans for forward and backward pass of a batch beside parameters and gradients. "
        "Products: of training, counted from the configuration; XLA: of the same, by XLA's own count."
    ],
}


def cost_rows(cost: dict[str, Any]) -> list[dict[str, Any]]:
    """One row a size and block."""
    return [
        {
            "size": size,
            "block": name,
            "parameters": block["parameters"],
            "inner": block["inner"],
            "step": spread(block["step_seconds"], 1000, 2),
            "picture": spread(block["picture_seconds"], 1000, 2),
            "working memory": Number(block["working_bytes"] / 1e6, digits=1),
            "products": Number(block["flops_training"] / 1e9, digits=3),
            "XLA": Number(block["xla_flops"] / 1e9, digits=2),
        }
        for size, entry in cost["sizes"].items()
        for name, block in entry["blocks"].items()
    ]


def spread(values: list[float], scale: float, digits: int) -> Number:
    """Median [smallest, largest] as a table cell."""
    return Number(*(scale * float(f(values)) for f in (np.median, min, max)), digits=digits)


SWITCHES = {
    "caption": "Other findings of the DALL·E Mini report, and ours at small scale.",
    "source": "Held-out log-perplexity; differences over paired seeds.",
    "units": {"Δ": "nats/token"},
    "text_widths": {"report's finding": 5.0, "compared": 4.0, "ours": 3.0},
    "notes": ["Δ: treatment − baseline with its paired 95 % interval. The report gives no numbers for these findings."],
}


def switch_rows(report: dict[str, Any]) -> list[dict[str, Any]]:
    """One row a finding."""
    return [
        {
            "switch": name,
            "report's finding": entry["finding"],
            "compared": f"{entry['treatment']['layout']} against {entry['baseline']['layout']}",
            "Δ": number(entry["difference"]),
            "ours": entry["verdict"],
        }
        for name, entry in report["switches"]["switches"].items()
    ]


PLACEMENTS = {
    "caption": "Placements of norms under learning rates that are too high.",
    "source": "Sums over seeds; the report finds NormFormer the most successful, post-LN and pre-LN unstable.",
}


def placement_rows(switches: dict[str, Any]) -> list[dict[str, Any]]:
    """One row a placement and rate."""
    seeds = len(switches["seeds"])
    return [
        {
            "placement": name,
            "peak rate": rate,
            "spikes": sum(run["spikes"]),
            "lost runs": f"{sum(run['lost'])} of {seeds}",
            "final loss": Number(float(np.mean(ends)), digits=3) if None not in (ends := run["final"]) else None,
        }
        for name, runs in switches["placements"].items()
        for rate, run in runs.items()
    ]
