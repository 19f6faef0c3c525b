"""One model drawing from captions in one way, as a part: pictures, passes, and seconds where they are measured."""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lib.painter import drawing
from lib.painter.drawing import batches
from lib.pipeline.stage import Training
from studies.muse.code.material import tokenised
from studies.muse.code.networks import load

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
    known: Sequence[Sequence[int]] | None = None,
    base: Mapping[str, Any] | None = None,
) -> Result:
    """Draws one picture for each caption.

    Args:
        training: not needed: a run is over before a checkpoint pays.
        model: folder of the trained model.
        items: by which the captions' random numbers are numbered, with `seed`.
        sampling: settings, as the kind of model has them.
        known: tokens [R, N] that stay as they are, −1 elsewhere; None for nothing known.
        base: see `studies.muse.code.networks.load`.

    Returns:
        rows: tokens uint16 [R, N], or pictures uint8 [R, S, S, 3] of a model that knows no tokens; passes int64 [R].
    """
    network, ids = load(Path(model), sampling, base), tokenised(captions, text_length)
    given = None if known is None else torch.tensor(known)
    found = list(batches(network, ids, items, seed, batch_size, given))
    pictures, passes = (torch.cat([getattr(one, name) for one in found]) for name in ("pictures", "passes"))
    kept = pictures if pictures.dtype == torch.uint8 else pictures.to(torch.uint16)
    return {"rows": kept.numpy(), "passes": passes.numpy()}, {}


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

    Returns:
        seconds float [repetitions] a batch; operations of a batch.
    """
    network, ids = load(Path(model), sampling, base), tokenised(captions[:batch_size], text_length)
    seconds, operations = drawing.timed(network, ids, repetitions)
    return {"seconds": seconds}, {"operations": operations}


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
