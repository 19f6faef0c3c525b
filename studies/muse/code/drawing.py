"""One model drawing from captions in one way, as a part: pictures, passes, and seconds where they are measured."""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from lib.decoding.noise import RowRandom
from lib.painter.autoregressive import row_seeds
from lib.pipeline.stage import Training
from lib.progress import Progress
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
    progress, drawn, passes = Progress("draw", len(ids)), [], []
    for start in range(0, len(ids), batch_size):
        rows = slice(start, start + batch_size)
        random = RowRandom(row_seeds(seed, items[rows]))
        if given is None:
            found = network.draw(ids[rows], random, network.sampling)
        else:
            found = network.fill(ids[rows], random, network.sampling, given[rows])
        drawn.append(found.pictures)
        passes.append(found.passes)
        progress.update(min(start + batch_size, len(ids)))
    pictures = torch.cat(drawn)
    kept = pictures if pictures.dtype == torch.uint8 else pictures.to(torch.uint16)
    return {"rows": kept.numpy(), "passes": torch.cat(passes).numpy()}, {}


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
    """How long a batch takes, captions read included, over and over.

    Returns:
        seconds float [repetitions] a batch; operations of a batch, as `FlopCounterMode` counts them: of products,
        convolutions and attention.
    """
    network, ids = load(Path(model), sampling, base), tokenised(captions[:batch_size], text_length)

    def draw_all() -> None:
        network.draw(ids, RowRandom(row_seeds(0, range(batch_size))), network.sampling)

    # The first call, which allocates too; of attention the counter knows its two products alone.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        draw_all()
    seconds = []
    for _ in range(repetitions):
        began = time.perf_counter()
        draw_all()
        seconds.append(time.perf_counter() - began)
    return {"seconds": np.array(seconds)}, {"operations": counter.get_total_flops()}


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
