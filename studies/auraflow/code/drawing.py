"""One model drawing from captions in one way, as a part."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from lib.decoding.noise import RowRandom
from lib.models import vqgan
from lib.painter.autoregressive import row_seeds
from lib.painter.model import Drawn, Model
from lib.pipeline.stage import Training
from lib.progress import Progress
from studies.auraflow.code.material import tokenised
from studies.auraflow.code.networks import load

Result = tuple[dict[str, np.ndarray], dict[str, Any]]


def draw(
    training: Training,
    *,
    model: str,
    captions: Sequence[str],
    items: Sequence[int],
    seed: int,
    batch_size: int,
    text_length: int,
    sampling: Mapping[str, Any],
) -> Result:
    """Draws one picture for each caption.

    Args:
        training: not needed: a run is over before a checkpoint pays.
        model: folder of the trained model.
        items: by which the captions' random numbers are numbered, with `seed`.
        sampling: settings, as the kind of model has them.

    Returns:
        pictures uint8 [R, S, S, 3]; passes of each, int64 [R].
    """
    network, ids = load(Path(model), sampling), tokenised(captions, text_length)
    progress, pictures, passes = Progress("draw", len(ids)), [], []
    for start in range(0, len(ids), batch_size):
        found = drawn(network, ids[start : start + batch_size], row_seeds(seed, items[start : start + batch_size]))
        pictures.append(painted(network, found.pictures))
        passes.append(found.passes)
        progress.update(min(start + batch_size, len(ids)))
    return {"pictures": np.concatenate(pictures), "passes": torch.cat(passes).numpy()}, {}


def drawn(network: Model, ids: Tensor, seeds: Sequence[int]) -> Drawn:
    """A batch in the model's own settings."""
    return network.draw(ids, RowRandom(seeds), network.sampling)


def painted(network: Model, rows: Tensor) -> np.ndarray:
    """Tokens [B, N] of square pictures → uint8 [B, S, S, 3]; pictures as they are."""
    if rows.ndim > 2:
        return rows.numpy()
    side = round(rows.shape[1] ** 0.5)
    return vqgan.decode_batches(network.tokenizer, rows.view(-1, side, side).numpy())


def timed(
    training: Training,
    *,
    model: str,
    captions: Sequence[str],
    repetitions: int,
    text_length: int,
    sampling: Mapping[str, Any],
) -> Result:
    """How long a batch takes until its pictures are there, captions read included, over and over.

    Returns:
        seconds float [repetitions] a batch; operations of a batch, as `FlopCounterMode` counts them: of products,
        convolutions and attention.
    """
    network, ids, seeds = (
        load(Path(model), sampling),
        tokenised(captions, text_length),
        row_seeds(0, range(len(captions))),
    )

    def draw_all() -> None:
        painted(network, drawn(network, ids, seeds).pictures)

    # The first call, which allocates too; of attention the counter knows its two products alone.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        draw_all()
    seconds = []
    for _ in range(repetitions):
        began = time.perf_counter()
        draw_all()
        seconds.append(time.perf_counter() - began)
    return {"seconds": np.array(seconds)}, {"operations": counter.get_total_flops()}
