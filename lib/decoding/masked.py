"""Parallel decoding of masked image models (MaskGIT, Chang et al. 2022, arXiv:2202.04200, section 3.2; Muse, Chang et
al. 2023, arXiv:2301.00704, section 2.8): a pass predicts all masked tokens at once, draws each from its prediction
alone, and keeps some of them, which stay as they are.

With one token a pass, in an order that does not look at what was drawn, this is exact sampling from a network whose
predictions are the conditionals of one law. What is drawn in the same pass is independent, which costs the more of the
law the fewer the passes are; and an order of confidence prefers pictures of likely tokens even with one token a pass.

Inpainting and outpainting are the same sampler with `known` tokens, each picture with the schedule of what it lacks.
"""

import math
from dataclasses import dataclass
from typing import Protocol, get_args

import torch
from torch import Tensor

from lib.decoding.noise import RowRandom
from lib.decoding.orders import Order, confidence, fixed_priority, highest
from lib.decoding.schedules import Schedule, masked_table
from lib.decoding.speculative import draw, picked, probabilities
from lib.errors import EaselError


class MaskedPredictor(Protocol):
    """A network that predicts masked tokens from those that are not, with the caption, guidance and top-k inside.

    Attributes:
        length: slots of a picture, N.
        codes: tokens are 0 … codes − 1; the mask is `codes`.
        rows: pictures decoded at once, B.
    """

    length: int
    codes: int
    rows: int

    def predict(self, tokens: Tensor, progress: Tensor) -> Tensor:
        """Log-probabilities float32 [B, N, codes], normalised. Those of slots that are not masked are not used, nor are
        those of pictures without a mask, but all are finite or −inf.

        Args:
            tokens: int64 [B, N], masks among them.
            progress: float32 [B], share of the picture's passes that are done with this one: 1/T, …, 1. A guidance
                that rises (Muse, section 2.7) or begins late follows it; the masking rate is in the tokens.
        """
        ...


@dataclass(frozen=True)
class Trace:
    """What each pass did; P passes are those of the picture that took most.

    Attributes:
        tokens: int64 [P, B, N] after the pass, masks among them.
        drafts: int64 [P, B, N], the same with what was drawn in the place of masks: the picture as it would be now.
        entropy: float32 [P, B], of a prediction, mean of the slots that the pass found masked, nat; NaN for none.
        confidence: float32 [P, B], log-probability of a token that the pass fixed, mean, nat; NaN for none.
    """

    tokens: Tensor
    drafts: Tensor
    entropy: Tensor
    confidence: Tensor


@dataclass(frozen=True)
class Unmasked:
    """Pictures and what they cost.

    Attributes:
        tokens: int64 [B, N], never the mask.
        passes: int64 [B], network calls until the picture was complete; 0 where all was known.
        accepted: int64 [B, P], tokens that each pass fixed, 0 once the picture was complete.
        trace: None if it was not asked for, or nothing was unknown.
    """

    tokens: Tensor
    passes: Tensor
    accepted: Tensor
    trace: Trace | None = None


