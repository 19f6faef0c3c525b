"""Stage glu/search: at which learning rate do blocks differ most, over the noise of seeds? → build/glu/search.json.

Trains the ReLU and the GEGLU block shortly at every rate of section glu_search, on every kind of image tokens and on
captions with gaps, and measures them on the validation split. The rate with the largest difference, whichever block it
favours, over the standard deviation of the paired differences is that of all later trainings of its kind. Trials of one
kind are equally long, so no clock has a say. The comparisons have seeds of their own, and are measured on the test
split, which this stage does not read.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from lib.pipeline import parts
from lib.pipeline.parts import Part
from studies.glu.code.comparison import BASELINE, FAVOURITE
from studies.glu.code.reports import Search, Searched, Trial
from studies.glu.code.settings import MOST_SEEDS, TASK_OF_TEXT, Params
from studies.glu.code.training_parts import SEARCH as OUT
from studies.glu.code.training_parts import picture_part, results, seed_numbers, text_part

COMPARED = (BASELINE, FAVOURITE)


def run(params: Params) -> None:
    """Trains both blocks in every trial, and chooses."""
    search = params.glu_search
    seeds = seed_numbers(params, search.seeds, first=MOST_SEEDS)  # no comparison has as many
    paths = parts.run(
        "glu/search",
        [part(params, task, block, seeds, steps) for task, steps in search.steps.items() for block in COMPARED],
    )
    tasks = {}
    for task, steps in search.steps.items():
        relu, geglu = (results(paths[f"{task}, {block}"])[0] for block in COMPARED)
        trials = {name: trial(relu[name]["nats"], geglu[name]["nats"]) for name in relu}
        tasks[task] = Searched(steps=steps, trials=trials, chosen=chosen(trials))
    Search(seeds=seeds, blocks=list(COMPARED), tasks=tasks).write(OUT)


def part(params: Params, task: str, block: str, seeds: Sequence[int], steps: int) -> Part:
    """The trainings of a block at all rates."""
    search, name = params.glu_search, f"{task}, {block}"
    recipes = {str(rate): {"steps": steps, "learning_rate": rate} for rate in search.learning_rates}
    if task == TASK_OF_TEXT:
        return text_part(params, name, block, seeds, recipes, {"split": "val", "stretches": search.stretches})
    return picture_part(
        params, name, task, block, seeds, recipes, measured={"split": "val", "pictures": search.pictures}
    )


def trial(relu: Sequence[float], geglu: Sequence[float]) -> Trial:
    """How clearly a rate tells both blocks apart, by their losses [seeds]."""
    differences = np.subtract(geglu, relu)
    effect, noise = float(differences.mean()), float(differences.std(ddof=1))
    return Trial(
        relu=list(relu),
        geglu=list(geglu),
        effect=effect,
        noise=noise,
        seed_noise=float(np.std(relu, ddof=1)),
        ratio=abs(effect) / noise,
    )


def chosen(trials: Mapping[str, Trial]) -> float:
    """The rate of the trial with the largest ratio; the first of equals."""
    return float(max(trials, key=lambda name: trials[name].ratio))
