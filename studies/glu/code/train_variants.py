"""Stage glu/train_variants: one feed-forward block, every seed, both lengths → build/glu/variants/<name>.json."""

from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np

from lib.data.captions import Captions, check_tokens
from lib.data.encoded import encoded_pictures
from lib.data.store import write_json
from lib.hardware import use_jax_devices
from lib.models import dalle_mini
from lib.models.layout import BLOCKS, DalleMiniConfig, Layout, matched_width
from lib.pipeline.stage import Training, training
from lib.text import TextTokenizer
from lib.training import seeds as paired
from lib.training.loop import fit
from studies.glu.code.settings import GluSetting, Params
from studies.glu.code.tasks import ImageTask

DATA, TOKENS, TEXT = Path("data"), Path("build/tokens"), Path("build/text/tokenizer.json")
OUT = Path("build/glu/variants")
PICTURE = 64  # pixels a side
LOSSES = 60  # points of a training curve


def run(params: Params, variant: str) -> None:
    """Trains the variant at both lengths, the long one with a schedule of its own, and measures it on test."""
    use_jax_devices(params.threads)  # seeds are split between them
    settings = params.glu_variants
    setting = settings.setting
    text = TextTokenizer.load(TEXT)
    tasks = {split: load_task(params, setting, text, split) for split in ("train", "val", "test")}
    network = network_of(setting, variant, text, params, tasks["train"].tokens.shape[1])
    seeds = seed_numbers(params, settings.seeds)
    report = {"parameters": dalle_mini.parameter_count(dalle_mini.shapes(network)), "inner": network.feed_forward}
    where = training("glu/train_variants", params, variant)
    for length, steps in settings.steps.items():
        trainee, _ = train(
            f"glu/train_variants {variant}, {length}",
            network,
            seeds,
            tasks["train"],
            recipe_of(setting, steps),
            where.part(length),
            tasks["val"].held_out(settings.curve_pictures),
            settings.curve_points,
        )
        held_out = tasks["test"].held_out(settings.pictures)
        report[length] = {
            "steps": steps,
            "nats": paired.evaluate(trainee.model, trainee.average, held_out, setting.batch_size).tolist(),
            "curve": {"step": trainee.measured.tolist(), "nats": trainee.curve.tolist()},  # [points, seeds]
            "training": thinned(trainee.losses),
        }
    OUT.mkdir(parents=True, exist_ok=True)
    write_json(OUT / f"{variant}.json", report | {"seeds": seeds})


def seed_numbers(params: Params, count: int) -> list[int]:
    """The seeds of all runs that are compared with each other."""
    return list(range(params.seed, params.seed + count))


def load_task(params: Params, setting: GluSetting, text: TextTokenizer, split: str) -> ImageTask:
    """The encoded pictures of a split and their captions in all languages.

    Raises:
        EaselError: they are not encoded yet.
    """
    leave_out = getattr(params.tokenizer, setting.tokens).leave_out
    grids, entries = encoded_pictures(DATA, TOKENS / setting.tokens, split, PICTURE, leave_out)
    captions = Captions(entries, partial(text.encode, length=params.text.length))
    return ImageTask(captions, grids.reshape(len(grids), -1))  # [N, h, w] → [N, h · w]


def network_of(
    setting: GluSetting, variant: str, text: TextTokenizer, params: Params, image_length: int
) -> DalleMiniConfig:
    """The network of a setting with the feed-forward block `variant`, as wide as has the parameters of the others."""
    gated, activation = BLOCKS[variant]
    layout = Layout(
        gated=gated, activation=activation, norm_placement=setting.norm_placement, init_std=setting.init_std
    )
    return DalleMiniConfig(
        text_vocabulary=text.vocabulary,
        text_length=params.text.length,
        text_padding=text.pad_id,
        codes=getattr(params.tokenizer, setting.tokens).codes,
        image_length=image_length,
        width=setting.width,
        encoder_layers=setting.encoder_layers,
        decoder_layers=setting.decoder_layers,
        heads=setting.heads,
        feed_forward=matched_width(setting.feed_forward, setting.multiple) if gated else setting.feed_forward,
        layout=layout,
    )


def recipe_of(setting: GluSetting, steps: int) -> paired.Recipe:
    """How a setting trains for `steps`."""
    names = ("batch_size", "learning_rate", "warmup", "decay", "averaging")
    return paired.Recipe(steps=steps, **{name: getattr(setting, name) for name in names})


def train(
    name: str,
    network: DalleMiniConfig,
    seeds: list[int],
    task: paired.Task,
    recipe: paired.Recipe,
    where: Training,
    held_out: paired.Batch | None = None,
    points: int = 0,
) -> tuple[paired.SeedsTrainee, list[dict[str, float]]]:
    """Trains a network from every seed, resuming where an interrupted run stopped; the trainee and its history."""
    model, initial = paired.create(network, seeds)
    if isinstance(task, ImageTask):
        check_tokens(task.tokens, len(task), network.image_length, network.codes)
    trainee = paired.SeedsTrainee(model, initial, seeds, task, recipe, held_out, points)
    history = fit(
        trainee,
        name=name,
        steps=recipe.steps,
        order=paired.SeedOrders(len(task), recipe.batch_size, seeds),
        checkpoint=where.checkpoint,
        fingerprint=where.fingerprint,
    )
    return trainee, history


def thinned(losses: np.ndarray, points: int = LOSSES) -> dict[str, list]:
    """Losses [steps, seeds] as means over about `points` equal stretches: {"step": […], "nats": [[…]]}."""
    ends = np.unique(np.linspace(0, len(losses), points + 1).round().astype(int))
    means = [losses[start:end].mean(axis=0).tolist() for start, end in pairwise(ends)]
    return {"step": ends[1:].tolist(), "nats": means}
