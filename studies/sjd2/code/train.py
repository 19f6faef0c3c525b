"""Stage sjd2/train: captions and image tokens → build/sjd2/models/<name>/<training>/ (model.safetensors, metrics.json).

A model is trained on small pictures first, whose tokens are few, then goes on on larger ones.
"""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lib.config_tree import Section
from lib.data.store import write_json
from lib.evidence.statistics import bootstrap_mean
from lib.models.autoregressive import Autoregressive, AutoregressiveConfig, nats
from lib.models.autoregressive_copies import enlarged
from lib.ownership import fresh
from lib.pipeline import parts
from lib.pipeline.parts import Part, Result
from lib.pipeline.stage import Training
from lib.text import TextTokenizer
from lib.training.autoregressive import AutoregressiveTrainee
from lib.training.loop import fit
from lib.training.order import BatchOrder
from lib.weights import checkpoint
from lib.weights.torch_state import generator, load_module, module_arrays
from studies.sjd2.code.material import MODELS, TEXT, folder, inputs_of, pictures_of
from studies.sjd2.code.settings import Params


def run(params: Params) -> None:
    """Trains all models from all their seeds on the train split, one size of pictures after another, side by side."""
    paths: dict[tuple[str, int], Path] = {}
    for size in sorted({one.pictures for model in params.autoregressive.models.values() for one in model.trainings}):
        listed = {
            (name, number): part_of(params, name, number, size, paths.get((name, number)))
            for name, model in params.autoregressive.models.items()
            if size in {one.pictures for one in model.trainings}
            for number in range(model.seeds)
        }
        found = parts.run(f"sjd2/train_{size}", list(listed.values()))
        paths |= {key: found[part.name] for key, part in listed.items()}
    fresh(MODELS)
    for (name, number), path in paths.items():
        arrays, numbers = checkpoint.load(path)
        out = folder(MODELS, name, number)
        checkpoint.save(out / "model.safetensors", arrays, {"config": numbers["config"]})
        write_json(out / "metrics.json", numbers["metrics"])


def part_of(params: Params, name: str, number: int, size: int, start: Path | None) -> Part:
    """One training of a model on pictures of one size.

    Args:
        start: what its training on smaller pictures has left; None if there is none.
    """
    model, words = params.autoregressive.models[name], params.words(name)
    config = model_config(params, name, TextTokenizer.load(TEXT), grid_of(params, name, size))
    descent = next(one for one in model.trainings if one.pictures == size)
    return Part(
        name=f"{name} {number}",
        work=trained,
        arguments={
            "config": asdict(config),
            "descent": descent,
            "start": str(start or ""),
            "measured": params.autoregressive.measured,
            "resamples": params.evaluation.bootstrap,
            "seed": params.seed_of(name, number),
            "words": words,
        },
        inputs=[*inputs_of(words["part"], words["tokenizer"]), *([start] if start else [])],
        size=descent.steps * descent.batch_size * config.length * model.layers * model.width,
    )


def grid_of(params: Params, name: str, size: int) -> tuple[int, int]:
    """Rows and columns of tokens of pictures of one size."""
    side = size // params.stride(name)
    return side, side


def model_config(params: Params, name: str, text: TextTokenizer, grid: tuple[int, int]) -> AutoregressiveConfig:
    """The model `autoregressive.models.<name>` for pictures of `grid` tokens."""
    settings = params.autoregressive.models[name]
    return AutoregressiveConfig(
        text_vocabulary=text.vocabulary,
        text_length=params.text.length,
        text_padding=text.pad_id,
        codes=params.codes(name),
        rows=grid[0],
        columns=grid[1],
        width=settings.width,
        layers=settings.layers,
        heads=settings.heads,
        feed_forward=settings.feed_forward,
    )


def trained(
    training: Training,
    *,
    config: dict[str, Any],
    descent: Section,
    start: str,
    measured: int,
    resamples: int,
    seed: int,
    words: dict[str, Any],
) -> Result:
    """Trains one model on pictures of one size, and measures it on val and test.

    Args:
        config: of the network, an `AutoregressiveConfig`.
        descent: a `SizedTrainingParams`.
        start: the file of the same model trained on smaller pictures, "" for a new one.
        measured: pictures of a split that losses are measured on; resamples: of their bootstrap.
        words: of `pictures_of`.

    Returns:
        its weights; its configuration and metrics.
    """
    pictures, sizes = pictures_of(("train", "val", "test"), descent.pictures, **words), AutoregressiveConfig(**config)
    train = pictures["train"]
    if start:
        arrays, numbers = checkpoint.load(Path(start))
        small = Autoregressive(AutoregressiveConfig(**numbers["config"]), torch.Generator())
        load_module(small, arrays)
        network = enlarged(small, sizes.rows, sizes.columns)
    else:
        network = Autoregressive(sizes, generator(seed, 0))
    network.to("cuda" if torch.cuda.is_available() else "cpu")
    history = fit(
        AutoregressiveTrainee(network, train.captions, train.tokens, descent, seed),
        name="train",
        steps=descent.steps,
        order=BatchOrder(len(train.tokens), descent.batch_size, seed),
        checkpoint=training.checkpoint,
        fingerprint=training.fingerprint,
    )
    network.eval()
    count = sum(weights.numel() for weights in network.parameters())
    metrics: dict[str, Any] = {"parameters": count, "pictures": len(train.tokens), "history": history}
    random = np.random.Generator(np.random.PCG64(seed))
    for split in ("val", "test"):
        few = pictures[split].tokens[:measured]
        own = pictures[split].captions.first(len(few))
        found = nats(network, own, few).mean(axis=1)  # [pictures]
        others = nats(network, np.roll(own, 1, axis=0), few).mean(axis=1)  # with other pictures' captions
        metrics[split] = {
            key: vars(bootstrap_mean(values, random, resamples=resamples))
            for key, values in (("nats_per_token", found), ("caption_gain", others - found))
        }
    return module_arrays(network), {"config": asdict(network.config), "metrics": metrics}
