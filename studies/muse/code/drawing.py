"""One model drawing from captions in one way, as a part: tokens, passes, and seconds where they are measured."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lib.painter.autoregressive import row_seeds
from lib.pipeline.stage import Training
from lib.progress import Progress
from studies.muse.code.material import tokenised
from studies.muse.code.networks import Network

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
) -> Result:
    """Draws one picture for each caption.

    Args:
        training: not needed: a run is over before a checkpoint pays.
        model: folder of the trained model.
        items: by which the captions' random numbers are numbered, with `seed`.
        sampling: see `Network.draw`.
        known: tokens [R, N] that stay as they are, −1 elsewhere; None for nothing known.

    Returns:
        tokens uint16 [R, N], passes int64 [R].
    """
    network, ids, seeds = Network(Path(model)), tokenised(captions, text_length), row_seeds(seed, items)
    given = None if known is None else torch.tensor(known)
    progress, tokens, passes = Progress("draw", len(ids)), [], []
    for start in range(0, len(ids), batch_size):
        rows = slice(start, start + batch_size)
        drawn = network.draw(ids[rows], seeds[rows], sampling, None if given is None else given[rows])
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
) -> Result:
    """How long a batch takes, captions read included, over and over.

    Returns:
        seconds float [repetitions] a batch.
    """
    network, ids = Network(Path(model)), tokenised(captions[:batch_size], text_length)
    seeds = row_seeds(0, range(batch_size))
    network.draw(ids, seeds, sampling)  # the first call allocates
    seconds = []
    for _ in range(repetitions):
        began = time.perf_counter()
        network.draw(ids, seeds, sampling)
        seconds.append(time.perf_counter() - began)
    return {"seconds": np.array(seconds)}, {}
