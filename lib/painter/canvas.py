"""A picture that is to be edited, and the mask that says where."""

from pathlib import Path

import numpy as np

from lib.data.picture import decode
from lib.errors import EaselError, naming

WHITE = 128  # from here on a mask's file says that a pixel is drawn anew


def read_picture(path: Path | str) -> np.ndarray:
    """A picture file as uint8 [H, W, 3]. Raises EaselError: there is none, or it is no picture."""
    with naming(path):
        content = Path(path).read_bytes()
    try:
        return np.array(decode(content))
    except ValueError as error:
        raise EaselError(f"{path} cannot be read: {error}.") from None


def read_mask(path: Path | str) -> np.ndarray:
    """A mask from a picture file, bool [H, W]: white pixels are drawn anew, black ones stay."""
    return read_picture(path).mean(axis=2) >= WHITE


def box(side: tuple[int, int], left: int, top: int, width: int, height: int) -> np.ndarray:
    """The pixels of a rectangle, bool [H, W].

    Args:
        side: H and W of the picture.
        left, top, width, height: in pixels.

    Raises:
        EaselError: it is empty, or not inside the picture.
    """
    rows, columns = side
    if not (0 <= left < left + width <= columns and 0 <= top < top + height <= rows):
        raise EaselError(
            f"a box {left} pixels from the left and {top} from the top, {width} wide and {height} high, does not lie "
            f"in a picture {columns} wide and {rows} high."
        )
    inside = np.zeros(side, bool)
    inside[top : top + height, left : left + width] = True
    return inside


def check_picture(picture: np.ndarray, side: tuple[int, int]) -> None:
    """Refuses what is no picture, uint8 [H, W, 3], of the size that a model draws. Raises EaselError."""
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
        raise EaselError(f"a picture is uint8 [H, W, 3], not {picture.dtype} {list(picture.shape)}.")
    if picture.shape[:2] != side:
        raise EaselError(
            f"the picture is {picture.shape[1]} pixels wide and {picture.shape[0]} high; this model edits pictures "
            f"{side[1]} wide and {side[0]} high. Crop or scale it first."
        )


def check_mask(mask: np.ndarray, side: tuple[int, int]) -> None:
    """Refuses what is no mask, bool [H, W], of a picture of that size, or an empty one. Raises EaselError."""
    if mask.dtype != bool or mask.shape != side:
        raise EaselError(
            f"a mask is bool [{side[0]}, {side[1]}] like its picture, not {mask.dtype} {list(mask.shape)}; it is true "
            "where the picture is drawn anew."
        )
    if not mask.any():
        raise EaselError("the mask is empty; mark what is to be drawn anew, or leave it out to edit the whole picture.")


def cells(mask: np.ndarray, stride: int) -> np.ndarray:
    """The image tokens of which a mask, bool [H, W], covers a pixel or more: bool [H / stride, W / stride]."""
    rows, columns = mask.shape
    return mask.reshape(rows // stride, stride, columns // stride, stride).any(axis=(1, 3))


def pasted(pictures: np.ndarray, picture: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Pictures uint8 [n, H, W, 3] inside the mask, bool [H, W], and the one given, uint8 [H, W, 3], outside of it."""
    return np.where(mask[:, :, None], pictures, picture)
