"""Stage tune_sjd2: an autoregressive model tuned to read noisy embeddings → build/sjd2/<name>/ (model.safetensors,
metrics.json)."""

import shutil
from pathlib import Path

import numpy as np
import torch

from lib.config import Params
from lib.data.store import write_json
from lib.errors import EaselError
from lib.evidence.statistics import bootstrap_mean
from lib.models import autoregressive
from lib.models.autoregressive import nats
from lib.pipeline.stage import training
from lib.pipeline.train_autoregressive import TEXT, pictures_of
from lib.text import TextTokenizer
from lib.training.loop import fit
from lib.training.order import BatchOrder
from lib.training.sjd2 import Sjd2Trainee, nats_per_level

MODELS, OUT = Path("build/autoregressive"), Path("build/sjd2")


def run(params: Params, name: str) -> None:
    """Tunes as `sjd2.variants.<name>` says, measures the tuned and the untuned model on clean and noisy pictures.

    Raises:
        EaselError: the variant tunes a model that there is not.
    """
    settings = params.sjd2.variants[name]
    if settings.model not in params.autoregressive.models:
        raise EaselError(
            f"params.yaml: sjd2.variants.{name}.model is {settings.model!r}, must be one of "
            f"{', '.join(params.autoregressive.models)}."
        )
    pictures = pictures_of(params, settings.model, ("train", "val", "test"), TextTokenizer.load(TEXT))
    train = pictures["train"]
    untuned = autoregressive.load(MODELS / settings.model).to("cuda" if torch.cuda.is_available() else "cpu")
    trainee = Sjd2Trainee(untuned, train.captions, train.tokens, settings, params.seed)
    where = training("tune_sjd2", params, name)
    history = fit(
        trainee,
        name="tune_sjd2",
        steps=settings.training.steps,
        order=BatchOrder(len(train.tokens), settings.training.batch_size, params.seed),
        checkpoint=where.checkpoint,
        fingerprint=where.fingerprint,
    )

    model = trainee.model.eval()
    random = np.random.Generator(np.random.PCG64(params.seed))
    metrics = {"history": history, "nats_per_token": {}, "rise": {}, "nats_per_level": {}}
    for split in ("val", "test"):
        few = pictures[split].tokens[: params.autoregressive.measured]
        own = pictures[split].captions.first(len(few))
        losses = {key: nats(one, own, few).mean(axis=1) for key, one in (("untuned", untuned), ("tuned", model))}
        metrics["nats_per_token"][split] = {
            key: vars(bootstrap_mean(values, random, resamples=params.evaluation.bootstrap))
            for key, values in losses.items()
        }
        rise = losses["tuned"] - losses["untuned"]  # picture by picture
        metrics["rise"][split] = vars(bootstrap_mean(rise, random, resamples=params.evaluation.bootstrap))
    for steps in settings.denoising_steps:
        found = nats_per_level(model, own, few, steps, settings, params.seed)
        metrics["nats_per_level"][f"{steps}"] = found.tolist()
    table = model.image_tokens.weight[: model.config.codes]
    metrics["table_deviation"] = table.var(dim=0, correction=0).mean().sqrt().item()
    out = OUT / name
    shutil.rmtree(out, ignore_errors=True)
    autoregressive.save(model, out)
    write_json(out / "metrics.json", metrics)
