"""Stage train_drafters: a drafter for an autoregressive model → build/drafters/<name>/ (model.safetensors,
metrics.json)."""

import shutil
from pathlib import Path

import numpy as np
import torch

from lib.config import Params
from lib.data.store import write_json
from lib.errors import EaselError
from lib.evidence.statistics import bootstrap_mean
from lib.models import autoregressive, drafters
from lib.models.drafters import Eagle, Medusa
from lib.pipeline.stage import training
from lib.pipeline.train_autoregressive import TEXT, pictures_of
from lib.text import TextTokenizer
from lib.training.drafters import DrafterTrainee, overlap
from lib.training.loop import fit
from lib.training.order import BatchOrder
from lib.training.torch_state import generator

MODELS, OUT = Path("build/autoregressive"), Path("build/drafters")


def run(params: Params, name: str) -> None:
    """Trains the drafter `eagle` or `medusa`; measures on test pictures how often its drafts would be accepted.

    Raises:
        EaselError: the drafter is for a model that there is not.
    """
    settings = params.drafters
    if settings.model not in params.autoregressive.models:
        raise EaselError(
            f"params.yaml: drafters.model is {settings.model!r}, must be one of "
            f"{', '.join(params.autoregressive.models)}."
        )
    pictures = pictures_of(params, settings.model, ("train", "test"), TextTokenizer.load(TEXT))
    train, test = pictures["train"], pictures["test"]
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = autoregressive.load(MODELS / settings.model).to(device)
    if name == "eagle":
        network = Eagle(model.config, generator(params.seed, 0)).to(device)
    else:
        network = Medusa(model.config, settings.heads).to(device)
        network.start_from(model)
    trainee = DrafterTrainee(model, network, train.captions, train.tokens, settings, params.seed)
    where = training("train_drafters", params, name)
    history = fit(
        trainee,
        name="train_drafters",
        steps=settings.training.steps,
        order=BatchOrder(len(train.tokens), settings.training.batch_size, params.seed),
        checkpoint=where.checkpoint,
        fingerprint=where.fingerprint,
    )

    network.eval()
    few = test.tokens[: params.autoregressive.measured]
    found = overlap(model, network, test.captions.first(len(few)), few)  # [pictures, tokens ahead]
    random = np.random.Generator(np.random.PCG64(params.seed))
    metrics = {
        "parameters": sum(weights.numel() for weights in network.parameters()),
        "overlap": [vars(bootstrap_mean(column, random, resamples=params.evaluation.bootstrap)) for column in found.T],
        "history": history,
    }
    out = OUT / name
    shutil.rmtree(out, ignore_errors=True)
    drafters.save(network, out)
    write_json(out / "metrics.json", metrics)
