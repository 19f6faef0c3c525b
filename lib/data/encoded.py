"""Encoded pictures with their captions, as models of image tokens see them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lib.data.selection import kept
from lib.data.store import Split
from lib.errors import EaselError
from lib.training.captions import Captions


@dataclass(frozen=True)
class Encoded:
    """What models of image tokens train on and are measured with.

    Attributes:
        tokens: uint16 [N, rows · columns], in reading order.
        grid: rows and columns of a picture.
        captions: of the N pictures.
    """

    tokens: np.ndarray
    grid: tuple[int, int]
    captions: Captions


def encoded_splits(
    data: Path,
    tokens: Path,
    splits: Sequence[str],
    size: int,
    leave_out: Sequence[str],
    encode: Callable[[list[str]], np.ndarray],
) -> dict[str, Encoded]:
    """Several splits by name, their captions tokenised by `encode`; the rest as for `encoded_pictures`."""
    found = {}
    for split in splits:
        grids, captions = encoded_pictures(data, tokens, split, size, leave_out)
        flat = grids.reshape(len(grids), -1)  # [N, h, w] → [N, h · w]
        found[split] = Encoded(flat, grids.shape[1:], Captions(captions, encode))
    return found


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
