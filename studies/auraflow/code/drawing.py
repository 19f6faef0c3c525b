"""One model drawing from captions in one way, as a part."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lib.painter import drawing
from lib.painter.drawing import batches, painted
from lib.pipeline.stage import Training
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
    known: Sequence[Sequence[int]] | None = None,
) -> Result:
    """Draws one picture for each caption.

    Args:
        training: not needed: a run is over before a checkpoint pays.
        model: folder of the trained model.
        items: by which the captions' random numbers are numbered, with `seed`.
        sampling: settings, as the kind of model has them.
        known: tokens [R, N] that stay as they are, −1 elsewhere, of a model that fills gaps; None for nothing known.

    Returns:
        pictures uint8 [R, S, S, 3]; passes of each, int64 [R].
    """
    network, ids = load(Path(model), sampling), tokenised(captions, text_length)
    pictures, passes = [], []
    given = None if known is None else torch.tensor(known)
    for found in batches(network, ids, items, seed, batch_size, given):
        pictures.append(painted(network.tokenizer, found.pictures.numpy()))
        passes.append(found.passes)
    return {"pictures": np.concatenate(pictures), "passes": torch.cat(passes).numpy()}, {}


def timed(
    training: Training,
    *,
    model: str,
    captions: Sequence[str],
    repetitions: int,
    text_length: int,
    sampling: Mapping[str, Any],
) -> Result:
    """How long a batch takes until its pictures are there; see `lib.painter.drawing.timed`.

    Returns:
        seconds float [repetitions] a batch; operations of a batch.
    """
    network, ids = load(Path(model), sampling), tokenised(captions, text_length)
    seconds, operations = drawing.timed(
        network, ids, repetitions, lambda rows: painted(network.tokenizer, rows.numpy())
    )
    return {"seconds": seconds}, {"operations": operations}
