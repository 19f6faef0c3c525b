"""A training on captions with gaps, as a part; see studies/glu/code/training.py."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lib.config_tree import Section
from lib.data.store import Split, read_meta
from lib.hardware import use_jax_devices
from lib.models.layout import DalleMiniConfig
from lib.pipeline.stage import Training
from lib.text import TextTokenizer
from studies.glu.code.tasks import SpanTask, stretches
from studies.glu.code.training import DATA, TEXT, network_of, train_all


def trained(
    training: Training,
    *,
    setting: Section,
    variant: str,
    seeds: Sequence[int],
    recipes: Mapping[str, Mapping[str, float]],
    length: int,
    masked: float,
    span: float,
    pictures: int,
    text_length: int,
    measured: Mapping[str, Any],
    seed: int,
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Trains a network on the captions of split train from every seed, on one thread, by one recipe after another.

    Args:
        setting: a `GluSetting`.
        variant: the feed-forward block.
        recipes: name → steps and learning_rate.
        pictures, text_length, length, masked, span: as of `span_task`.
        measured: split and stretches on which the trained weights are measured.
        seed: of the gaps there.

    Returns:
        as `studies.glu.code.training.train_all`.
    """
    use_jax_devices(1)
    text = TextTokenizer.load(TEXT)
    splits = ("train", measured["split"])
    tasks = {split: span_task(text, split, pictures, text_length, length, masked, span) for split in splits}
    network = span_network(network_of(setting, variant, text, text_length, 1, 1), tasks["train"])
    held_out = tasks[measured["split"]].held_out(measured["stretches"], seed)
    return train_all(variant, network, seeds, tasks["train"], setting, recipes, training, held_out)


def captions_of(split: str, pictures: int) -> list[str]:
    """The captions of a split in the first language of the data, picture after picture: of the first `pictures`."""
    language = read_meta(DATA)["languages"][0]
    entries = Split.open(DATA, split).captions[:pictures]
    return [caption for entry in entries for caption in entry[language]]


def span_task(
    text: TextTokenizer, split: str, pictures: int, text_length: int, length: int, masked: float, span: float
) -> SpanTask:
    """The captions of a split, one after another, in stretches with gaps.

    Args:
        pictures: as of `captions_of`.
        text_length: tokens of a caption, at most.
        length: tokens of a stretch.
        masked, span: as of `SpanTask`.
    """
    ids = text.encode(captions_of(split, pictures), text_length)
    return SpanTask(stretches(ids, text.pad_id, length), text.vocabulary, masked, span)


def span_network(network: DalleMiniConfig, task: SpanTask) -> DalleMiniConfig:
    """The same network for texts on both sides: one vocabulary, that of the captions and the marks of gaps."""
    return dataclasses.replace(
        network,
        text_vocabulary=task.ids,
        text_length=task.input_length,
        codes=task.ids,
        image_length=task.target_length,
    )
