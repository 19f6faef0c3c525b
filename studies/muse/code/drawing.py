"""One model drawing from captions in one way, as a part."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

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
