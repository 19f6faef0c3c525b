"""Stage glu/train_text: every block on the paper's own task, gaps in a text (the captions) → build/glu/text.json."""

import dataclasses
from functools import partial
from pathlib import Path

import numpy as np

from lib.data.store import Split, read_meta, write_json
from lib.hardware import use_jax_devices
from lib.models.layout import DalleMiniConfig
from lib.pipeline.stage import training
from lib.text import TextTokenizer
from lib.training import seeds as paired
from studies.glu.code.settings import Params
from studies.glu.code.tasks import SpanTask, compressed_nats, stretches, unigram_entropy
from studies.glu.code.train_variants import DATA, TEXT, network_of, recipe_of, seed_numbers, thinned, train

OUT = Path("build/glu/text.json")


def run(params: Params) -> None:
    """Trains all variants one after another; also measures how much there is to predict in the captions."""
    use_jax_devices(params.threads)  # seeds are split between them
    settings, setting = params.glu_text, params.glu_variants.setting
    text = TextTokenizer.load(TEXT)
    tasks = {split: span_task(params, text, split) for split in ("train", "test")}
    held_out = tasks["test"].held_out(settings.stretches, params.seed)
    seeds = seed_numbers(params, settings.seeds)
    report = {
        "seeds": seeds,
        "steps": settings.steps,
        "gaps": tasks["train"].gaps,
        "targets": tasks["train"].target_length,
        "caption_entropy": caption_entropy(params, text, tasks["test"]),
        "variants": {},
    }
    where = training("glu/train_text", params)
    for variant in params.glu_variants.variants:
        network = span_network(network_of(setting, variant, text, params, 1), tasks["train"])
        recipe = recipe_of(setting, settings.steps)
        trainee, _ = train(f"glu/train_text {variant}", network, seeds, tasks["train"], recipe, where.part(variant))
        measure = partial(paired.evaluate, trainee.model, batch=held_out, batch_size=setting.batch_size)
        report["variants"][variant] = {
            "nats": measure(trainee.average).tolist(),
            "training": thinned(trainee.losses),
        }
    OUT.parent.mkdir(parents=True, exist_ok=True)
    write_json(OUT, report)


def captions_of(params: Params, split: str) -> list[str]:
    """The captions of a split in the first language of the data, picture after picture: of those that models see."""
    language = read_meta(DATA)["languages"][0]
    entries = Split.open(DATA, split).captions[: params.encode.pictures]
    return [caption for entry in entries for caption in entry[language]]


def span_task(params: Params, text: TextTokenizer, split: str) -> SpanTask:
    """The captions of a split, one after another, in stretches with gaps."""
    settings = params.glu_text
    ids = text.encode(captions_of(params, split), params.text.length)
    return SpanTask(stretches(ids, text.pad_id, settings.length), text.vocabulary, settings.masked, settings.span)


def span_network(network: DalleMiniConfig, task: SpanTask) -> DalleMiniConfig:
    """The same network for texts on both sides: one vocabulary, that of the captions and the marks of gaps."""
    return dataclasses.replace(
        network,
        text_vocabulary=task.ids,
        text_length=task.input_length,
        codes=task.ids,
        image_length=task.target_length,
    )


def caption_entropy(params: Params, text: TextTokenizer, task: SpanTask) -> dict[str, float]:
    """How much there is to predict: nats a token without any context, and after a general-purpose compressor.

    `targets_unigram` is the first for the targets of the span task, marks included.
    """
    captions = captions_of(params, "test")
    ids = text.encode(captions, params.text.length)
    tokens = ids[ids != text.pad_id]
    targets = task.held_out(params.glu_text.stretches, params.seed)[1]
    return {
        "unigram": unigram_entropy(tokens),
        "compressed": compressed_nats(captions, len(tokens)),
        "targets_unigram": unigram_entropy(targets),
        "distinct": len(np.unique(ids, axis=0)) / len(ids),
    }
