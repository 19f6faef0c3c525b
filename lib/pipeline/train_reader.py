"""Stage train_reader: trains the scene reader and measures it on real held-out pictures → build/reader/."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from lib.config import Params, ReaderParams
from lib.data.store import Split, read_meta, to_float, write_json
from lib.metrics.scene_accuracy import reader_quality
from lib.models import reader as readers
from lib.models.reader import Reader, ReaderConfig
from lib.ownership import fresh
from lib.pipeline import stage
from lib.scenes.draw import draw
from lib.scenes.scene import Scene
from lib.scenes.vocabulary import COLOURS, GRID
from lib.training.corruption import corrupt
from lib.training.loop import fit
from lib.training.order import BatchOrder
from lib.training.supervised import Supervised
from lib.weights.torch_state import generator

DATA, OUT = Path("data"), Path("build/reader")


def trainee(params: ReaderParams, seed: int, scenes: list[dict]) -> Supervised:
    """The reader on pictures of these scenes, every object repainted, half of the pictures lightly corrupted.

    Training scenes lack the held-out shape–colour pairs. A judge that had learned this would read a pink square as
    something that does come in pink, and score a model's generalisation by its own lack of it. So each object gets a
    colour drawn anew every time, independent of its shape.
    """
    model = Reader(ReaderConfig(params.width), generator(seed, 0))

    def loss(step: int, indices: np.ndarray) -> torch.Tensor:
        random = np.random.Generator(np.random.PCG64([seed, 2, step]))
        batch = [repaint(Scene.from_json(scenes[index]), random) for index in indices]
        images = torch.from_numpy(to_float(np.stack([draw(scene, GRID) for scene in batch])))  # [B, 3, 64, 64]
        truth = readers.truth_of([scene.to_json() for scene in batch])
        return readers.reader_loss(model(corrupt(images, generator(seed, 1, step))), truth)

    return Supervised(model, loss, params.steps, params.learning_rate)


def repaint(scene: Scene, random: np.random.Generator) -> Scene:
    """The same scene with a random colour for each object."""
    colours = random.integers(len(COLOURS), size=len(scene.objects))
    objects = (replace(item, colour=COLOURS[k]) for item, k in zip(scene.objects, colours, strict=True))
    return replace(scene, objects=tuple(objects))


def run(params: Params) -> None:
    """Trains on the train split; writes model.safetensors and metrics.json with the accuracy on val, test, heldout.

    Data whose true scenes are not known cannot teach a reader: then metrics.json says so and there is no model.
    """
    meta = read_meta(DATA)
    fresh(OUT)
    if not meta["has_truth"]:
        reason = "the data folder does not say what its pictures show (no scenes.jsonl)"
        write_json(OUT / "metrics.json", {"applicable": False, "reason": reason})
        return
    train = Split.open(DATA, "train")
    learner = trainee(params.reader, params.seed, train.scenes)
    where = stage.training("train_reader", params)
    history = fit(
        learner,
        name="train_reader",
        steps=params.reader.steps,
        order=BatchOrder(len(train), min(params.reader.batch_size, len(train)), params.seed),
        checkpoint=where.checkpoint,
        fingerprint=where.fingerprint,
    )
    model = learner.model.eval()
    report = {"applicable": True, "history": history}
    for number, name in enumerate(("val", "test", "heldout")):
        if name in meta["splits"]:
            split = Split.open(DATA, name)
            random = np.random.Generator(np.random.PCG64([params.seed, 2, number]))
            readings = readers.read(model, split.images(64))
            report[name] = reader_quality(readings, split.scenes, random, params.evaluation.bootstrap)
    readers.save(model, OUT)
    write_json(OUT / "metrics.json", report)
