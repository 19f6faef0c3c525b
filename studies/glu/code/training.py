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
    tokens: str,
    variant: str,
    seeds: Sequence[int],
    recipes: Mapping[str, Mapping[str, float]],
    text_length: int,
    codes: int,
    leave_out: Sequence[str],
    layout: Layout | None = None,
    measured: Mapping[str, Any] | None = None,
    curve: Mapping[str, Any] | None = None,
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Trains a network on the pictures of split train from every seed, on one thread, by one recipe after another.

    Args:
        setting: a `GluSetting`.
        tokens: of which image tokenizer.
        variant: the feed-forward block.
        recipes: name → steps and learning_rate.
        layout: instead of that of the setting and the block; the inner width stays the block's.
        measured: split and pictures on which the trained weights are measured.
        curve: split, pictures and points, evenly spaced, at which the averaged weights are measured on the way.

    Returns:
        as `train_all`.
    """
    use_jax_devices(1)
    text = TextTokenizer.load(TEXT)

    def task(split: str) -> ImageTask:
        return load_task(tokens, leave_out, text, text_length, split)

    pictures = task("train")
    network = network_of(setting, variant, text, text_length, codes, pictures.tokens.shape[1], layout)
    check_tokens(pictures.tokens, len(pictures), network.image_length, network.codes)
    watched = (task(curve["split"]).held_out(curve["pictures"]), curve["points"]) if curve else ()
    held_out = task(measured["split"]).held_out(measured["pictures"]) if measured else None
    return train_all(variant, network, seeds, pictures, setting, recipes, training, held_out, *watched)


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


def recipe_of(setting: Section, steps: int, learning_rate: float) -> paired.Recipe:
    """How a setting trains for `steps` at a peak learning rate."""
    names = ("batch_size", "warmup", "decay", "averaging")
    return paired.Recipe(steps=steps, learning_rate=learning_rate, **{name: getattr(setting, name) for name in names})


def train_all(
    variant: str,
    network: DalleMiniConfig,
    seeds: Sequence[int],
    task: paired.Task,
    setting: Section,
    recipes: Mapping[str, Mapping[str, float]],
    where: Training,
    held_out: paired.Batch | None = None,
    watched: paired.Batch | None = None,
    points: int = 0,
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Trains a network by every recipe from the same start, so that it is compiled once.

    Args:
        recipes: name → steps and learning_rate.
        held_out: on which the trained weights are measured.
        watched: on which they are on the way, at `points` evenly spaced steps.

    Returns:
        arrays: by <recipe>/, losses [steps, seeds]; curve [points, seeds]; nats [seeds], a target on `held_out` with
            the averaged weights, if something is held out.
        numbers: parameters and inner width of the network; measured, recipe → steps of the curve.
    """
    model, initial = paired.create(network, seeds)
    arrays, measured = {}, {}
    for name, given in recipes.items():
        recipe = recipe_of(setting, **given)
        trainee = paired.SeedsTrainee(model, initial, seeds, task, recipe, watched, points)
        train(f"{variant}, {name}", trainee, where.part(name))
        found = {"losses": trainee.losses, "curve": trainee.curve}
        if held_out is not None:
            found["nats"] = paired.evaluate(model, trainee.average, held_out, recipe.batch_size)
        arrays |= {f"{name}/{key}": array for key, array in found.items()}
        measured[name] = trainee.measured.tolist()
    for name in recipes:
        where.part(name).checkpoint.unlink(missing_ok=True)
    sizes = {"parameters": dalle_mini.parameter_count(dalle_mini.shapes(network)), "inner": network.feed_forward}
    return arrays, sizes | {"measured": measured}


def train(name: str, trainee: paired.SeedsTrainee, where: Training) -> None:
    """Trains from every seed, resuming where an interrupted run stopped."""
    recipe = trainee.recipe
    fit(
        trainee,
        name=f"{name}, {recipe.steps} steps",
        steps=recipe.steps,
        order=paired.SeedOrders(len(trainee.task), recipe.batch_size, trainee.seeds),
        checkpoint=where.checkpoint,
        fingerprint=where.fingerprint,
    )
