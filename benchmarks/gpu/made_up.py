"""What is measured needs no data: sizes of networks, and pictures of a made-up law."""

from dataclasses import dataclass

import numpy as np

COPIED, CAPTIONS, PALETTE = 0.9, 64, 16  # of the law: share of copies, number of captions, codes that each leads to


@dataclass(frozen=True)
class Size:
    """Networks and their trainings.

    Attributes:
        side: tokens of a picture's side.
        batch: pictures of an update.
        gemm: side of the square product that sets the machine's rate.
        compiled: whether the autoregressive model's training is compiled.
    """

    width: int
    layers: int
    heads: int
    feed_forward: int
    side: int
    codes: int
    text_length: int
    batch: int
    gemm: int
    compiled: bool


FULL = Size(1024, 24, 16, 2730, side=32, codes=4096, text_length=16, batch=32, gemm=8192, compiled=True)
TINY = Size(16, 1, 2, 24, side=4, codes=32, text_length=3, batch=4, gemm=64, compiled=False)


def pictures(random: np.random.Generator, captions: np.ndarray, size: Size) -> np.ndarray:
    """Tokens of the made-up law, int64 [N, side²]: `COPIED` of them are the left or the upper neighbour's, the others
    one of the codes that the caption, int [N], leads to."""
    count, side = len(captions), size.side
    palettes = random.integers(0, size.codes, (CAPTIONS, PALETTE))
    fresh = palettes[captions[:, None, None], random.integers(0, PALETTE, (count, side, side))]  # [N, side, side]
    chance, found = random.random((count, side, side)), fresh.copy()
    for row in range(side):
        for column in range(side):
            left, above = found[:, row, column - 1], found[:, row - 1, column]
            if column == 0:
                left = above if row else fresh[:, row, column]
            if row == 0:
                above = left
            copy = np.where(chance[:, row, column] < COPIED / 2, left, above)
            found[:, row, column] = np.where(chance[:, row, column] < COPIED, copy, fresh[:, row, column])
    return found.reshape(count, -1)
