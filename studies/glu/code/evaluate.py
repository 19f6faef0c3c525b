"""Stage glu/evaluate: what the trainings and measurements of the GLU study say → results/<profile>/glu.json."""

from pathlib import Path
from typing import Any

import jax
import numpy as np

from lib.data.store import write_json
from lib.evidence.results import read
from lib.evidence.statistics import paired
from lib.models.glu import FFN, GLU
from lib.models.layout import BLOCKS, Layout, matched_width
from studies.glu.code import comparison
from studies.glu.code.settings import Params, changed

BUILD = Path("build/glu")
PAPER_WIDTH, PAPER_INNER = 768, 3072  # T5-base
NATS, SEEDS, ROUNDS = "nats a token", "training seeds", "repetitions, timed in turn"


def run(params: Params) -> None:
    """Reads all reports of the study, compares, writes the numbers."""
    variants = {block: read(BUILD / "variants" / f"{block}.json") for block in params.glu_variants.variants}
    search, text, cost, switches = (read(BUILD / f"{name}.json") for name in ("search", "text", "cost", "switches"))
    report = {
        "variants": compare_variants(variants),
        "claims": claims(variants, switches),
        "parameters": parameters(variants),
        "steps_saved": {"values": comparison.saved_by_seed(variants), "unit": "%", "seeds_are": SEEDS}
        | {"paper": comparison.paper_steps_saved()},
        "search": search | {"chosen": chosen(params)},
        "text": text | {"compared": compare_text(text)},
        "cost": cost | {"gains": gains(cost), "memory": memory(cost)},
        "switches": compare_switches(switches),
        "curves": {
            block: {length: entry[length]["curve"] for length in ("short", "long")} for block, entry in variants.items()
        },
    }
    params.results.mkdir(parents=True, exist_ok=True)
    write_json(params.results / "glu.json", report)


def chosen(params: Params) -> list[str]:
    """The trials whose setting the comparison has, whatever their length."""
    search, setting = params.glu_search, params.glu_variants.setting
    plain = {name: {key: changes[key] for key in changes if key != "steps"} for name, changes in search.trials.items()}
    return [name for name, changes in plain.items() if changed(search.base, changes) == setting]


def compare_variants(variants: dict[str, Any]) -> dict[str, Any]:
    """Losses after both lengths: as `studies.glu.code.comparison.compared`, and the rank correlation with the paper."""
    found = {}
    for length in ("short", "long"):
        nats = {block: entry[length]["nats"] for block, entry in variants.items()}
        steps = next(iter(variants.values()))[length]["steps"]
        found[length] = {
            "steps": steps,
            "blocks": comparison.compared(nats),
            "nats": nats,
            "rank_correlation": comparison.rank_correlation(nats, length) if len(nats) > 2 else None,
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
        by_seed = comparison.rank_correlation(long, "long")["by_seed"]
        found["rank_correlation"] = {"values": by_seed, "unit": "rank correlation", "seeds_are": SEEDS}
        found["ungated"] = {"values": comparison.ungated_against_relu(long)} | pair
    bias = switches["switches"].get("bias")
    if bias:
        sides = ("baseline", "treatment")
        found["bias_loss"] = {side: bias[side]["nats"] for side in sides} | pair
        found["bias_time"] = {side: [1000 * time for time in bias["step_seconds"][side]] for side in sides}
        found["bias_time"] |= {"unit": "ms a step", "seeds_are": ROUNDS}
    placements = switches["placements"]
    found["placements"] = {
        "baseline": comparison.trouble(placements, ("preln", "postln")),
        "treatment": comparison.trouble(placements, ("normformer", "cogview")),
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
    blocks = comparison.compared({block: entry["nats"] for block, entry in text["variants"].items()})
    told = [
        block for block, entry in blocks.items() if "difference" in entry and comparison.certain(entry["difference"])
    ]
    return {"blocks": blocks, "told_apart": told}


def gains(cost: dict[str, Any]) -> dict[str, Any]:
    """How many percent faster GEGLU is than ReLU with as many parameters, in training and in drawing."""
    found = {}
    for size, entry in cost["sizes"].items():
        blocks = entry["blocks"]
        found[size] = {
            what: {"values": comparison.speed_gain(blocks[comparison.BASELINE][key], blocks[comparison.FAVOURITE][key])}
            | {"unit": "% faster", "seeds_are": ROUNDS}
            for what, key in (("training", "step_seconds"), ("drawing", "picture_seconds"))
        }
    return found


def memory(cost: dict[str, Any]) -> dict[str, Any]:
    """Working memory, gated over ungated; and whether it rises in every pair at every size."""
    rises = {size: comparison.memory_rises(entry["blocks"]) for size, entry in cost["sizes"].items()}
    ratios = [ratio for pairs in rises.values() for ratio in pairs.values()]
    return {"ratios": rises, "always_rises": bool(ratios) and min(ratios) > 1}


def compare_switches(switches: dict[str, Any]) -> dict[str, Any]:
    """The report's findings beside ours."""
    found = {}
    for name, entry in switches["switches"].items():
        difference = paired(entry["baseline"]["nats"], entry["treatment"]["nats"], name)
        found[name] = entry | {"difference": difference, "verdict": comparison.agreement(difference, entry["expected"])}
    return switches | {"switches": found}
