"""One model drawing from captions in one way, as a part: tokens, passes, and seconds where they are measured."""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from lib.painter.autoregressive import row_seeds
from lib.pipeline.stage import Training
from lib.progress import Progress
from studies.muse.code.material import tokenised
from studies.muse.code.networks import Drawn, Network

Result = tuple[dict[str, np.ndarray], dict[str, Any]]
ENLARGED = 10**6  # what parts the random numbers of a small picture and of the large one that is made of it


class Drawer:
    """A model and, for super-resolution, the one that draws the small pictures.

    Args:
        model: folder of the trained model.
        base: folder ("model") and sampling settings ("sampling") of the model before it, if there is one.
    """

    def __init__(self, model: str, base: Mapping[str, Any] | None):
        self.network = Network(Path(model))
        self.base = base and Drawer(base["model"], None)
        self.base_sampling = base and base["sampling"]

    def draw(
        self,
        ids: Tensor,
        seed: int,
        items: Sequence[int],
        sampling: Mapping[str, Any],
        known: Tensor | None = None,
    ) -> Drawn:
        """One picture for each caption int64 [B, S]; items, with `seed`, number their random numbers. The passes are
        those of both models."""
        if self.base is None:
            return self.network.draw(ids, row_seeds(seed, items), sampling, known)
        small = self.base.draw(ids, seed, items, self.base_sampling)
        large = self.network.draw(ids, row_seeds(seed + ENLARGED, items), sampling, small=small.tokens)
        return Drawn(large.tokens, small.passes + large.passes)


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
        sampling: see `Network.draw`.
        known: tokens [R, N] that stay as they are, −1 elsewhere; None for nothing known.
        base: see `Drawer`.

    Returns:
        tokens uint16 [R, N], passes int64 [R].
    """
    drawer, ids = Drawer(model, base), tokenised(captions, text_length)
    given = None if known is None else torch.tensor(known)
    progress, tokens, passes = Progress("draw", len(ids)), [], []
    for start in range(0, len(ids), batch_size):
        rows = slice(start, start + batch_size)
        drawn = drawer.draw(ids[rows], seed, items[rows], sampling, None if given is None else given[rows])
        tokens.append(drawn.tokens)
        passes.append(drawn.passes)
        progress.update(min(start + batch_size, len(ids)))
    return {
        "tokens": torch.cat(tokens).numpy().astype(np.uint16),
        "passes": torch.cat(passes).numpy(),
    }, {}


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
    drawer, ids, items = Drawer(model, base), tokenised(captions[:batch_size], text_length), range(batch_size)
    # The first call, which allocates too; of attention the counter knows its two products alone.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        drawer.draw(ids, 0, items, sampling)
    seconds = []
    for _ in range(repetitions):
        began = time.perf_counter()
        drawer.draw(ids, 0, items, sampling)
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
