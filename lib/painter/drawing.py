"""Many pictures from one model, batch by batch, and how long a batch takes: what studies measure models by."""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from lib.decoding.noise import RowRandom
from lib.models import vqgan
from lib.models.vqgan import VQGAN
from lib.painter.autoregressive import row_seeds
from lib.painter.model import Drawn, Model
from lib.progress import Progress


def batches(
    model: Model, ids: Tensor, items: Sequence[int], seed: int, batch_size: int, known: Tensor | None = None
) -> Iterator[Drawn]:
    """One picture for each prompt, in the model's own settings.

    Args:
        ids: prompts, int64 [R, length].
        items: by which the rows' random numbers are numbered, with `seed`.
        known: tokens int64 [R, N] that stay as they are, −1 elsewhere, of a model that fills gaps.
    """
    progress = Progress("draw", len(ids))
    for start in range(0, len(ids), batch_size):
        rows = slice(start, start + batch_size)
        random = RowRandom(row_seeds(seed, items[rows]))
        if known is None:
            yield model.draw(ids[rows], random, model.sampling)
        else:
            yield model.fill(ids[rows], random, model.sampling, known[rows])
        progress.update(min(start + batch_size, len(ids)))


def painted(tokenizer: VQGAN | None, rows: np.ndarray) -> np.ndarray:
    """Tokens [B, N] of square pictures → uint8 [B, S, S, 3]; pictures as they are."""
    if rows.ndim > 2:
        return rows
    side = round(rows.shape[1] ** 0.5)
    return vqgan.decode_batches(tokenizer, rows.reshape(-1, side, side))


def timed(model: Model, ids: Tensor, repetitions: int) -> tuple[np.ndarray, float]:
    """How long a batch takes, prompts read included, over and over; see `timed_in_turn`."""
    return timed_in_turn([model], ids, repetitions)[0]


def timed_in_turn(
    models: Sequence[Model],
    ids: Tensor,
    repetitions: int,
    finish: Callable[[Model, Tensor], Any] = lambda model, rows: None,
) -> list[tuple[np.ndarray, float]]:
    """How long a batch takes, prompts read included, over and over: each time all models draw one, so that a slow
    minute of the machine is slow for all of them.

    Args:
        ids: prompts of the batch, int64 [B, length].
        finish: what is done with what a model drew, and timed as well.

    Returns:
        of every model: seconds float [repetitions]; operations, as `FlopCounterMode` counts them: of products,
        convolutions and attention.
    """
    seeds = row_seeds(0, range(len(ids)))

    def draw_all(model: Model) -> None:
        finish(model, model.draw(ids, RowRandom(seeds), model.sampling).pictures)

    operations, seconds = [], np.empty((len(models), repetitions))
    for model in models:
        # The first call, which allocates too; of attention the counter knows its two products alone.
        with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
            draw_all(model)
        operations.append(counter.get_total_flops())
    for repetition in range(repetitions):
        for number, model in enumerate(models):
            began = time.perf_counter()
            draw_all(model)
            seconds[number, repetition] = time.perf_counter() - began
    return list(zip(seconds, operations, strict=True))
