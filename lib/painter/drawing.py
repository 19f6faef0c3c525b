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


def timed(
    model: Model, ids: Tensor, repetitions: int, finish: Callable[[Tensor], Any] = lambda rows: None
) -> tuple[np.ndarray, float]:
    """How long a batch takes, prompts read included, over and over.

    Args:
        finish: what is done with the batch, and timed as well.

    Returns:
        seconds float [repetitions]; operations, as `FlopCounterMode` counts them: of products, convolutions and
        attention.
    """
    seeds = row_seeds(0, range(len(ids)))

    def draw_all() -> None:
        finish(model.draw(ids, RowRandom(seeds), model.sampling).pictures)

    # The first call, which allocates too; of attention the counter knows its two products alone.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        draw_all()
    seconds = []
    for _ in range(repetitions):
        began = time.perf_counter()
        draw_all()
        seconds.append(time.perf_counter() - began)
    return np.array(seconds), counter.get_total_flops()
