"""What all fine-tunings of an autoregressive model share: how they run and what they are measured by."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lib.data.encoded import Encoded
from lib.data.store import write_json
from lib.errors import EaselError
from lib.evidence.statistics import bootstrap_mean
from lib.models import autoregressive
from lib.models.autoregressive import Autoregressive, nats
from lib.ownership import fresh
from lib.pipeline.stage import training
from lib.text import TextTokenizer
from lib.training.autoregressive import AutoregressiveTrainee
from lib.training.loop import fit
from lib.training.order import BatchOrder
from lib.training.settings import DraftTuningParams, Sjd2Params
from studies.sjd2.code.settings import Params
from studies.sjd2.code.train import TEXT, pictures_of

MODELS = Path("build/autoregressive")


def tune(
    params: Params,
    stage: str,
    name: str,
    settings: Sjd2Params | DraftTuningParams,
    trainee_of: Callable[..., AutoregressiveTrainee],
) -> tuple[Autoregressive, dict[str, Any], Mapping[str, Encoded]]:
    """Tunes the model that `settings` name; a stage's checkpoint is that of its item `name`.

    Args:
        trainee_of: untuned model, captions, tokens, settings and seed → what is trained, a copy of the model in it.

    Returns:
        the tuned model, its metrics, and the pictures of all splits.

    Raises:
        EaselError: there is no such model.
    """
    if settings.model not in params.autoregressive.models:
        known = ", ".join(params.autoregressive.models)
        raise EaselError(f"params.yaml: {stage} {name}: model is {settings.model!r}, must be one of {known}.")
    pictures = pictures_of(params, settings.model, ("train", "val", "test"), TextTokenizer.load(TEXT))
    train = pictures["train"]
    untuned = autoregressive.load(MODELS / settings.model).to("cuda" if torch.cuda.is_available() else "cpu")
    trainee = trainee_of(untuned, train.captions, train.tokens, settings, params.seed)
    where = training(stage, params, name)
    history = fit(
        trainee,
        name=stage,
        steps=settings.training.steps,
        order=BatchOrder(len(train.tokens), settings.training.batch_size, params.seed),
        checkpoint=where.checkpoint,
        fingerprint=where.fingerprint,
    )
    tuned = trainee.model.eval()
    return tuned, {"history": history} | before_and_after(params, untuned, tuned, pictures), pictures


def before_and_after(
    params: Params, untuned: Autoregressive, tuned: Autoregressive, pictures: Mapping[str, Encoded]
) -> dict[str, Any]:
    """Nats a token of clean pictures under both networks, and their rise, picture by picture; on `val` and `test`."""
    random = np.random.Generator(np.random.PCG64(params.seed))
    found: dict[str, Any] = {"nats_per_token": {}, "rise": {}}
    for split in ("val", "test"):
        few = pictures[split].tokens[: params.autoregressive.measured]
        own = pictures[split].captions.first(len(few))
        losses = {key: nats(one, own, few).mean(axis=1) for key, one in (("untuned", untuned), ("tuned", tuned))}
        found["nats_per_token"][split] = {
            key: vars(bootstrap_mean(values, random, resamples=params.evaluation.bootstrap))
            for key, values in losses.items()
        }
        rise = losses["tuned"] - losses["untuned"]
        found["rise"][split] = vars(bootstrap_mean(rise, random, resamples=params.evaluation.bootstrap))
    return found


def keep(tuned: Autoregressive, metrics: Mapping[str, Any], out: Path) -> None:
    """Writes a tuned model and its metrics into a new folder."""
    fresh(out)
    autoregressive.save(tuned, out)
    write_json(out / "metrics.json", metrics)
