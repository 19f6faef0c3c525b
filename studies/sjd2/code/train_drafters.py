"""Stage sjd2/train_drafters: drafters for the first training of a model → build/sjd2/drafters/<name>/
(model.safetensors, metrics.json)."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lib.data.store import write_json
from lib.evidence.statistics import bootstrap_mean
from lib.models import autoregressive
from lib.models.drafters import Eagle, Medusa
from lib.ownership import fresh
from lib.pipeline import parts
from lib.pipeline.parts import Part, Result
from lib.pipeline.stage import Training
from lib.training.drafters import DrafterTrainee, overlap
from lib.training.loop import fit
from lib.training.order import BatchOrder
from lib.training.settings import DraftersParams
from lib.weights import checkpoint
from lib.weights.torch_state import generator, module_arrays
from studies.sjd2.code.material import DRAFTERS, MODELS, folder, inputs_of, pictures_of
from studies.sjd2.code.settings import Params

NAMES = ("eagle", "medusa")


def run(params: Params) -> None:
    """Trains the drafters side by side; measures on test pictures how often their drafts would be accepted."""
    settings, name = params.drafters, params.drafters.model
    model, words, untuned = params.autoregressive.models[name], params.words(name), folder(MODELS, name, 0)
    listed = [
        Part(
            name=kind,
            work=trained,
            arguments={
                "kind": kind,
                "settings": settings,
                "untuned": str(untuned),
                "words": words | {"size": model.pictures},
                "measured": params.autoregressive.measured,
                "resamples": params.evaluation.bootstrap,
                "seed": params.seed_of(kind, 0),
            },
            inputs=[*inputs_of(words["part"], words["tokenizer"]), untuned],
        )
        for kind in NAMES
    ]
    paths = parts.run("sjd2/train_drafters", listed)
    fresh(DRAFTERS)
    for kind, path in paths.items():
        arrays, numbers = checkpoint.load(path)
        checkpoint.save(DRAFTERS / kind / "model.safetensors", arrays, numbers["meta"])
        write_json(DRAFTERS / kind / "metrics.json", numbers["metrics"])


def trained(
    training: Training,
    *,
    kind: str,
    settings: DraftersParams,
    untuned: str,
    words: Mapping[str, Any],
    measured: int,
    resamples: int,
    seed: int,
) -> Result:
    """Trains and measures one drafter.

    Args:
        kind: of `NAMES`.
        untuned: the folder of the model that it drafts for; words: of `pictures_of`.
        measured: test pictures that it is measured on; resamples: of the bootstrap.
    """
    pictures = pictures_of(("train", "test"), **words)
    train, test = pictures["train"], pictures["test"]
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = autoregressive.load(Path(untuned)).to(device)
    if kind == "eagle":
        network: Eagle | Medusa = Eagle(model.config, generator(seed, 0))
    else:
        network = Medusa(model.config, settings.heads)
        network.start_from(model)
    history = fit(
        DrafterTrainee(model, network.to(device), train.captions, train.tokens, settings, seed),
        name=f"train_drafters {kind}",
        steps=settings.training.steps,
        order=BatchOrder(len(train.tokens), settings.training.batch_size, seed),
        checkpoint=training.checkpoint,
        fingerprint=training.fingerprint,
    )
    network.eval()
    few = test.tokens[:measured]
    found = overlap(model, network, test.captions.first(len(few)), few)  # [pictures, tokens ahead]
    random = np.random.Generator(np.random.PCG64(seed))
    metrics = {
        "parameters": sum(weights.numel() for weights in network.parameters()),
        "overlap": [vars(bootstrap_mean(column, random, resamples=resamples)) for column in found.T],
        "history": history,
    }
    meta = {"config": asdict(network.config)} | ({"heads": settings.heads} if kind == "medusa" else {})
    return module_arrays(network), {"meta": meta, "metrics": metrics}
