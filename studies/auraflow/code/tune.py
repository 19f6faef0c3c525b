"""Stage auraflow/tune: sampling settings of every training, chosen on validation prompts with its first seed →
build/auraflow/settings.json. The prompts are English, which all text networks have read."""

import itertools
from typing import Any

import numpy as np

from lib.data.prompts import first_of_each_category
from lib.metrics.drawings import Search, Settings, Trial
from lib.metrics.panel import Panel
from lib.pipeline import parts
from lib.scenes.prompts import random_prompts
from lib.weights import checkpoint
from studies.auraflow.code.drawing_parts import drawing_part
from studies.auraflow.code.material import HELDOUT, SETTINGS, folder
from studies.auraflow.code.panels import panel_of
from studies.auraflow.code.settings import DENOISING, Params, scenes_of


def run(params: Params) -> None:
    """Tries all settings of all trainings."""
    panel = panel_of(params.evaluation, params.seed)
    prompts = prompts_of(params, panel)
    texts = [prompt[panel.language] for prompt in prompts]
    listed = {
        (name, number): drawing_part(
            params, f"{name}, {number}", folder(name, params.seed), params.seed, texts, range(len(texts)), sampling
        )
        for name, one in params.auraflow_trainings.items()
        for number, sampling in enumerate(grid_of(params, one.model))
    }
    paths, trials = parts.run("auraflow/tune", list(listed.values())), {}
    for (name, _), part in listed.items():
        drawn = checkpoint.load(paths[part.name])[0]["pictures"][:, None]  # [P, 1, S, S, 3]
        if panel.reader is None:
            score = panel.clip_scores(drawn, texts)["clip_score"]
        else:
            score = panel.accuracies(drawn, prompts)["exact"]
        trial = Trial(sampling=part.arguments["sampling"], exact=score.value)
        trials.setdefault(name, []).append(trial)
    found = {name: Search(trials=own, best=max(own, key=lambda trial: trial.exact)) for name, own in trials.items()}
    Settings(models=found).write(SETTINGS)


def grid_of(params: Params, model: str) -> list[dict[str, Any]]:
    """All sampling settings that are tried for a model."""
    search = params.auraflow_search
    if model in DENOISING:
        return [{"guidance": guidance, "steps": search.steps} for guidance in search.guidance]
    return [
        {"guidance": guidance, "temperature": temperature}
        for guidance, temperature in itertools.product(search.guidance, search.temperature)
    ]


def prompts_of(params: Params, panel: Panel) -> list[dict[str, Any]]:
    """Other prompts than the comparison's, none held out; of data that are not drawn those that they came with."""
    count = params.auraflow_search.prompts
    if panel.reader is None:
        return first_of_each_category(list(panel.prompts.values()), count)
    random = np.random.Generator(np.random.PCG64([params.seed, 1]))
    scenes, kept = scenes_of(params)
    found = random_prompts(random, count, scenes.max_objects, kept)
    return [prompt for prompt in found if prompt["category"] != HELDOUT]
