"""The feed-forward block by itself: networks of one block draw thumbnails cell by cell, trained from paired seeds."""

from collections.abc import Sequence

import flax.linen as nn
import jax
import numpy as np

from lib.models.bart_parts import dense, norm
from lib.models.glu import FFN, GLU
from lib.models.layout import BLOCKS, Layout, matched_width
from lib.progress import Progress
from lib.teaching.thumbnails import CODES, SIDE, WORDS, Thumbnails
from lib.training.seeds import Batch, Recipe, SeedOrders, SeedsTrainee, evaluate

BATCH = 16
# What a cell is told of those before it: (rows up, columns to the left).
NEIGHBOURS = ((0, 1), (0, 2), (1, 0), (1, 1), (1, -1), (2, 0))
OUTSIDE = CODES  # in the place of a cell beyond the edge
IDS = len(WORDS) + len(NEIGHBOURS) * (CODES + 1)


class OneBlock(nn.Module):
    """The sum of what a cell is told, one feed-forward block with its residual connection, and logits of 13 colours.

    Attributes:
        inner: width between the block's products.
    """

    layout: Layout
    width: int
    inner: int

    @nn.compact
    def __call__(self, told: jax.Array, cells: jax.Array) -> jax.Array:
        """int [B, N, K] of `contexts` → logits [B, N, CODES]; the cells themselves, int [B, N], are not looked at."""
        x = nn.Embed(IDS, self.width)(told).sum(axis=2)  # [B, N, K, width] → [B, N, width]
        block = GLU if self.layout.gated else FFN
        x = x + block(self.layout, self.width, self.inner)(x)
        return dense(self.layout, CODES)(norm(self.layout, feeds_product=True)(x))


def contexts(data: Thumbnails) -> np.ndarray:
    """What every cell is told, as ids of one table: the caption's words and the cells before it, int32 [N, 144, K]."""
    grids = data.tokens.reshape(-1, SIDE, SIDE)
    padded = np.pad(grids, ((0, 0), (2, 0), (2, 1)), constant_values=OUTSIDE)
    words = np.broadcast_to(data.words[:, None], (len(data), SIDE**2, data.words.shape[1]))
    near = [
        padded[:, 2 - up : 2 - up + SIDE, 2 - left : 2 - left + SIDE].reshape(len(data), -1) for up, left in NEIGHBOURS
    ]
    offsets = len(WORDS) + (CODES + 1) * np.arange(len(NEIGHBOURS))
    return np.concatenate([words, np.stack(near, axis=2) + offsets], axis=2).astype(np.int32)


class CellTask:
    """What `SeedsTrainee` wants of its data: what cells are told, and their colours."""

    def __init__(self, data: Thumbnails):
        self.told, self.cells = contexts(data), data.tokens.astype(np.int32)

    def __len__(self) -> int:
        return len(self.cells)

    def draw(self, indices: np.ndarray, generator: np.random.Generator) -> Batch:
        return self.told[indices], self.cells[indices]


def train(
    name: str, data: Thumbnails, seeds: Sequence[int], steps: int, width: int, inner: int, learning_rate: float = 5e-3
) -> SeedsTrainee:
    """Trains a network with the block `name`, one of `BLOCKS`, from every seed.

    With equal seeds, networks of two blocks see the same batches in the same order.

    Args:
        inner: of an ungated block; a gated one gets two thirds.
    """
    gated, activation = BLOCKS[name]
    layout = Layout(gated=gated, activation=activation, norm_placement="preln", init_std=width**-0.5)
    model, task = OneBlock(layout, width, matched_width(inner) if gated else inner), CellTask(data)
    start = jax.jit(model.init)
    trees = [start(jax.random.key(seed), task.told[:1], task.cells[:1]) for seed in seeds]
    initial = jax.tree.map(lambda *leaves: np.stack(leaves), *trees)
    recipe = Recipe(steps, BATCH, learning_rate, warmup=0.05, decay=0.8, averaging=0.05)
    trainee = SeedsTrainee(model, initial, seeds, task, recipe)
    order, progress = SeedOrders(len(data), BATCH, seeds), Progress(name, steps)
    for step in range(steps):
        numbers = trainee.step(step, order.indices(step))
        progress.update(step + 1, **numbers)
    return trainee


def held_out_nats(trainee: SeedsTrainee, data: Thumbnails) -> np.ndarray:
    """Nats a cell of pictures that were not trained on, float64 [seeds]; with the averaged weights."""
    task = CellTask(data)
    return evaluate(trainee.model, trainee.average, (task.told, task.cells), BATCH)
