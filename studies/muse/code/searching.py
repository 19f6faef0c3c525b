"""Sampling settings on validation prompts: every value of a grid with every other."""

import itertools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lib.config_tree import plain
from lib.data.prompts import first_of_each_category
from lib.metrics.drawings import Search, Trial
from lib.metrics.panel import Panel
from lib.models import vqgan
from lib.painter.drawing import painted
from lib.pipeline import parts
from lib.weights import checkpoint
from studies.muse.code.drawing_parts import drawing_part
from studies.muse.code.material import TOKENIZER, objects_asked, panel_of, validation_prompts
from studies.muse.code.settings import PARALLEL, Params, scenes_of


def grid_of(params: Params, model: str) -> list[dict[str, Any]]:
    """All sampling settings that are tried for a model, those that come to the same once."""
    grid = plain(getattr(params.muse_search.grids, model))
    steps = {"steps": params.muse_search.steps[model]} if model in PARALLEL else {}
    found = []
    for values in itertools.product(*grid.values()):
        setting = dict(zip(grid, values, strict=True)) | steps
        if setting.get("order", "confidence") != "confidence":
            setting["noise"] = 0.0  # there is no confidence to add it to
        if setting not in found:
            found.append(setting)
    return found


def search(
    params: Params,
    stage: str,
    models: Mapping[str, tuple[Path, str, str]],
    base: Callable[[Mapping[str, Any]], Mapping[str, Any] | None] = lambda sampling: None,
) -> dict[str, Search]:
    """Draws validation prompts in every setting and measures them.

    Args:
        models: name → folder of a trained model, its kind, the part of the data that it was trained on.
        base: sampling settings → what draws their small pictures, if they enlarge (`studies.muse.code.networks.load`).
    """
    tokenizer = vqgan.load(TOKENIZER)
    panels = {part: panel_of(params.evaluation, params.seed, part) for _, _, part in models.values()}
    asked = {name: prompts_of(params, panels[part], part) for name, (_, _, part) in models.items()}
    listed = {
        f"{name}, {number}": drawing_part(
            params,
            f"{name}, {number}",
            folder,
            [prompt[panels[part].language] for prompt in asked[name]],
            range(len(asked[name])),
            sampling,
            params.seed,
            base(sampling),
        )
        for name, (folder, kind, part) in models.items()
        for number, sampling in enumerate(grid_of(params, kind))
    }
    paths, found = parts.run(stage, list(listed.values())), {}
    for name, (_, kind, part) in models.items():
        trials = []
        for number, sampling in enumerate(grid_of(params, kind)):
            drawn = painted(tokenizer, checkpoint.load(paths[f"{name}, {number}"])[0]["rows"])
            trials.append(measured(panels[part], drawn, asked[name], sampling))
        found[name] = Search(trials=trials, best=max(trials, key=lambda trial: trial.exact))
    return found


def prompts_of(params: Params, panel: Panel, part: str) -> list[dict[str, Any]]:
    """Validation prompts of a part of the drawn data; of other data the prompts that they came with."""
    count = params.muse_search.prompts
    if panel.reader is None:
        return first_of_each_category(list(panel.prompts.values()), count)
    scenes, kept = scenes_of(params, part)
    return validation_prompts(scenes.max_objects, kept, count, params.seed)


def measured(panel: Panel, drawn: np.ndarray, prompts: list[dict[str, Any]], sampling: Mapping[str, Any]) -> Trial:
    """One setting, by pictures [P, S, S, 3] drawn for P prompts."""
    drawn = drawn[:, None]  # [P, 1, S, S, 3]
    if panel.reader is None:
        score = panel.clip_scores(drawn, [prompt[panel.language] for prompt in prompts])["clip_score"]
        return Trial(sampling=dict(sampling), exact=score.value)
    exact, seen = panel.accuracies(drawn, prompts)["exact"], panel.read(drawn)
    ratio = sum(len(reading["objects"]) for reading in seen) / sum(map(objects_asked, prompts))
    return Trial(sampling=dict(sampling), exact=exact.value, objects=ratio)
