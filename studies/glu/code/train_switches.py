"""Stage glu/train_switches: the DALL·E Mini report's other findings, at small scale → build/glu/switches.json.

Two questions, on the coarse network of glu_search.base, which trains faster than the one of the comparison, with the
original's layout but for what is tested. How low is the loss after an ordinary training, with and without a switch?
And how does a placement of norms take a learning rate that is too high: how many spikes does the loss have, and how
many seeds are lost?
"""

import dataclasses
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lib import config_tree
from lib.data.store import write_json
from lib.hardware import keep_freed_memory
from lib.models.layout import DalleMiniConfig
from lib.pipeline import parts
from lib.text import TextTokenizer
from lib.training import seeds as paired
from lib.weights import checkpoint
from studies.glu.code.settings import Params, layout_of
from studies.glu.code.stability import lost, spikes
from studies.glu.code.tasks import ImageTask
from studies.glu.code.train_variants import part, seed_numbers, thinned
from studies.glu.code.training import TEXT, load_task, network_of, recipe_of

OUT = Path("build/glu/switches.json")
BLOCK = "geglu"  # whose inner width all layouts have
REPETITIONS = 9  # of timed steps, in turn
STEP_SECONDS = 0.5  # of training in one of them, about


def run(params: Params) -> None:
    """Trains every distinct layout once at the ordinary rate, and every placement at the high ones."""
    keep_freed_memory()
    switches, setting = params.report_switches, params.glu_search.base
    seeds = seed_numbers(params, switches.seeds)
    layouts = {
        described(changes): layout_of(setting.init_std, changes)
        for switch in switches.switches.values()
        for changes in (switch.baseline, switch.treatment)
    }
    measured = {"split": "test", "pictures": params.glu_variants.pictures}
    trainings = [
        part(params, key, setting, BLOCK, seeds, switches.steps, layout=layout, measured=measured)
        for key, layout in layouts.items()
    ]
    for name, changes in switches.placements.items():
        layout = layout_of(setting.init_std, changes)
        for rate in switches.high_rates:
            fast, label = config_tree.replace(setting, learning_rate=rate), f"{name} at {rate:g}"
            trainings.append(part(params, label, fast, BLOCK, seeds, switches.high_steps, layout=layout))
    paths = parts.run("glu/train_switches", trainings)

    found = {}
    for key in layouts:
        arrays, numbers = checkpoint.load(paths[key])
        found[key] = {
            "parameters": numbers["parameters"],
            "nats": arrays["averaged"].tolist(),
            "training": thinned(arrays["losses"]),
        }
    ordinary = {
        name: {
            "finding": switch.finding,
            "expected": switch.expected,
            "baseline": found[described(switch.baseline)] | {"layout": described(switch.baseline)},
            "treatment": found[described(switch.treatment)] | {"layout": described(switch.treatment)},
        }
        for name, switch in switches.switches.items()
    }
    text, tokenizer = TextTokenizer.load(TEXT), getattr(params.tokenizer, setting.tokens)
    task = load_task(setting.tokens, tokenizer.leave_out, text, params.text.length, "train")
    base = network_of(setting, BLOCK, text, params.text.length, tokenizer.codes, task.tokens.shape[1])
    if "bias" in switches.switches:
        pair = switches.switches["bias"]
        ordinary["bias"] |= {"step_seconds": step_seconds(base, setting, pair.baseline, pair.treatment, task)}

    unigram = unigram_nats(task.tokens, base.codes)
    placements = {}
    for name in switches.placements:
        placements[name] = {}
        for rate in switches.high_rates:
            arrays, _ = checkpoint.load(paths[f"{name} at {rate:g}"])
            losses = arrays["losses"]  # [steps, seeds]
            placements[name][f"{rate:g}"] = {
                "spikes": [spikes(own, switches.rise) for own in losses.T],
                "lost": [lost(own, unigram) for own in losses.T],
                "final": [final(own) for own in losses.T],
                "training": thinned(np.nan_to_num(np.minimum(losses, paired.DIVERGED), nan=paired.DIVERGED)),
            }
    OUT.parent.mkdir(parents=True, exist_ok=True)
    write_json(
        OUT,
        {
            "seeds": seeds,
            "steps": switches.steps,
            "high_steps": switches.high_steps,
            "rise": switches.rise,
            "unigram_nats": unigram,
            "switches": ordinary,
            "placements": placements,
        },
    )


def described(changes: Mapping[str, Any]) -> str:
    """A layout's name: its changes, or `default`."""
    return ", ".join(f"{key} {json.dumps(changes[key])}" for key in sorted(changes)) or "default"


def final(losses: np.ndarray) -> float | None:
    """Mean of the last twentieth of the losses [steps]; None where they are no numbers any more."""
    mean = float(losses[-max(len(losses) // 20, 1) :].mean())
    return mean if np.isfinite(mean) else None


def unigram_nats(tokens: np.ndarray, codes: int) -> float:
    """Entropy of the code frequencies: a network that has learned nothing of the pictures cannot do better."""
    counts = np.bincount(tokens.ravel(), minlength=codes)
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log(shares)).sum())


def step_seconds(
    base: DalleMiniConfig, setting: Any, baseline: Mapping, treatment: Mapping, task: ImageTask
) -> dict[str, list[float]]:
    """Seconds of a training step with two layouts, timed in turn: one value a repetition each."""
    calls: dict[str, Callable] = {}
    for name, changes in (("baseline", baseline), ("treatment", treatment)):
        network = dataclasses.replace(base, layout=layout_of(setting.init_std, changes))
        model, initial = paired.create(network, [0])
        trainee = paired.SeedsTrainee(model, initial, [0], task, recipe_of(setting, 1))
        indices = np.arange(setting.batch_size)[None]
        calls[name] = lambda trainee=trainee, indices=indices: trainee.step(0, indices)
        calls[name]()  # compiles
    began = time.perf_counter()
    calls["baseline"]()
    count = max(1, round(STEP_SECONDS / (time.perf_counter() - began)))
    found: dict[str, list[float]] = {name: [] for name in calls}
    for repetition in range(REPETITIONS):
        for name in sorted(calls, reverse=bool(repetition % 2)):
            began = time.perf_counter()
            for _ in range(count):
                calls[name]()
            found[name].append((time.perf_counter() - began) / count)
    return found
