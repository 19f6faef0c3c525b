"""Stage tune_sjd2: an autoregressive model tuned to read noisy embeddings → build/sjd2/<name>/ (model.safetensors,
metrics.json)."""

import shutil
from pathlib import Path

import torch

from lib.config import Params
from lib.data.store import write_json
from lib.models import autoregressive
from lib.pipeline.stage import training
from lib.pipeline.train_autoregressive import TEXT, pictures_of
from lib.pipeline.tuning import before_and_after, check_model
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
    check_model(params, settings.model, f"sjd2.variants.{name}")
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
    metrics = {"history": history} | before_and_after(params, untuned, model, pictures)
    test = pictures["test"]
    few = test.tokens[: params.autoregressive.measured]
    finest = max(settings.denoising_steps)
    found = nats_per_level(model, test.captions.first(len(few)), few, finest, settings, params.seed)
    metrics["nats_per_level"] = found.tolist()
    table = model.image_tokens.weight[: model.config.codes]
    metrics["table_deviation"] = table.var(dim=0, correction=0).mean().sqrt().item()
    out = OUT / name
    shutil.rmtree(out, ignore_errors=True)
    autoregressive.save(model, out)
    write_json(out / "metrics.json", metrics)