def decode(
    predictor: MaskedPredictor,
    random: RowRandom,
    *,
    steps: int,
    order: Order = "confidence",
    schedule: Schedule = "cosine",
    noise: float = 1.0,
    temperature: float = 1.0,
    last_temperature: float | None = None,
    known: Tensor | None = None,
    columns: int | None = None,
    trace: bool = False,
) -> Unmasked:
    """Unmasks pictures.

    Every pass draws one uniform number a slot for the tokens, and then, in the order of confidence, one Gumbel number a
    slot; the random order is drawn before the first pass.

    Args:
        steps: passes, 1 … N; a picture with fewer unknown tokens takes one pass for each.
        order: of unmasking (lib/decoding/orders.py).
        schedule: of the number of masked tokens (lib/decoding/schedules.py).
        noise: scale c of the Gumbel noise on confidence, ≥ 0: c (1 − progress), so that there is none in the last pass
            (MaskGIT's code: 4.5 at 12 passes). Other orders have no use for it.
        temperature: of the tokens' draws, ≥ 0; 0 takes the likeliest. Confidence is measured without it.
        last_temperature: what it falls or rises to, in proportion to the progress; None for a constant one.
        known: int64 [B, N], tokens that stay as they are; −1 or the mask elsewhere. None for nothing known.
        columns: of the picture, for Halton's order; None for a square one.
        trace: whether to keep a `Trace`.

    Raises:
        EaselError: an option outside its range, or random numbers for another number of pictures.
    """
    last_temperature = temperature if last_temperature is None else last_temperature
    if not 1 <= steps <= predictor.length:
        raise EaselError(f"steps must be 1 … {predictor.length}, the slots of a picture, not {steps}.")
    if order not in get_args(Order):
        raise EaselError(f"there is no order {order!r}; choose one of {', '.join(get_args(Order))}.")
    for name, value in (("noise", noise), ("temperature", temperature), ("last_temperature", last_temperature)):
        check_scale(name, value)
    check_rows(predictor, random)
    tokens = initial(predictor, known, random.device)  # [B, N]
    left = masked_table(schedule, (tokens == predictor.codes).sum(dim=1), steps)  # [B, 1 + P]
    accepted = -left.diff(dim=1)  # [B, P]
    passes = (accepted > 0).sum(dim=1)  # [B]
    priority = fixed_priority(order, random, predictor.length, columns)  # [B, N], or None
    kept: list[tuple[Tensor, ...]] = []
    for number in range(accepted.shape[1]):
        progress = ((number + 1) / passes.clamp(min=1)).clamp(max=1)  # [B]
        log_p = predictor.predict(tokens, progress)  # [B, N, V]
        masked = tokens == predictor.codes
        warmth = last_temperature + (temperature - last_temperature) * (1 - progress)  # [B]
        drafts = torch.where(masked, drawn(log_p, random.uniform(predictor.length), warmth), tokens)
        sure = picked(log_p, drafts)  # [B, N]
        if order == "confidence":
            priority = confidence(sure, random.gumbel(predictor.length), noise * (1 - progress))
        fixed = highest(priority, masked, accepted[:, number])
        tokens = torch.where(fixed, drafts, tokens)
        if trace:
            kept.append((tokens, drafts, mean(entropy(log_p), masked), mean(sure, fixed)))
    return Unmasked(
        tokens=tokens,
        passes=passes,
        accepted=accepted,
        trace=Trace(*map(torch.stack, zip(*kept, strict=True))) if kept else None,
    )


def check_scale(name: str, value: float) -> None:
    """Refuses an option that is not a finite number ≥ 0. Raises EaselError."""
    if not (math.isfinite(value) and value >= 0):
        raise EaselError(f"{name} must be 0 or more, not {value}.")


def check_rows(predictor: MaskedPredictor, random: RowRandom) -> None:
    """Refuses random numbers for another number of pictures. Raises EaselError."""
    if random.rows != predictor.rows:
        raise EaselError(f"{predictor.rows} pictures need a seed each, got {random.rows} seeds.")


def initial(predictor: MaskedPredictor, known: Tensor | None, device: torch.device) -> Tensor:
    """Pictures before the first pass: known tokens, and the mask where there are none, int64 [B, N].

    Raises:
        EaselError: known tokens of another shape, or that are not tokens.
    """
    shape, mask = (predictor.rows, predictor.length), predictor.codes
    if known is None:
        return torch.full(shape, mask, device=device)
    if known.shape != shape:
        raise EaselError(f"known must be of {shape[0]} pictures of {shape[1]} tokens, not {tuple(known.shape)}.")
    if ((known < -1) | (known > mask)).any():
        raise EaselError(f"known must be tokens 0 … {mask - 1}, and −1 or {mask} for what is unknown.")
    return torch.where(known < 0, mask, known).to(device)


def drawn(log_p: Tensor, uniform: Tensor, temperature: Tensor) -> Tensor:
    """A draw from every prediction [B, N, V], with uniform numbers [B, N], at temperatures [B]: int64 [B, N]."""
    warm = temperature > 0
    scaled = log_p / torch.where(warm, temperature, 1).view(-1, 1, 1)
    return torch.where(warm.unsqueeze(1), draw(probabilities(scaled), uniform), log_p.argmax(dim=-1))


def entropy(log_p: Tensor) -> Tensor:
    """Of predictions [B, N, V], in nat: [B, N]."""
    return torch.special.entr(probabilities(log_p)).sum(dim=-1)


def mean(values: Tensor, where: Tensor) -> Tensor:
    """Of each picture's values [B, N] at the slots of a mask, bool [B, N] → [B]; NaN where it has none."""
    return values.masked_fill(~where, 0).sum(dim=1) / where.sum(dim=1)
