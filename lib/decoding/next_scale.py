"""Sampling from next-scale models (VAR, Tian et al. 2024, arXiv:2404.02905, section 3.2): a pass a scale, from one
token for all of the picture to one a cell. A pass predicts all tokens of its scale at once and draws each from its
prediction alone, given all coarser scales as they were drawn.

This is exact sampling from what the network was trained as: tokens of a scale are independent given the coarser ones.

In- and outpainting are the same sampler with some tokens of every scale known.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor

from lib.decoding.masked import check_rows
from lib.decoding.noise import RowRandom
from lib.decoding.predictor import Decoded
from lib.decoding.speculative import draw, probabilities
from lib.errors import EaselError

# Tokens of all coarser scales, int64 [B, n] → those of the next scale that are known, int64 [B, size]; −1 elsewhere.
Known = Callable[[Tensor], Tensor]


class ScalePredictor(Protocol):
    """A network that predicts a scale from the coarser ones, with the caption, guidance, temperature and top-k inside.

    Attributes:
        sizes: tokens of each scale, from the coarsest.
        codes: tokens are 0 … codes − 1.
        rows: pictures decoded at once, B.
    """

    sizes: Sequence[int]
    codes: int
    rows: int

    def predict(self, tokens: Tensor) -> Tensor:
        """Log-probabilities float32 [B, size, codes] of the next scale's tokens, normalised.

        Args:
            tokens: of all coarser scales in one row, int64 [B, n], n = 0 for the first one. Each of them has been
                predicted in an earlier call; what those calls were given still holds.
        """
        ...


def decode(predictor: ScalePredictor, random: RowRandom, known: Known | None = None) -> Decoded:
    """Tokens of all scales in one row, as many passes as scales; a pass draws one uniform number a token.

    Args:
        known: tokens that are not drawn. It is asked once a scale, so what is known may follow from what was drawn.

    Raises:
        EaselError: random numbers for another number of pictures, or known tokens of another shape or that are none.
    """
    check_rows(predictor, random)
    tokens = torch.empty(predictor.rows, 0, dtype=torch.int64, device=random.device)
    for size in predictor.sizes:
        drawn = draw(probabilities(predictor.predict(tokens)), random.uniform(size))  # [B, size]
        if known is not None:
            given = known(tokens).to(drawn.device)
            check_known(given, drawn.shape, predictor.codes)
            drawn = torch.where(given < 0, drawn, given)
        tokens = torch.cat([tokens, drawn], dim=1)
    accepted = torch.tensor(predictor.sizes, device=random.device).expand(predictor.rows, -1)
    return Decoded(tokens, torch.full_like(accepted[:, 0], len(predictor.sizes)), accepted)


def check_known(given: Tensor, shape: torch.Size, codes: int) -> None:
    """Refuses known tokens of another shape, or that are no tokens. Raises EaselError."""
    if given.shape != shape:
        raise EaselError(f"known must be of {shape[0]} pictures of {shape[1]} tokens, not {tuple(given.shape)}.")
    if ((given < -1) | (given >= codes)).any():
        raise EaselError(f"known must be tokens 0 … {codes - 1}, and −1 for what is unknown.")
