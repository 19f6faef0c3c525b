"""Stage glu/train_switches: the DALL·E Mini report's other findings, at small scale → build/glu/switches.json.

Two questions, with the original's layout but for what is tested. How low is the loss after a training at the rate that
was chosen for these tokens, with and without a switch? And how does a placement of norms take a learning rate that is
too high: how many spikes does the loss have, and how many seeds are lost?
"""

import dataclasses
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lib.hardware import keep_freed_memory
from lib.models.layout import DalleMiniConfig
from lib.pipeline import parts
from lib.text import TextTokenizer
from lib.training import seeds as paired
from studies.glu.code import reports
from studies.glu.code.settings import GluSetting, Params, layout_of
from studies.glu.code.stability import lost, spikes
from studies.glu.code.tasks import ImageTask
from studies.glu.code.training import TEXT, load_task, network_of, recipe_of
from studies.glu.code.training_parts import chosen_rate, picture_part, results, seed_numbers, thinned

OUT = Path("build/glu/switches.json")
BLOCK = "geglu"  # whose inner width all layouts have
TIMED = "bias"  # the switch that is said to cost time
REPETITIONS = 9  # of timed steps, in turn
STEP_SECONDS = 0.5  # of training in one of them, about


def run(params: Params) -> None:
    """Trains every distinct layout once at the ordinary rate, and every placement at the high ones."""
    keep_freed_memory()
    switches, setting, tokens = params.report_switches, params.glu_setting, params.report_switches.tokens
    seeds, rate = seed_numbers(params, switches.seeds), chosen_rate(tokens)
    layouts = {
        described(changes): layout_of(setting.init_std, changes)
        for switch in switches.switches.values()
        for changes in (switch.baseline, switch.treatment)
    }
    measured = {"split": "test", "pictures": params.glu_variants.pictures}
    ordinary = {"ordinary": {"steps": switches.steps, "learning_rate": rate}}
    high = {f"{peak:g}": {"steps": switches.high_steps, "learning_rate": peak} for peak in switches.high_rates}
    trainings = [
        picture_part(params, key, tokens, BLOCK, seeds, ordinary, layout=layout, measured=measured)
        for key, layout in layouts.items()
    ]
    for name, changes in switches.placements.items():
        layout = layout_of(setting.init_std, changes)
        trainings.append(picture_part(params, f"{name} at high rates", tokens, BLOCK, seeds, high, layout=layout))
    paths = parts.run("glu/train_switches", trainings)

    def trained(changes: Mapping[str, Any]) -> reports.LayoutTraining:
        arrays, numbers = results(paths[described(changes)])
        return reports.LayoutTraining(
            layout=described(changes),
            parameters=numbers["parameters"],
            nats=arrays["ordinary"]["nats"].tolist(),
            training=reports.Curve(**thinned(arrays["ordinary"]["losses"])),
        )

    text, tokenizer = TextTokenizer.load(TEXT), getattr(params.tokenizer, tokens)
    task = load_task(tokens, tokenizer.leave_out, text, params.text.length, "train")
    base = network_of(setting, BLOCK, text, params.text.length, tokenizer.codes, task.tokens.shape[1])
    compared = {}
    for name, switch in switches.switches.items():
        pair = (switch.baseline, switch.treatment)
        both = {"baseline": trained(switch.baseline), "treatment": trained(switch.treatment)}
        timed = {"step_seconds": step_seconds(base, setting, rate, *pair, task)} if name == TIMED else {}
        compared[name] = reports.Switch(finding=switch.finding, expected=switch.expected, **both, **timed)
    unigram = unigram_nats(task.tokens, base.codes)
    reports.Switches(
        learning_rate=rate,
        seeds=seeds,
        steps=switches.steps,
        high_steps=switches.high_steps,
        rise=switches.rise,
        unigram_nats=unigram,
        switches=compared,
        placements={
            name: {
                peak: high_rate(arrays["losses"], switches.rise, unigram)
                for peak, arrays in results(paths[f"{name} at high rates"])[0].items()
            }
            for name in switches.placements
        },
    ).write(OUT)


def high_rate(losses: np.ndarray, rise: float, unigram: float) -> reports.HighRate:
    """What a rate that is too high did to losses [steps, seeds]."""
    return reports.HighRate(
        spikes=[spikes(own, rise) for own in losses.T],
        lost=[lost(own, unigram) for own in losses.T],
        final=[final(own) for own in losses.T],
        training=reports.Curve(**thinned(np.nan_to_num(np.minimum(losses, paired.DIVERGED), nan=paired.DIVERGED))),
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
    base: DalleMiniConfig, setting: GluSetting, rate: float, baseline: Mapping, treatment: Mapping, task: ImageTask
) -> reports.StepSeconds:
    """Seconds of a training step with two layouts, timed in turn: one value a repetition each."""
    calls: dict[str, Callable] = {}
    for name, changes in (("baseline", baseline), ("treatment", treatment)):
        network = dataclasses.replace(base, layout=layout_of(setting.init_std, changes))
        model, initial = paired.create(network, [0])
        trainee = paired.SeedsTrainee(model, initial, [0], task, recipe_of(setting, 1, rate))
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
    return reports.StepSeconds(**found)
