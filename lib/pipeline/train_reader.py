"""Stage train_reader: trains the scene reader and measures it on real held-out pictures → build/reader/."""

import shutil
from pathlib import Path

import numpy as np
import torch

from lib.config import Params, ReaderParams
from lib.data.store import Split, read_meta, to_float, write_json
from lib.metrics.scene_accuracy import reader_quality
from lib.models import reader as readers
from lib.models.reader import Reader, ReaderConfig
from lib.pipeline import stage
from lib.training.corruption import corrupt
from lib.training.loop import fit
from lib.training.order import BatchOrder
from lib.training.supervised import Supervised
from lib.training.torch_state import generator

DATA, OUT = Path("data"), Path("build/reader")


def trainee(params: ReaderParams, seed: int, images: np.ndarray, scenes: list[dict]) -> Supervised:
    """The reader on pictures uint8 [N, 64, 64, 3] and their scenes, half of the pictures lightly corrupted."""
    model = Reader(ReaderConfig(params.width), generator(seed, 0))
    truth = readers.truth_of(scenes)

    def loss(step: int, indices: np.ndarray) -> torch.Tensor:
        batch = corrupt(torch.from_numpy(to_float(np.asarray(images[indices]))), generator(seed, 1, step))
        return readers.reader_loss(model(batch), truth.rows(torch.from_numpy(indices)))

    return Supervised(model, loss, params.steps, params.learning_rate)


def run(params: Params) -> None:
    """Trains on the train split; writes model.safetensors and metrics.json with the accuracy on val, test, heldout.

    Data whose true scenes are not known cannot teach a reader: then metrics.json says so and there is no model.
    """
    meta = read_meta(DATA)
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)
    if not meta["has_truth"]:
        reason = "the data folder does not say what its pictures show (no scenes.jsonl)"
        write_json(OUT / "metrics.json", {"applicable": False, "reason": reason})
        return
    train = Split.open(DATA, "train")
    learner = trainee(params.reader, params.seed, train.images(64), train.scenes)
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
