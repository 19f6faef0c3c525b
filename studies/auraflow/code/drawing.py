"""One model drawing from captions in one way, as a part."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lib.painter import drawing
from lib.painter.drawing import batches, painted
from lib.pipeline.stage import Training
from studies.auraflow.code.material import images_of, tokenised
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
    kept: Mapping[str, Any] | None = None,
) -> Result:
    """Draws one picture for each caption.

    Args:
        training: not needed: a run is over before a checkpoint pays.
        model: folder of the trained model.
        items: by which the captions' random numbers are numbered, with `seed`.
        sampling: settings, as the kind of model has them.
        kept: for a model that fills gaps: `pictures`, numbers of test pictures that stay as they are but for `hole`, a
            name that `hole_of` knows; None for new pictures.

    Returns:
        pictures uint8 [R, S, S, 3]; passes of each, int64 [R].
    """
    network, ids = load(Path(model), sampling), tokenised(captions, text_length)
    pictures, passes = [], []
    given = None
    if kept:
        images = np.asarray(images_of("test")[list(kept["pictures"])])
        given = network.known(images, hole_of(kept["hole"], network.grid))
    for found in batches(network, ids, items, seed, batch_size, given):
        pictures.append(painted(network.tokenizer, found.pictures.numpy()))
        passes.append(found.passes)
    return {"pictures": np.concatenate(pictures), "passes": torch.cat(passes).numpy()}, {}


def hole_of(name: str, grid: tuple[int, int]) -> np.ndarray:
    """Cells that are drawn anew, bool [h, w]: the middle half in both directions, or the rim, all but the middle."""
    rows, columns = grid
    middle = np.zeros(grid, bool)
    middle[rows // 4 : rows - rows // 4, columns // 4 : columns - columns // 4] = True
    return middle if name == "middle" else ~middle


def timed(
    training: Training,
    *,
    models: Mapping[str, Mapping[str, Any]],
    captions: Sequence[str],
    repetitions: int,
    text_length: int,
) -> Result:
    """How long a batch takes until its pictures are there, all models in turn.

    Args:
        models: folder → sampling settings.

    Returns:
        seconds float [M, repetitions] a batch; operations of a batch, of every model.
    """
    networks = [load(Path(model), sampling) for model, sampling in models.items()]
    found = drawing.timed_in_turn(
        networks,
        tokenised(captions, text_length),
        repetitions,
        lambda model, rows: painted(model.tokenizer, rows.numpy()),
    )
    seconds, operations = zip(*found, strict=True)
    return {"seconds": np.array(seconds)}, {"operations": list(operations)}
