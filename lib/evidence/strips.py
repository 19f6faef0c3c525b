"""A few pictures of equal size as one PNG that Git can hold: below each other, in order."""

from pathlib import Path

import numpy as np
from PIL import Image


def write_strip(path: Path, images: np.ndarray) -> None:
    """Pictures uint8 [N, S, S, 3] → a PNG of S × (N·S) pixels."""
    Image.fromarray(images.reshape(-1, *images.shape[2:])).save(path)  # [N·S, S, 3]


def read_strip(path: Path) -> np.ndarray:
    """Takes back what `write_strip` wrote: uint8 [N, S, S, 3]."""
    pixels = np.asarray(Image.open(path).convert("RGB"))  # [N·S, S, 3]
    return pixels.reshape(-1, pixels.shape[1], pixels.shape[1], 3)
