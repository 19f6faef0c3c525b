"""Stage sjd2/train: captions and fine image tokens → build/autoregressive/<name>/ (model.safetensors,
metrics.json)."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch

from lib.data.encoded import Encoded, encoded_splits
from lib.data.store import write_json
from lib.evidence.statistics import bootstrap_mean
from lib.models import autoregressive
from lib.models.autoregressive import Autoregressive, AutoregressiveConfig, nats
from lib.ownership import fresh
from lib.pipeline.stage import training
from lib.text import TextTokenizer
from lib.training.autoregressive import AutoregressiveTrainee
from lib.training.loop import fit
from lib.training.order import BatchOrder
from lib.weights.torch_state import generator
from studies.sjd2.code.settings import Params

DATA, TOKENS, TEXT, OUT = (
    Path("data"),
    Path("build/tokens/fine"),
    Path("build/text/tokenizer.json"),
    Path("build/autoregressive"),
)


def run(params: Params, name: str) -> None:
    """Trains the model `autoregressive.models.<name>` on the train split, measures it on val and test."""
    settings = params.autoregressive.models[name]
    text = TextTokenizer.load(TEXT)
    pictures = pictures_of(("train", "val", "test"), **params.pictures_of(name))
    train = pictures["train"]
    config = model_config(params, name, text, train.grid)
    model = Autoregressive(config, generator(params.seed, 0)).to("cuda" if torch.cuda.is_available() else "cpu")
    count = sum(weights.numel() for weights in model.parameters())
    print(f"[sjd2/train] {name}: {count / 1e6:.2f}M parameters, {len(train.tokens)} pictures", flush=True)

    trainee = AutoregressiveTrainee(model, train.captions, train.tokens, settings.training, params.seed)
    where = training("sjd2/train", params, name)
    history = fit(
        trainee,
        name="sjd2/train",
        steps=settings.training.steps,
        order=BatchOrder(len(train.tokens), settings.training.batch_size, params.seed),
        checkpoint=where.checkpoint,
        fingerprint=where.fingerprint,
    )

    model.eval()
    metrics = {"parameters": count, "pictures": len(train.tokens), "history": history}
    random = np.random.Generator(np.random.PCG64(params.seed))
    for split in ("val", "test"):
        few = pictures[split].tokens[: params.autoregressive.measured]
        own = pictures[split].captions.first(len(few))
        found = nats(model, own, few).mean(axis=1)  # [pictures]
        others = nats(model, np.roll(own, 1, axis=0), few).mean(axis=1)  # with other pictures' captions
        metrics[split] = {
            key: vars(bootstrap_mean(values, random, resamples=params.evaluation.bootstrap))
            for key, values in (("nats_per_token", found), ("caption_gain", others - found))
        }
    out = OUT / name
    fresh(out)
    autoregressive.save(model, out)
    write_json(out / "metrics.json", metrics)


def pictures_of(
    splits: Sequence[str], *, size: int, leave_out: Sequence[str], languages: Sequence[str], text_length: int
) -> dict[str, Encoded]:
    """What a model, and whatever is tuned from it, is trained on and measured with."""
    encode = partial(TextTokenizer.load(TEXT).encode, length=text_length)
    return encoded_splits(DATA, TOKENS, splits, size, leave_out, languages, encode)


def model_config(params: Params, name: str, text: TextTokenizer, grid: tuple[int, int]) -> AutoregressiveConfig:
    """The model `autoregressive.models.<name>` for pictures of `grid` tokens."""
    settings = params.autoregressive.models[name]
    return AutoregressiveConfig(
        text_vocabulary=text.vocabulary,
        text_length=params.text.length,
        text_padding=text.pad_id,
        codes=params.tokenizer.fine.codes,
        rows=grid[0],
        columns=grid[1],
        width=settings.width,
        layers=settings.layers,
        heads=settings.heads,
        feed_forward=settings.feed_forward,
    )
