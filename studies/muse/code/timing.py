"""How long a model takes to draw and what it moves, as parts, and what the machine can do at most."""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lib.decoding.noise import RowRandom
from lib.metering.weights_read import weights_read
from lib.painter import drawing
from lib.painter.autoregressive import row_seeds
from lib.pipeline.stage import Training
from studies.muse.code.material import tokenised
from studies.muse.code.networks import load

Result = tuple[dict[str, np.ndarray], dict[str, Any]]


def timed(
    training: Training,
    *,
    model: str,
    captions: Sequence[str],
    batch_size: int,
    repetitions: int,
    text_length: int,
    sampling: Mapping[str, Any],
    base: Mapping[str, Any] | None = None,
) -> Result:
    """How long a batch takes; see `lib.painter.drawing.timed`.

    Args:
        model, base: as of `studies.muse.code.networks.load`.

    Returns:
        seconds float [repetitions] a batch; operations of a batch, and bytes of weights that it reads.
    """
    painter, ids = load(Path(model), sampling, base), tokenised(captions[:batch_size], text_length)
    random = RowRandom(row_seeds(0, range(len(ids))))
    read = weights_read(lambda: painter.draw(ids, random, painter.sampling))
    seconds, operations = drawing.timed(painter, ids, repetitions)
    return {"seconds": seconds}, {"operations": operations, "bytes": read}


def rates(training: Training) -> Result:
    """What one thread of this machine can do at most, the best of several times.

    Returns:
        nothing; operations a second of a product of two matrices, and bytes a second that are read and written in a
        copy, both float32.
    """
    matrix, long = torch.randn(1024, 1024), torch.randn(2**25)
    product, copy = fastest(lambda: matrix @ matrix), fastest(long.clone)
    return {}, {"operations": 2 * 1024**3 / product, "bytes": 2 * 4 * len(long) / copy}


def fastest(work: Callable[[], Any], times: int = 10) -> float:
    """Seconds of the fastest of several calls."""
    seconds = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - began)
    return min(seconds)
