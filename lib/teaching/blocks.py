"""Feed-forward blocks compared on thumbnails: DALL·E Mini with one layer a side, paired seeds."""

from collections.abc import Sequence

import numpy as np

from lib.models.layout import BLOCKS, DalleMiniConfig, Layout, matched_width
from lib.progress import Progress
from lib.teaching.thumbnails import CODES, SIDE, WORDS, Thumbnails
from lib.training.seeds import Batch, Recipe, SeedOrders, SeedsTrainee, create, evaluate

BATCH, HEADS = 16, 2


class ThumbnailTask:
    """Words → colours of the cells, what `SeedsTrainee` wants of its data."""

    def __init__(self, data: Thumbnails):
        self.data = data

    def __len__(self) -> int:
        return len(self.data)

    def draw(self, indices: np.ndarray, generator: np.random.Generator) -> Batch:
        return self.data.words[indices].astype(np.int32), self.data.tokens[indices].astype(np.int32)

    def all(self) -> Batch:
        """Every picture, in order."""
        return self.draw(np.arange(len(self)), np.random.default_rng(0))


def network_of(block: str, width: int, inner: int) -> DalleMiniConfig:
    """The network with the feed-forward block `block`, one of `BLOCKS`; `inner` is of an ungated block."""
    gated, activation = BLOCKS[block]
    return DalleMiniConfig(
        text_vocabulary=len(WORDS),
        text_length=3,
        text_padding=len(WORDS),  # captions are equally long
        codes=CODES,
        image_length=SIDE**2,
        width=width,
        encoder_layers=1,
        decoder_layers=1,
        heads=HEADS,
        feed_forward=matched_width(inner) if gated else inner,
        layout=Layout(gated=gated, activation=activation, norm_placement="preln", init_std=width**-0.5),
    )


def train(
    block: str, data: Thumbnails, seeds: Sequence[int], steps: int, width: int, inner: int, learning_rate: float = 3e-3
) -> SeedsTrainee:
    """Trains the network from every seed; with equal seeds two blocks see equal batches, in the same order."""
    model, initial = create(network_of(block, width, inner), seeds)
    recipe = Recipe(steps, BATCH, learning_rate, warmup=0.05, decay=0.8, averaging=0.05)
    trainee = SeedsTrainee(model, initial, seeds, ThumbnailTask(data), recipe)
    order, progress = SeedOrders(len(data), BATCH, seeds), Progress(block, steps)
    for step in range(steps):
        numbers = trainee.step(step, order.indices(step))
        progress.update(step + 1, **numbers)
    return trainee


def held_out_nats(trainee: SeedsTrainee, data: Thumbnails) -> np.ndarray:
    """Nats a cell of pictures that were not trained on, float64 [seeds]; with the averaged weights."""
    return evaluate(trainee.model, trainee.average, ThumbnailTask(data).all(), BATCH)
