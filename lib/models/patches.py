"""Pictures as grids of patches: the pixels of a patch become the channels of one cell (Shi et al. 2016,
arXiv:1609.05158, section 2.2, the other way round). So a U-Net over pixels has as few cells as one over latents."""

import numpy as np

from lib.errors import EaselError


def to_patches(pictures: np.ndarray, side: int) -> np.ndarray:
    """Pictures uint8 [N, H, W, C] → cells uint8 [N, H / side, W / side, side² · C].

    Raises:
        EaselError: pictures that patches do not fill.
    """
    count, height, width, channels = pictures.shape
    if height % side or width % side:
        raise EaselError(f"pictures of {height}×{width} pixels do not divide into patches of {side}×{side}.")
    split = pictures.reshape(count, height // side, side, width // side, side, channels)
    return split.swapaxes(2, 3).reshape(count, height // side, width // side, side**2 * channels)


def from_patches(cells: np.ndarray, side: int) -> np.ndarray:
    """What `to_patches` made, back: [N, h, w, side² · C] → [N, side · h, side · w, C]."""
    count, rows, columns, channels = cells.shape
    split = cells.reshape(count, rows, columns, side, side, channels // side**2)
    return split.swapaxes(2, 3).reshape(count, side * rows, side * columns, channels // side**2)


def shrunk(pictures: np.ndarray, factor: int) -> np.ndarray:
    """Pictures uint8 [N, H, W, C] → uint8 [N, H / factor, W / factor, C], each pixel a mean of factor² of them."""
    patches = to_patches(pictures, factor)
    count, rows, columns, _ = patches.shape
    means = patches.reshape(count, rows, columns, factor**2, -1).mean(axis=3)
    return means.round().astype(np.uint8)
