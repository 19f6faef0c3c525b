"""Filling a picture's gaps with an autoregressive model: what is known stays, the rest is drawn in reading order.

A token is drawn from what stands before it alone: the model cannot look at what is known further on, which a masked
model can (Muse, Chang et al. 2023, arXiv:2301.00704, section 3.3).
"""

import torch
from torch import Tensor

from lib.decoding.noise import RowRandom
from lib.decoding.predictor import Decoded, Predictor
from lib.decoding.window import Window
from lib.errors import EaselError


def decode(predictor: Predictor, random: RowRandom, known: Tensor) -> Decoded:
    """Tokens of every row, `length` passes; with nothing known those of lib/decoding/autoregressive.py.

    Args:
        known: int64 [B, length], −1 where a token is to be drawn.

    Raises:
        EaselError: known tokens of another shape, or random numbers for another number of rows.
    """
    shape = (predictor.rows, predictor.length)
    if tuple(known.shape) != shape:
        raise EaselError(f"known must be of {shape[0]} pictures of {shape[1]} tokens, not {tuple(known.shape)}.")
    window = Window(predictor, random, width=1)
    noise = random.gumbel(predictor.length, predictor.codes)
    one = torch.ones_like(window.done)
    for slot in range(predictor.length):
        log_p = predictor.predict(window.inputs, window.base)  # [B, 1, V]
        drawn = (log_p + noise[:, slot : slot + 1]).argmax(dim=-1)  # [B, 1]
        given = known[:, slot : slot + 1]
        window.write(torch.where(given >= 0, given, drawn))
        window.advance(one)
    return window.decoded()
