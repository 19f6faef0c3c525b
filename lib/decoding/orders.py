"""Which of the masked tokens a pass fixes: those of the highest priority.

- `confidence` (MaskGIT, Chang et al. 2022, arXiv:2202.04200, section 3.2; Muse, arXiv:2301.00704, section 2.8): the
  log-probability of the token that was drawn, with Gumbel noise. Without noise, or with little, a plain ground comes
  first and fills the picture: the most common token is the one a network is surest of.
- `halton` (Besnier et al. 2025, arXiv:2503.17076): one order for all pictures, in which any number of slots in a row
  is spread over the picture, so that those fixed together tell least of one another.
- `random`: an order of its own for every picture, drawn before the first pass.
"""

from functools import cache
from typing import Literal

import torch
from torch import Tensor

from lib.decoding.noise import RowRandom
from lib.errors import EaselError

Order = Literal["confidence", "halton", "random"]


def radical_inverse(number: int, base: int) -> tuple[int, int]:
    """The digits of a whole number mirrored at the point, as a fraction: of 6 = 110₂ it is 0.011₂ = 3/8."""
    numerator, denominator = 0, 1
    while number:
        number, digit = divmod(number, base)
        numerator, denominator = numerator * base + digit, denominator * base
    return numerator, denominator


@cache
def halton_order(rows: int, columns: int) -> tuple[int, ...]:
    """The slots of a grid, each once, in the order in which Halton's points reach them.

    Point k = 1, 2, … lies at the share φ₂(k) of the rows and φ₃(k) of the columns (the authors' code: base 2 goes down,
    base 3 to the right); a slot that was reached before is passed over.
    """
    order: dict[int, None] = {}
    point = 0
    while len(order) < rows * columns:
        point += 1
        (down, halves), (right, thirds) = radical_inverse(point, 2), radical_inverse(point, 3)
        order.setdefault(down * rows // halves * columns + right * columns // thirds)
    return tuple(order)


def fixed_priority(order: Order, random: RowRandom, length: int, columns: int | None) -> Tensor | None:
    """Priorities that depend on no prediction: float32 [B, length]; None for the order of confidence.

    Args:
        columns: of the picture, for Halton's order; None for a square one.

    Raises:
        EaselError: columns that do not divide the picture.
    """
    if order == "confidence":
        return None
    if order == "random":
        return random.uniform(length)
    columns = round(length**0.5) if columns is None else columns
    if columns < 1 or length % columns:
        raise EaselError(f"a picture of {length} slots does not have {columns} columns; set columns.")
    slots = torch.tensor(halton_order(length // columns, columns), device=random.device)
    return -slots.argsort().float().expand(random.rows, -1)  # the later in the order, the lower


def confidence(log_p: Tensor, gumbel: Tensor, scale: Tensor) -> Tensor:
    """Log-probabilities of drawn tokens [B, N], with Gumbel numbers [B, N] at a scale [B] → [B, N].

    The scale multiplies the noise: MaskGIT's docstring says that its temperature multiplies the log-probability, its
    code, which is followed here, the noise.
    """
    return log_p + scale.unsqueeze(1) * gumbel


def highest(priority: Tensor, masked: Tensor, count: Tensor) -> Tensor:
    """The `count` masked slots of highest priority, exactly so many: of equals the first in reading order.

    Args:
        priority: [B, N].
        masked: bool [B, N].
        count: int64 [B], at most the number of masked slots.

    Returns:
        bool [B, N].
    """
    ranked = priority.masked_fill(~masked, -torch.inf).argsort(dim=1, descending=True, stable=True)  # slots by rank
    return ranked.argsort(dim=1) < count.unsqueeze(1)  # ranks by slot
