"""Editing without a mask (Muse, Chang et al. 2023, arXiv:2301.00704, section 3.3): a small share of the tokens, chosen
by chance, is masked and drawn anew under a new caption, over and over.

This is Gibbs sampling in blocks: the picture moves towards those that the caption makes likely, and is at every moment
one token share away from where it was. With one token at a time, and a network whose predictions are the conditionals
of one law, that law is what it ends at. Every draw is kept: the paper has no test of what changed.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from lib.decoding.masked import MaskedPredictor, check_rows, check_scale, drawn, initial
from lib.decoding.noise import RowRandom
from lib.decoding.orders import highest
from lib.errors import EaselError


@dataclass(frozen=True)
class Edited:
    """Pictures after their editing, as many network calls as iterations.

    Attributes:
        tokens: int64 [B, N].
        changed: int64 [B, iterations], tokens that came out as others than they were.
        trace: int64 [iterations, B, N], the pictures after every iteration; None if it was not asked for.
    """

    tokens: Tensor
    changed: Tensor
    trace: Tensor | None = None


def resample(
    predictor: MaskedPredictor,
    random: RowRandom,
    tokens: Tensor,
    *,
    iterations: int = 100,
    share: float = 0.08,
    temperature: float = 1.0,
    trace: bool = False,
) -> Edited:
    """Edits pictures by iterated resampling; the defaults are the paper's.

    The predictor holds the new caption; the paper's has guidance 4 and top-k 3. Its progress is 1 in every iteration:
    guidance does not rise here. An iteration draws two uniform numbers a slot: which are masked, and what is drawn.

    Args:
        tokens: int64 [B, N], the pictures to edit.
        iterations: ≥ 1.
        share: of the tokens that an iteration masks, 0 < share ≤ 1, rounded, at least one token.
        temperature: of the draws, ≥ 0; 0 takes the likeliest.
        trace: whether to keep the pictures after every iteration.

    Raises:
        EaselError: an option outside its range, tokens that are none or are missing, or random numbers for another
            number of pictures.
    """
    if iterations < 1:
        raise EaselError(f"iterations must be 1 or more, not {iterations}.")
    if not 0 < share <= 1:
        raise EaselError(f"share must be above 0 and at most 1, not {share}.")
    check_scale("temperature", temperature)
    check_rows(predictor, random)
    tokens = initial(predictor, tokens, random.device)
    mask, length = predictor.codes, predictor.length
    if (tokens == mask).any():
        raise EaselError("a picture to edit has all its tokens; fill in what is missing first.")
    count = torch.full((predictor.rows,), max(1, round(share * length)), device=tokens.device)
    everywhere = torch.ones_like(tokens, dtype=torch.bool)
    constant = torch.full((predictor.rows,), temperature, device=tokens.device)
    done = torch.ones(predictor.rows, device=tokens.device)
    changed, pictures = [], []
    for _ in range(iterations):
        chosen = highest(random.uniform(length), everywhere, count)  # [B, N]
        log_p = predictor.predict(tokens.masked_fill(chosen, mask), done)  # [B, N, V]
        new = torch.where(chosen, drawn(log_p, random.uniform(length), constant), tokens)
        changed.append((new != tokens).sum(dim=1))
        tokens = new
        if trace:
            pictures.append(tokens)
    return Edited(tokens, torch.stack(changed, dim=1), torch.stack(pictures) if trace else None)
