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

from lib.data.store import write_json
from lib.hardware import use_jax_devices
from lib.models import dalle_mini
from lib.models.layout import DalleMiniConfig
from lib.pipeline.stage import training
from lib.text import TextTokenizer
from lib.training import seeds as paired
from studies.glu.code.settings import Params, layout_of
from studies.glu.code.stability import lost, spikes
from studies.glu.code.tasks import ImageTask
from studies.glu.code.train_variants import TEXT, load_task, network_of, recipe_of, seed_numbers, thinned, train

OUT = Path("build/glu/switches.json")
REPETITIONS = 9  # of timed steps, in turn
STEP_SECONDS = 0.5  # of training in one of them, about


def run(params: Params) -> None:
    """Trains every distinct layout once at the ordinary rate, and every placement at the high ones."""
    use_jax_devices(params.threads)  # seeds are split between them
    switches, setting, text = params.report_switches, params.glu_search.base, TextTokenizer.load(TEXT)
    tasks = {split: load_task(params, setting, text, split) for split in ("train", "test")}
    held_out = tasks["test"].held_out(params.glu_variants.pictures)
    base = network_of(setting, "geglu", text, params, tasks["train"].tokens.shape[1])
    seeds = seed_numbers(params, switches.seeds)

    where = training("glu/train_switches", params)
    found: dict[str, dict] = {}
    for switch in switches.switches.values():
        for changes in (switch.baseline, switch.treatment):
            key = described(changes)
            if key not in found:
                network = dataclasses.replace(base, layout=layout_of(setting.init_std, changes))
                part, recipe = where.part(key), recipe_of(setting, switches.steps)
                trainee, _ = train(f"glu/train_switches {key}", network, seeds, tasks["train"], recipe, part)
                nats = paired.evaluate(trainee.model, trainee.average, held_out, setting.batch_size)
                found[key] = {
                    "parameters": dalle_mini.parameter_count(dalle_mini.shapes(network)),
                    "nats": nats.tolist(),
                    "training": thinned(trainee.losses),
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
    if "bias" in switches.switches:
        pair = switches.switches["bias"]
        ordinary["bias"] |= {"step_seconds": step_seconds(base, setting, pair.baseline, pair.treatment, tasks["train"])}

    unigram = unigram_nats(tasks["train"].tokens, base.codes)
    placements = {}
    for name, changes in switches.placements.items():
        network = dataclasses.replace(base, layout=layout_of(setting.init_std, changes))
        placements[name] = {}
        for rate in switches.high_rates:
            recipe = dataclasses.replace(recipe_of(setting, switches.high_steps), learning_rate=rate)
            part, label = where.part(f"{name} {rate:g}"), f"glu/train_switches {name} at {rate:g}"
            trainee, _ = train(label, network, seeds, tasks["train"], recipe, part)
            columns = trainee.losses.T  # [seeds, steps]
            placements[name][f"{rate:g}"] = {
                "spikes": [spikes(losses, switches.rise) for losses in columns],
                "lost": [lost(losses, unigram) for losses in columns],
                "final": [final(losses) for losses in columns],
                "training": thinned(np.nan_to_num(np.minimum(trainee.losses, paired.DIVERGED), nan=paired.DIVERGED)),
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
