"""Stage train_dalle_mini: captions and image tokens → build/dalle_mini/ (model.safetensors, metrics.json)."""

from pathlib import Path

import jax
import numpy as np

from lib.config import Params
from lib.data.store import Split, write_json
from lib.errors import EaselError
from lib.evidence.statistics import bootstrap_mean
from lib.models import dalle_mini
from lib.pipeline.stage import training
from lib.text import TextTokenizer
from lib.training.dalle_mini import Captions, DalleMiniTrainee, adamw, check_tokens, evaluate
from lib.training.loop import fit
from lib.training.order import BatchOrder

DATA, TOKENS, TEXT, OUT = (
    Path("data"),
    Path("build/tokens"),
    Path("build/text/tokenizer.json"),
    Path("build/dalle_mini"),
)


def run(params: Params) -> None:
    """Trains on the train split, measures on val and test."""
    settings = params.dalle_mini
    if settings.batch_size % params.threads:
        raise EaselError(f"params.yaml: dalle_mini.batch_size must be a multiple of threads = {params.threads}.")
    jax.config.update("jax_num_cpu_devices", params.threads)  # a batch is split between them
    text = TextTokenizer.load(TEXT)
    tokens = {split: load_tokens(split) for split in ("train", "val", "test")}
    captions = {
        split: Captions(
            Split.open(DATA, split).captions[: len(grids)], lambda texts: text.encode(texts, params.text.length)
        )
        for split, grids in tokens.items()
    }
    config = dalle_mini.DalleMiniConfig(
        text_vocabulary=text.vocabulary,
        text_length=params.text.length,
        text_padding=text.pad_id,
        codes=params.tokenizer.codes,
        image_length=tokens["train"].shape[1],
        width=settings.width,
        encoder_layers=settings.encoder_layers,
        decoder_layers=settings.decoder_layers,
        heads=settings.heads,
        feed_forward=settings.feed_forward,
    )
    model, initial = dalle_mini.create(config, params.seed)
    for split in tokens:
        check_tokens(tokens[split], model, len(captions[split]))
    count = dalle_mini.parameter_count(initial)
    print(f"[train_dalle_mini] {count / 1e6:.2f}M parameters, {len(tokens['train'])} pictures", flush=True)

    optimizer = adamw(settings.learning_rate, settings.warmup, settings.steps)
    trainee = DalleMiniTrainee(
        model, initial, captions["train"], tokens["train"], optimizer, settings.caption_dropout, params.seed
    )
    where = training("train_dalle_mini", params)
    history = fit(
        trainee,
        name="train_dalle_mini",
        steps=settings.steps,
        order=BatchOrder(len(tokens["train"]), settings.batch_size, params.seed),
        checkpoint=where.checkpoint,
        fingerprint=where.fingerprint,
    )

    metrics = {"parameters": count, "unigram_nats": unigram_nats(tokens["train"], tokens["test"], config.codes)}
    for split in ("val", "test"):
        nats, top1 = evaluate(model, trainee.params, captions[split].first(), tokens[split], settings.batch_size)
        generator = np.random.Generator(np.random.PCG64(params.seed))
        intervals = {
            name: bootstrap_mean(values, generator, resamples=params.evaluation.bootstrap)
            for name, values in (("nats_per_token", nats), ("top1", top1))
        }
        metrics[split] = {
            name: {"value": interval.value, "low": interval.low, "high": interval.high}
            for name, interval in intervals.items()
        }
    OUT.mkdir(parents=True, exist_ok=True)
    dalle_mini.save(OUT / "model.safetensors", config, jax.device_get(trainee.params))
    write_json(OUT / "metrics.json", metrics | {"history": history})


def load_tokens(split: str) -> np.ndarray:
    """The image tokens of a split as sequences in reading order, uint16 [N, image_length]."""
    path = TOKENS / f"{split}_64.npy"
    if not path.is_file():
        raise EaselError(f"{path} does not exist; run `dvc repro`, which makes it first.")
    grids = np.load(path)  # [N, 16, 16]
    return grids.reshape(len(grids), -1)


def unigram_nats(train: np.ndarray, test: np.ndarray, codes: int) -> float:
    """Cross-entropy of `test` under the code frequencies of `train` (each count + 1): what no context can beat."""
    counts = np.bincount(train.ravel(), minlength=codes) + 1.0
    return float(-np.log(counts / counts.sum())[test].mean())
