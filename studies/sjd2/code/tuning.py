"""What fine-tunings of an autoregressive model share: how they run, what they are measured by, how they are kept."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lib.data.encoded import Encoded
from lib.data.store import write_json
from lib.evidence.statistics import bootstrap_mean
from lib.models import autoregressive
from lib.models.autoregressive import Autoregressive, nats
from lib.ownership import fresh
from lib.pipeline import parts
from lib.pipeline.parts import Part, Result
from lib.pipeline.stage import Training
from lib.training.autoregressive import AutoregressiveTrainee
from lib.training.loop import fit
from lib.training.order import BatchOrder
from lib.training.settings import DraftTuningParams, Sjd2Params
from lib.weights import checkpoint
from lib.weights.torch_state import module_arrays
from studies.sjd2.code.material import MODELS, folder, inputs_of, pictures_of
from studies.sjd2.code.settings import Params


def run_all(
    params: Params,
    stage: str,
    settings: Mapping[str, Sjd2Params | DraftTuningParams],
    work: Callable[..., Result],
    out: Path,
) -> None:
    """Tunes every training of the models as each of the settings says, side by side, and writes
    `out`/<name>/<training>/ (model.safetensors, metrics.json)."""
    listed = {
        (name, number): tuning_part(params, name, one, number, work)
        for name, one in settings.items()
        for number in range(params.autoregressive.models[one.model].seeds)
    }
    paths = parts.run(stage, list(listed.values()))
    fresh(out)
    for (name, number), part in listed.items():
        arrays, numbers = checkpoint.load(paths[part.name])
        own = folder(out, name, number)
        checkpoint.save(own / "model.safetensors", arrays, {"config": numbers["config"]})
        write_json(own / "metrics.json", numbers["metrics"])


def tuning_part(
    params: Params, name: str, settings: Sjd2Params | DraftTuningParams, number: int, work: Callable[..., Result]
) -> Part:
    """One fine-tuning of one training; those of a training are paired, they see the same pictures and captions."""
    model, words = params.autoregressive.models[settings.model], params.words(settings.model)
    untuned = folder(MODELS, settings.model, number)
    return Part(
        name=f"{name} {number}",
        work=work,
        arguments={
            "settings": settings,
            "untuned": str(untuned),
            "words": words | {"size": model.pictures},
            "measured": params.autoregressive.measured,
            "resamples": params.evaluation.bootstrap,
            "seed": params.seed_of(f"tuning {settings.model}", number),
        },
        inputs=[*inputs_of(words["part"], words["tokenizer"]), untuned],
        size=settings.training.steps * settings.training.batch_size * model.pictures**2 * model.width,
    )


def tune(
    training: Training,
    trainee_of: Callable[..., AutoregressiveTrainee],
    *,
    settings: Sjd2Params | DraftTuningParams,
    untuned: str,
    words: Mapping[str, Any],
    measured: int,
    resamples: int,
    seed: int,
) -> tuple[Autoregressive, dict[str, Any], dict[str, Encoded]]:
    """Tunes a model, and measures both, the tuned and the untuned one, on clean pictures.

    Args:
        trainee_of: untuned model, captions, tokens, settings and seed → what is trained, a copy of the model in it.
        untuned: the folder of the model.
        words: of `pictures_of`.
        measured: pictures of a split that losses are measured on; resamples: of their bootstrap.

    Returns:
        the tuned model, its metrics, and the pictures of all splits.
    """
    splits = pictures_of(("train", "val", "test"), **words)
    train = splits["train"]
    model = autoregressive.load(Path(untuned)).to("cuda" if torch.cuda.is_available() else "cpu")
    trainee = trainee_of(model, train.captions, train.tokens, settings, seed)
    history = fit(
        trainee,
        name="tune",
        steps=settings.training.steps,
        order=BatchOrder(len(train.tokens), settings.training.batch_size, seed),
        checkpoint=training.checkpoint,
        fingerprint=training.fingerprint,
    )
    tuned = trainee.model.eval()
    metrics = {"history": history} | before_and_after(model, tuned, splits, measured, resamples, seed)
    return tuned, metrics, splits


def before_and_after(
    untuned: Autoregressive,
    tuned: Autoregressive,
    pictures: Mapping[str, Encoded],
    measured: int,
    resamples: int,
    seed: int,
) -> dict[str, Any]:
    """Nats a token of clean pictures under both networks, and their rise, picture by picture; on `val` and `test`."""
    random = np.random.Generator(np.random.PCG64(seed))
    found: dict[str, Any] = {"nats_per_token": {}, "rise": {}}
    for split in ("val", "test"):
        few = pictures[split].tokens[:measured]
        own = pictures[split].captions.first(len(few))
        losses = {key: nats(one, own, few).mean(axis=1) for key, one in (("untuned", untuned), ("tuned", tuned))}
        found["nats_per_token"][split] = {
            key: vars(bootstrap_mean(values, random, resamples=resamples)) for key, values in losses.items()
        }
        rise = losses["tuned"] - losses["untuned"]
        found["rise"][split] = vars(bootstrap_mean(rise, random, resamples=resamples))
    return found


def result(tuned: Autoregressive, metrics: Mapping[str, Any]) -> Result:
    """A tuned model and its metrics as a part's result."""
    return module_arrays(tuned), {"config": asdict(tuned.config), "metrics": dict(metrics)}
