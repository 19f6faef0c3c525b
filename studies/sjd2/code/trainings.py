"""What the trainings of this study left behind, as reports: losses before and after every tuning."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from lib.evidence.report import Estimate, Interval
from studies.sjd2.code.material import DRAFTERS, MODELS, ON_DRAFTS, TUNED, folder
from studies.sjd2.code.reports import Drafter, DraftTuned, Metrics, Model, ModelMetrics, Network, NoiseTuningMetrics
from studies.sjd2.code.reports import TuningMetrics as Tuning
from studies.sjd2.code.settings import Params
from studies.sjd2.code.train_drafters import NAMES

Kind = TypeVar("Kind", bound=Metrics)


def every(kind: type[Kind], params: Params, where: Path, name: str, model: str) -> list[Kind]:
    """The reports of all trainings of one of autoregressive.models, or of what is tuned from it."""
    numbers = range(params.autoregressive.models[model].seeds)
    return [kind.read(folder(where, name, number) / "metrics.json") for number in numbers]


def over(found: Sequence[Interval], name: str) -> Estimate | Interval:
    """The mean over trainings; of one training its interval over pictures."""
    return found[0] if len(found) == 1 else Estimate.of([one.value for one in found], name)


def models(params: Params) -> dict[str, Model]:
    """All models as they were trained."""
    found = {}
    for name in params.autoregressive.models:
        trainings = every(ModelMetrics, params, MODELS, name, name)
        found[name] = Model(
            parameters=trainings[0].parameters,
            pictures=trainings[0].pictures,
            nats_per_token=over([one.test.nats_per_token for one in trainings], f"model {name} nats"),
            caption_gain=over([one.test.caption_gain for one in trainings], f"model {name} gain"),
        )
    return found


def networks(params: Params) -> dict[str, Network]:
    """What every fine-tuning for SJD2 did to the loss, and how long it was beside the pretraining."""
    found = {}
    for name, variant in params.sjd2.variants.items():
        trainings = every(NoiseTuningMetrics, params, TUNED, name, variant.model)
        levels = np.mean([one.nats_per_level for one in trainings], axis=0)  # [levels + 1]
        last = [one.nats_per_level[-1] for one in trainings]
        found[name] = Network(
            **tuned(params, name, variant.model, variant.training.steps, trainings),
            levels=variant.levels,
            standardize=variant.standardize,
            table_deviation=variant.table_deviation,
            spacing=variant.spacing,
            clean_share=variant.clean_share,
            nats_per_level=[None if math.isnan(value) else float(value) for value in levels],
            after_noise=None if any(map(math.isnan, last)) else Estimate.of(last, f"{name} after noise"),
            deviation_after=float(np.mean([one.table_deviation for one in trainings])),
        )
    return found


def draft_tuned(params: Params) -> dict[str, DraftTuned]:
    """The same of the fine-tunings on drafts."""
    found = {}
    for name, variant in params.draft_tuning.variants.items():
        trainings = every(Tuning, params, ON_DRAFTS, name, variant.model)
        own = tuned(params, name, variant.model, variant.training.steps, trainings)
        found[name] = DraftTuned(**own, drafted=variant.drafted, passes=variant.passes)
    return found


def tuned(params: Params, name: str, model: str, updates: int, trainings: Sequence[Tuning]) -> dict[str, Any]:
    """How long a fine-tuning was, and the loss on clean input before and after it: fields of `Tuned`."""
    pretrained = sum(one.steps for one in params.autoregressive.models[model].trainings)
    return {
        "model": model,
        "updates": updates,
        "updates_share": updates / pretrained,
        "untuned": over([one.nats_per_token["test"].untuned for one in trainings], f"{name} untuned"),
        "tuned": over([one.nats_per_token["test"].tuned for one in trainings], f"{name} tuned"),
        "rise": over([one.rise["test"] for one in trainings], f"{name} rise"),
        "rise_val": over([one.rise["val"] for one in trainings], f"{name} rise on val"),
    }


def drafters() -> dict[str, Drafter]:
    """Both drafters."""
    return {name: Drafter.read(DRAFTERS / name / "metrics.json") for name in NAMES}
