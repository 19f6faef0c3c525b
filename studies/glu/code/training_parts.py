"""The trainings of this study as parts, and the learning rates that stage glu/search chose for them."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from lib.pipeline.parts import Part
from lib.weights import checkpoint
from studies.glu.code import text_training, training
from studies.glu.code.reports import Search
from studies.glu.code.settings import Params
from studies.glu.code.training import DATA, PICTURE, TEXT, TOKENS

SEARCH = Path("build/glu/search.json")
LOSSES = 60  # points of a training curve
Recipes = Mapping[str, Mapping[str, float]]  # name → steps and learning_rate


def chosen_rate(task: str) -> float:
    """The peak learning rate that was chosen for networks on these tokens, or on text."""
    return Search.read(SEARCH).tasks[task].chosen


def picture_part(
    params: Params, name: str, tokens: str, variant: str, seeds: Sequence[int], recipes: Recipes, **arguments: Any
) -> Part:
    """Trainings on pictures; `arguments` as of `studies.glu.code.training.trained`."""
    tokenizer = getattr(params.tokenizer, tokens)
    given = {
        "setting": params.glu_setting,
        "tokens": tokens,
        "variant": variant,
        "seeds": seeds,
        "recipes": recipes,
        "text_length": params.text.length,
        "codes": tokenizer.codes,
        "leave_out": tokenizer.leave_out,
    }
    inputs, length = (DATA, TEXT, TOKENS / tokens), (PICTURE // tokenizer.stride) ** 2
    size = seen(recipes, seeds) * length
    return Part(name=name, work=training.trained, arguments=given | arguments, inputs=inputs, size=size)


def text_part(
    params: Params, name: str, variant: str, seeds: Sequence[int], recipes: Recipes, measured: Mapping[str, Any]
) -> Part:
    """Trainings on captions with gaps; `measured` as of `studies.glu.code.text_training.trained`."""
    given = span_task(params) | {
        "setting": params.glu_setting,
        "variant": variant,
        "seeds": seeds,
        "recipes": recipes,
        "measured": measured,
        "seed": params.seed,
    }
    size = seen(recipes, seeds) * params.glu_text.length
    return Part(name=name, work=text_training.trained, arguments=given, inputs=(DATA, TEXT), size=size)


def span_task(params: Params) -> dict[str, Any]:
    """Arguments of `studies.glu.code.text_training.span_task`, but for the captions."""
    text = params.glu_text
    given = {"length": text.length, "masked": text.masked, "span": text.span}
    return given | {"pictures": params.encode.pictures, "text_length": params.text.length}


def seen(recipes: Recipes, seeds: Sequence[int]) -> float:
    """Batches of all trainings of a part."""
    return len(seeds) * sum(recipe["steps"] for recipe in recipes.values())


def seed_numbers(params: Params, count: int, first: int = 0) -> list[int]:
    """The seeds of all runs that are compared with each other."""
    return list(range(params.seed + first, params.seed + first + count))


def results(path: Path) -> tuple[dict[str, dict[str, np.ndarray]], dict[str, Any]]:
    """What a part left: recipe → its arrays, and numbers, as of `studies.glu.code.training.train_all`."""
    arrays, numbers = checkpoint.load(path)
    found: dict[str, dict[str, np.ndarray]] = {}
    for name, array in arrays.items():
        recipe, _, key = name.rpartition("/")
        found.setdefault(recipe, {})[key] = array
    return found, numbers


def thinned(losses: np.ndarray, points: int = LOSSES) -> dict[str, list]:
    """Losses [steps, seeds] as means over about `points` equal stretches: {"step": […], "nats": [[…]]}."""
    ends = np.unique(np.linspace(0, len(losses), points + 1).round().astype(int))
    means = [losses[start:end].mean(axis=0).tolist() for start, end in pairwise(ends)]
    return {"step": ends[1:].tolist(), "nats": means}
