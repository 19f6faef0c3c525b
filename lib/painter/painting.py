"""Ranked pictures of a prompt, and how a notebook shows them."""

import io
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from lib.errors import EaselError, naming

GAP = 2  # white pixels between pictures
ENLARGED = 2  # times, on the screen: 64 pixels are small
PROBE = 1 << 20  # bytes that must fit where a picture is to be written


@dataclass(frozen=True)
class Sampled:
    """What a model drew of several prompts, in the order of candidates.

    Attributes:
        pictures: image tokens int32 [P, n, N], or uint8 [P, n, S, S, 3] of a model of pixels.
        passes: of its network, that each took, int [P, n].
    """

    pictures: np.ndarray
    passes: np.ndarray


@dataclass(frozen=True)
class Painting:
    """Candidates for one prompt, the best first.

    Attributes:
        pictures: uint8 [n, S, S, 3].
        scores: 100 · cos of CLIP's vectors of prompt and picture, float [n], falling.
        tokens: int32 [n, h, w]; None of a model of pixels.
        order: int [n], the number of the candidate at each rank.
        passes: of the model's network, that each took, int [n].
    """

    prompt: str
    pictures: np.ndarray
    scores: np.ndarray
    tokens: np.ndarray | None
    order: np.ndarray
    passes: np.ndarray

    @classmethod
    def ranked(
        cls, prompt: str, pictures: np.ndarray, scores: np.ndarray, tokens: np.ndarray | None, passes: np.ndarray
    ) -> "Painting":
        """Sorts candidates by their scores; of equal ones the earlier candidate comes first."""
        order = np.argsort(-scores, kind="stable")
        grids = None if tokens is None else tokens[order]
        return cls(prompt, pictures[order], scores[order], grids, order, passes[order])

    def grid(self, columns: int = 8) -> np.ndarray:
        """One picture uint8 [H, W, 3]: ranks from left to right, then down, on white."""
        return grid(self.pictures, min(columns, len(self.pictures)))

    def save(self, path: Path | str) -> None:
        """Writes the grid as an image file. Raises EaselError if that cannot be."""
        save(self.grid(), path)

    def _repr_png_(self) -> bytes:
        return png(self.grid())


class Paintings(tuple[Painting, ...]):
    """Those of several prompts, one below the other."""

    def grid(self, columns: int = 8) -> np.ndarray:
        """One picture uint8 [H, W, 3], the prompts' grids in their order."""
        columns = min(columns, max(len(painting.pictures) for painting in self))
        grids = [grid(painting.pictures, columns) for painting in self]
        gap = np.full((GAP, grids[0].shape[1], 3), 255, np.uint8)
        return np.concatenate([part for each in grids for part in (gap, each)][1:])

    def save(self, path: Path | str) -> None:
        """Writes the grid as an image file. Raises EaselError if that cannot be."""
        save(self.grid(), path)

    def _repr_png_(self) -> bytes:
        return png(self.grid())


def check_path(path: Path, option: str) -> None:
    """Makes the folder of a picture that is to be written, and tries to write there.

    Raises:
        EaselError: names `option` and `path`.
    """
    if path.suffix.lower() not in (".png", ".jpg", ".jpeg"):
        raise EaselError(f"{option} {path}: name a .png or .jpg file.")
    with naming(f"{option} {path}"):
        if path.is_dir():
            raise EaselError(f"{option} {path} is a folder; name a file.")
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and not os.access(path, os.W_OK):
            raise EaselError(f"{option} {path} may not be written; name another file.")
        with tempfile.TemporaryFile(dir=path.parent) as probe:
            probe.write(bytes(PROBE))


def save(picture: np.ndarray, path: Path | str) -> None:
    """Writes uint8 [H, W, 3] as an image file. Raises EaselError if that cannot be."""
    with naming(path):
        Image.fromarray(picture).save(path)


def grid(pictures: np.ndarray, columns: int) -> np.ndarray:
    """Pictures uint8 [n, S, S, 3], row by row, white between them and where the last row ends early."""
    rows, side = -(-len(pictures) // columns), pictures.shape[1] + GAP
    tiles = np.full((rows * columns, side, side, 3), 255, np.uint8)
    tiles[: len(pictures), :-GAP, :-GAP] = pictures
    tiles = tiles.reshape(rows, columns, side, side, 3).swapaxes(1, 2)  # [rows, side, columns, side, 3]
    return tiles.reshape(rows * side, columns * side, 3)[:-GAP, :-GAP]


def png(picture: np.ndarray) -> bytes:
    """A PNG file of uint8 [H, W, 3], enlarged without smoothing."""
    content = io.BytesIO()
    image = Image.fromarray(picture)
    image.resize((ENLARGED * image.width, ENLARGED * image.height), Image.Resampling.NEAREST).save(content, "png")
    return content.getvalue()
