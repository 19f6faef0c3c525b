"""Stage dalle_mini/train: captions and image tokens → build/dalle_mini/<name>/ (model.safetensors, metrics.json)."""

from functools import partial
from pathlib import Path

import jax
import numpy as np

from lib.data.captions import Captions, check_tokens
from lib.data.encoded import chosen_languages
from lib.data.selection import kept
from lib.data.store import Split, read_meta, write_json
from lib.errors import EaselError
from lib.evidence.statistics import bootstrap_mean
from lib.hardware import devices_that_divide, use_jax_devices
from lib.models import dalle_mini
from lib.models.layout import DalleMiniConfig
from lib.pipeline.stage import training
from lib.text import TextTokenizer
from lib.training.dalle_mini import DalleMiniTrainee, evaluate
from lib.training.loop import fit
from lib.training.mesh import agree, gather, is_first, join_processes, make_mesh
from lib.training.optimizers import optimizer
from lib.training.order import BatchOrder
from studies.dalle_mini.code.settings import Params

DATA, TOKENS, TEXT, OUT = (
    Path("data"),
    Path("build/tokens"),
    Path("build/text/tokenizer.json"),
    Path("build/dalle_mini"),
)
COMPARED = 500  # test pictures whose likelihood is also measured with other pictures' captions


def run(params: Params, name: str) -> None:
    """Trains on the train split with the captions of `dalle_mini.languages.<name>`, measures on val and test."""
    settings, steps = params.dalle_mini, params.dalle_mini.steps[name]
    use_devices(params)
    text = TextTokenizer.load(TEXT)
    encode = partial(text.encode, length=params.text.length)
    pictures = {split: load_pictures(params, split) for split in ("train", "val", "test")}
    tokens = {split: found for split, (found, _) in pictures.items()}
    entries = {split: found for split, (_, found) in pictures.items()}
    languages = chosen_languages(settings.languages[name], read_meta(DATA)["languages"])
    captions = {
        split: Captions([{language: entry[language] for language in languages} for entry in entries[split]], encode)
        for split in tokens
    }
    shape = model_config(params, text.vocabulary, text.pad_id, tokens["train"].shape[1])
    model, initial = dalle_mini.create(shape, params.seed)
    for split in tokens:
        check_tokens(tokens[split], len(captions[split]), model.config.image_length, model.config.codes)
    count = dalle_mini.parameter_count(initial)
    print(f"[dalle_mini/train] {name}: {count / 1e6:.2f}M parameters, {len(tokens['train'])} pictures", flush=True)

    mesh = make_mesh(model=settings.model_devices)
    trainee = DalleMiniTrainee(
        model,
        initial,
        captions["train"],
        tokens["train"],
        optimizer(
            settings.optimizer,
            settings.learning_rate,
            settings.warmup,
            steps,
            settings.decay,
            settings.adam_learning_rate if settings.optimizer == "muon" else None,
            mesh,
        ),
        settings.caption_dropout,
        params.seed,
        mesh,
        settings.accumulation,
    )
    where = training("dalle_mini/train", params, name)
    history = fit(
        trainee,
        name="dalle_mini/train",
        steps=steps,
        order=BatchOrder(len(tokens["train"]), settings.batch_size, params.seed),
        checkpoint=where.checkpoint,
        fingerprint=where.fingerprint,
        first=is_first(),
        agree=agree,
    )

    metrics = {
        "tokenizer": settings.tokens,
        "parameters": count,
        "languages": languages,
        "unigram_nats": unigram_nats(tokens["train"], tokens["test"], model.config.codes),
    }
    measure = partial(evaluate, model, trainee.params, batch_size=settings.batch_size, mesh=trainee.mesh)
    for split in ("val", "test"):
        nats, top1 = measure(captions[split].first(), tokens[split])
        random = np.random.Generator(np.random.PCG64(params.seed))
        metrics[split] = {
            name: interval(values, random, params) for name, values in (("nats_per_token", nats), ("top1", top1))
        }
    metrics["caption_gain"] = {}
    for language in read_meta(DATA)["languages"]:
        few = tokens["test"][:COMPARED]
        own = encode([entry[language][0] for entry in entries["test"][: len(few)]])
        gains = measure(np.roll(own, 1, axis=0), few)[0] - measure(own, few)[0]
        metrics["caption_gain"][language] = interval(gains, np.random.Generator(np.random.PCG64(params.seed)), params)
    weights = gather(trainee.params)
    if is_first():
        out = OUT / name
        out.mkdir(parents=True, exist_ok=True)
        dalle_mini.save(out / "model.safetensors", model.config, weights)
        write_json(out / "metrics.json", metrics | {"history": history})


def use_devices(params: Params) -> None:
    """Joins other processes, if there are any; one CPU device per core, as far as they split a batch evenly.

    Must come before anything else of JAX.

    Raises:
        EaselError: GPUs, or the devices of all processes, do not divide the batch.
    """
    settings = params.dalle_mini
    use_jax_devices(
        devices_that_divide(params.threads, settings.batch_size, settings.accumulation, settings.model_devices)
    )
    join_processes()
    if jax.device_count() % settings.model_devices:
        raise EaselError(
            f"params.yaml: dalle_mini.model_devices = {settings.model_devices} must divide the number of devices, "
            f"{jax.device_count()}."
        )
    parts = settings.accumulation * jax.device_count() // settings.model_devices
    if settings.batch_size % parts:
        raise EaselError(f"params.yaml: dalle_mini.batch_size must be a multiple of accumulation × devices = {parts}.")


def model_config(params: Params, vocabulary: int, padding: int, image_length: int) -> DalleMiniConfig:
    """The network that section dalle_mini describes, for captions of `vocabulary` ids filled up with `padding`."""
    settings = params.dalle_mini
    return DalleMiniConfig(
        text_vocabulary=vocabulary,
        text_length=params.text.length,
        text_padding=padding,
        codes=getattr(params.tokenizer, params.dalle_mini.tokens).codes,
        image_length=image_length,
        width=settings.width,
        encoder_layers=settings.encoder_layers,
        decoder_layers=settings.decoder_layers,
        heads=settings.heads,
        feed_forward=settings.feed_forward,
        layout=settings.layout,
    )


def interval(values: np.ndarray, random: np.random.Generator, params: Params) -> dict[str, float]:
    """Mean and 95 % bootstrap interval, as it stands in metrics.json."""
    found = bootstrap_mean(values, random, resamples=params.evaluation.bootstrap)
    return {"value": found.value, "low": found.low, "high": found.high}


def load_pictures(params: Params, split: str) -> tuple[np.ndarray, list[dict[str, list[str]]]]:
    """The encoded pictures of a split that the model sees.

    Returns:
        tokens in reading order, uint16 [N, image_length], and the N captions by language.
    """
    name = params.dalle_mini.tokens
    path = TOKENS / name / f"{split}_64.npy"
    if not path.is_file():
        raise EaselError(f"{path} does not exist; run `dvc repro`, which makes it first.")
    grids, source = np.load(path), Split.open(DATA, split)  # [N, h, w]
    numbers = kept(source, getattr(params.tokenizer, name).leave_out, len(grids))
    return grids.reshape(len(grids), -1)[numbers], [source.captions[number] for number in numbers]


def unigram_nats(train: np.ndarray, test: np.ndarray, codes: int) -> float:
    """Cross-entropy of `test` under the code frequencies of `train` (each count + 1): what no context can beat."""
    counts = np.bincount(train.ravel(), minlength=codes) + 1.0
    return float(-np.log(counts / counts.sum())[test].mean())
