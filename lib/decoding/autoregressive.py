"""Autoregressive sampling, one token of every row a pass: the reference that lossless decoders must agree with.

Draws by Gumbel noise, argmax(log p + G) with one table G of a row's slots by codes, so that Jacobi decoding with shared
noise (lib/decoding/jacobi.py) gives the same tokens from the same seeds.
"""

import torch

from lib.decoding.noise import RowRandom
from lib.decoding.predictor import Decoded, Predictor
from lib.decoding.window import Window


def decode(predictor: Predictor, random: RowRandom) -> Decoded:
    """Tokens of every row in reading order, `length` passes.

    Raises:
        EaselError: random numbers for another number of rows.
    """
    window = Window(predictor, random, width=1)
    noise = random.gumbel(predictor.length, predictor.codes)
    one = torch.ones_like(window.done)
    for slot in range(predictor.length):
        log_p = predictor.predict(window.inputs, window.base)  # [B, 1, V]
        window.write((log_p + noise[:, slot : slot + 1]).argmax(dim=-1))
        window.advance(one)
    return window.decoded()
