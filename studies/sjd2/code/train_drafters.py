"""Stage sjd2/train_drafters: drafters for an autoregressive model, weights and metrics → build/drafters/<name>/."""

from pathlib import Path

import numpy as np
import torch

from lib.data.encoded import Encoded
from lib.data.store import write_json
from lib.errors import EaselError
from lib.evidence.statistics import bootstrap_mean
from lib.models import autoregressive, drafters
from lib.models.autoregressive import Autoregressive
from lib.models.drafters import Eagle, Medusa
from lib.ownership import fresh
from lib.pipeline.stage import training
from lib.training.drafters import DrafterTrainee, overlap
from lib.training.loop import fit
from lib.training.order import BatchOrder
from lib.weights.torch_state import generator
from studies.sjd2.code.settings import Params
from studies.sjd2.code.train import pictures_of

MODELS, OUT = Path("build/autoregressive"), Path("build/drafters")


def run(params: Params) -> None:
    """Trains the drafters `eagle` and `medusa`; measures on test pictures how often their drafts would be accepted.

    Raises:
        EaselError: the drafters are for a model that there is not.
    """
    settings = params.drafters
    if settings.model not in params.autoregressive.models:
        raise EaselError(
            f"params.yaml: drafters.model is {settings.model!r}, must be one of "
            f"{', '.join(params.autoregressive.models)}."
        )
    pictures = pictures_of(("train", "test"), **params.pictures_of(settings.model))
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = autoregressive.load(MODELS / settings.model).to(device)
    medusa = Medusa(model.config, settings.heads)
    medusa.start_from(model)
    for name, network in (("eagle", Eagle(model.config, generator(params.seed, 0))), ("medusa", medusa)):
        _train(params, name, model, network.to(device), pictures["train"], pictures["test"])


def _train(
    params: Params, name: str, model: Autoregressive, network: Eagle | Medusa, train: Encoded, test: Encoded
) -> None:
    """Trains and measures one drafter, and writes it."""
    settings = params.drafters
    trainee = DrafterTrainee(model, network, train.captions, train.tokens, settings, params.seed)
    where = training("sjd2/train_drafters", params).part(name)
    history = fit(
        trainee,
        name=f"sjd2/train_drafters {name}",
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
    fresh(out)
    drafters.save(network, out)
    write_json(out / "metrics.json", metrics)
