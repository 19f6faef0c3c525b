"""Encoded pictures with their captions, as models of image tokens see them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lib.data.captions import Captions
from lib.data.selection import kept
from lib.data.store import Split, read_meta
from lib.errors import EaselError


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
    languages: Sequence[str],
    encode: Callable[[list[str]], np.ndarray],
) -> dict[str, Encoded]:
    """Several splits by name, their captions in `languages` tokenised by `encode`; the rest as for `encoded_pictures`.

    Raises:
        EaselError: see `encoded_pictures` and `chosen_languages`.
    """
    chosen, found = chosen_languages(languages, read_meta(data)["languages"]), {}
    for split in splits:
        grids, captions = encoded_pictures(data, tokens, split, size, leave_out)
        flat = grids.reshape(len(grids), -1)  # [N, h, w] → [N, h · w]
        own = [{language: entry[language] for language in chosen} for entry in captions]
        found[split] = Encoded(flat, grids.shape[1:], Captions(own, encode))
    return found


def chosen_languages(wanted: Sequence[str], there: Sequence[str]) -> list[str]:
    """The languages of a training's captions: those named, or all that the data have.

    Raises:
        EaselError: one that the data do not have.
    """
    missing = set(wanted) - set(there)
    if missing:
        raise EaselError(
            f"params.yaml asks for captions in {', '.join(sorted(missing))}, but they are in {', '.join(there)}; "
            "name some of these, or none for all."
        )
    return list(wanted or there)


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
