"""Stage tune_on_drafts: an autoregressive model tuned on drafts of Jacobi decoding with shared noise →
build/draft_tuned/<name>/ (model.safetensors, metrics.json)."""

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
from lib.training.drafts import DraftTrainee
from lib.training.loop import fit
from lib.training.order import BatchOrder

MODELS, OUT = Path("build/autoregressive"), Path("build/draft_tuned")


def run(params: Params, name: str) -> None:
    """Tunes as `draft_tuning.variants.<name>` says, measures the tuned and the untuned model on clean pictures.

    Raises:
        EaselError: the variant tunes a model that there is not.
    """
    settings = params.draft_tuning.variants[name]
    check_model(params, settings.model, f"draft_tuning.variants.{name}")
    pictures = pictures_of(params, settings.model, ("train", "val", "test"), TextTokenizer.load(TEXT))
    train = pictures["train"]
    untuned = autoregressive.load(MODELS / settings.model).to("cuda" if torch.cuda.is_available() else "cpu")
    trainee = DraftTrainee(untuned, train.captions, train.tokens, settings, params.seed)
    where = training("tune_on_drafts", params, name)
    history = fit(
        trainee,
        name="tune_on_drafts",
        steps=settings.training.steps,
        order=BatchOrder(len(train.tokens), settings.training.batch_size, params.seed),
        checkpoint=where.checkpoint,
        fingerprint=where.fingerprint,
    )

    model = trainee.model.eval()
    out = OUT / name
    shutil.rmtree(out, ignore_errors=True)
    autoregressive.save(model, out)
    write_json(out / "metrics.json", {"history": history} | before_and_after(params, untuned, model, pictures))
