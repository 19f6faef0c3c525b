"""How many tokens of a picture are still masked after each pass of a masked model's sampler.

MaskGIT (Chang et al. 2022, arXiv:2202.04200, sections 3.2 and 3.3) leaves γ(t/T) · M of M tokens masked after pass t of
T, where γ falls from 1 to 0. M is the number of tokens that are unknown at the start, as in the authors' code, and not
the size of the picture: an inpainted region gets a whole schedule. Muse (arXiv:2301.00704, section 2.8) has the cosine.

Here it is n(t) = min(M − t, ⌊γ(t/T) · M⌋). The floor is the authors' code's (the paper has a ceiling), and M − t says
that no pass is wasted. Where T ≤ M that is all it takes: γ is concave, so once γ · M has fallen below M − t it falls by
one or more a pass, and so does its floor. Where T > M the first term is the smaller one, and there are M passes.
"""

import math
from collections.abc import Callable
from typing import Literal, get_args

import torch
from torch import Tensor

from lib.errors import EaselError

Schedule = Literal["cosine", "linear", "arccos"]

# γ, the share that is masked, of the share of passes that are done. γ(u) of a uniform u is the masking rate in training
# that belongs to it. All are concave.
SHARES: dict[Schedule, Callable[[float], float]] = {
    "cosine": lambda done: math.cos(math.pi / 2 * done),  # MaskGIT, Muse
    "linear": lambda done: 1 - done,  # MaskGIT
    "arccos": lambda done: 2 / math.pi * math.acos(done),  # code of Besnier et al. 2025, arXiv:2503.17076
}
# Decimals of γ · M that count, so that rounding errors do not where it is a whole number: that is, by Niven's theorem,
# where a cosine is 0, 1/2 or 1, and on the straight line.
DIGITS = 10


def masked_counts(schedule: Schedule, tokens: int, steps: int) -> list[int]:
    """Tokens that are masked before the first pass, after it, and so on: `tokens`, …, 0, each less than the one before.

    Args:
        tokens: unknown at the start, M ≥ 0.
        steps: passes, T ≥ 1; no more than `tokens` are made.

    Raises:
        EaselError: an unknown schedule, or no passes.
    """
    if schedule not in get_args(Schedule):
        raise EaselError(f"there is no schedule {schedule!r}; choose one of {', '.join(get_args(Schedule))}.")
    if steps < 1:
        raise EaselError(f"steps must be 1 or more, not {steps}.")
    share = SHARES[schedule]
    return [
        min(tokens - done, math.floor(round(share(done / steps) * tokens, DIGITS)))
        for done in range(min(steps, tokens) + 1)
    ]


def masked_table(schedule: Schedule, unknown: Tensor, steps: int) -> Tensor:
    """`masked_counts` of several pictures, each by its own number of unknown tokens.

    Args:
        unknown: int64 [B], waited for.

    Returns:
        int64 [B, 1 + most passes of a picture], 0 once a picture is complete.
    """
    rows = [masked_counts(schedule, tokens, steps) for tokens in unknown.tolist()]
    most = max(map(len, rows))
    return torch.tensor([row + [0] * (most - len(row)) for row in rows], device=unknown.device)
