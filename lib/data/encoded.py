"""Encoded pictures with their captions, as models of image tokens see them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lib.data.selection import kept
from lib.data.store import Split
from lib.errors import EaselError


def encoded_pictures(
    data: Path, tokens: Path, split: str, size: int, leave_out: Sequence[str]
) -> tuple[np.ndarray, list[dict[str, list[str]]]]:
    """The pictures of a split that are there as tokens.

    Args:
        data: the data folder; tokens: that of one image tokenizer's tokens.
        size: side of the pictures in pixels.
        leave_out: kinds of background to pass over.

    Returns:
        tokens uint16 [N, h, w] and the N pictures' captions by language.

    Raises:
        EaselError: the split has no tokens of that size.
    """
    path = tokens / f"{split}_{size}.npy"
    if not path.is_file():
        raise EaselError(f"{path} does not exist; run `dvc repro`, which makes it where there are such pictures.")
    grids, source = np.load(path), Split.open(data, split)
    numbers = kept(source, leave_out, len(grids))
    return grids[numbers], [source.captions[number] for number in numbers]
