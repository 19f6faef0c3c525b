"""What the trainings of this study share – what is learned, by which network, how – and one on pictures, as a part.

Parts are known by the modules that they import (lib/pipeline/parts.py). That of the settings is not among them: a
training is given its own, a `GluSetting`, and the others may change without it.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from lib.config_tree import Section
from lib.data.captions import Captions, check_tokens
from lib.data.encoded import encoded_pictures
from lib.hardware import use_jax_devices
from lib.models import dalle_mini
from lib.models.layout import BLOCKS, DalleMiniConfig, Layout, matched_width
from lib.pipeline.stage import Training
from lib.text import TextTokenizer
from lib.training import seeds as paired
from lib.training.loop import fit
from studies.glu.code.tasks import ImageTask

DATA, TOKENS, TEXT = Path("data"), Path("build/tokens"), Path("build/text/tokenizer.json")
PICTURE = 64  # pixels a side


def trained(
    training: Training,
    *,
    setting: Section,
    variant: str,
    seeds: Sequence[int],
    steps: int,
    text_length: int,
    codes: int,
    leave_out: Sequence[str],
    layout: Layout | None = None,
    measured: Mapping[str, Any] | None = None,
    curve: Mapping[str, Any] | None = None,
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Trains a network on the pictures of split train from every seed, on one thread.

    Args:
        setting: a `GluSetting`.
        variant: the feed-forward block.
        layout: instead of that of the setting and the block; the inner width stays the block's.
        measured: split and pictures on which the trained weights are measured.
        curve: split, pictures and points, evenly spaced, at which the averaged weights are measured on the way.

    Returns:
        as `results`.
    """
    use_jax_devices(1)
    text = TextTokenizer.load(TEXT)

    def task(split: str) -> ImageTask:
        return load_task(setting.tokens, leave_out, text, text_length, split)

    pictures = task("train")
    network = network_of(setting, variant, text, text_length, codes, pictures.tokens.shape[1], layout)
    check_tokens(pictures.tokens, len(pictures), network.image_length, network.codes)
    watched = (task(curve["split"]).held_out(curve["pictures"]), curve["points"]) if curve else ()
    trainee = train(variant, network, seeds, pictures, recipe_of(setting, steps), training, *watched)
    held_out = task(measured["split"]).held_out(measured["pictures"]) if measured else None
    return results(trainee, network, held_out)


def load_task(tokens: str, leave_out: Sequence[str], text: TextTokenizer, text_length: int, split: str) -> ImageTask:
    """The pictures of a split as tokens of the tokenizer `tokens`, and their captions in all languages.

    Raises:
        EaselError: they are not encoded yet.
    """
    grids, entries = encoded_pictures(DATA, TOKENS / tokens, split, PICTURE, leave_out)
    captions = Captions(entries, partial(text.encode, length=text_length))
    return ImageTask(captions, grids.reshape(len(grids), -1))  # [N, h, w] → [N, h · w]


def network_of(
    setting: Section,
    variant: str,
    text: TextTokenizer,
    text_length: int,
    codes: int,
    image_length: int,
    layout: Layout | None = None,
) -> DalleMiniConfig:
    """The network of a setting with the feed-forward block `variant`, as wide as has the parameters of the others."""
    gated, activation = BLOCKS[variant]
    return DalleMiniConfig(
        text_vocabulary=text.vocabulary,
        text_length=text_length,
        text_padding=text.pad_id,
        codes=codes,
        image_length=image_length,
        width=setting.width,
        encoder_layers=setting.encoder_layers,
        decoder_layers=setting.decoder_layers,
        heads=setting.heads,
        feed_forward=matched_width(setting.feed_forward, setting.multiple) if gated else setting.feed_forward,
        layout=layout
        or Layout(gated=gated, activation=activation, norm_placement=setting.norm_placement, init_std=setting.init_std),
    )


def recipe_of(setting: Section, steps: int) -> paired.Recipe:
    """How a setting trains for `steps`."""
    names = ("batch_size", "learning_rate", "warmup", "decay", "averaging")
    return paired.Recipe(steps=steps, **{name: getattr(setting, name) for name in names})


def train(
    name: str,
    network: DalleMiniConfig,
    seeds: Sequence[int],
    task: paired.Task,
    recipe: paired.Recipe,
    where: Training,
    held_out: paired.Batch | None = None,
    points: int = 0,
) -> paired.SeedsTrainee:
    """Trains a network from every seed, resuming where an interrupted run stopped."""
    model, initial = paired.create(network, seeds)
    trainee = paired.SeedsTrainee(model, initial, seeds, task, recipe, held_out, points)
    fit(
        trainee,
        name=f"{name}, {recipe.steps} steps",
        steps=recipe.steps,
        order=paired.SeedOrders(len(task), recipe.batch_size, seeds),
        checkpoint=where.checkpoint,
        fingerprint=where.fingerprint,
    )
    return trainee


def results(
    trainee: paired.SeedsTrainee, network: DalleMiniConfig, held_out: paired.Batch | None
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """What a training leaves.

    Returns:
        arrays: losses [steps, seeds]; curve [points, seeds]; averaged and last [seeds], nats a target on `held_out`
            with the averaged weights and with those after the last step, if something is held out.
        numbers: parameters and inner width of the network; measured, the steps of the curve; cpu_minutes, the
            processor time of all steps.
    """
    arrays = {"losses": trainee.losses, "curve": trainee.curve}
    if held_out is not None:
        for name, weights in (("averaged", trainee.average), ("last", trainee.params)):
            arrays[name] = paired.evaluate(trainee.model, weights, held_out, trainee.recipe.batch_size)
    numbers = {
        "parameters": dalle_mini.parameter_count(dalle_mini.shapes(network)),
        "inner": network.feed_forward,
        "measured": trainee.measured.tolist(),
        # Of all steps as the median one, since the first also compiles.
        "cpu_minutes": float(np.median(trainee.cpu_seconds)) * trainee.recipe.steps / 60,
    }
    return arrays, numbers
