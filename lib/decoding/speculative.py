"""The test of speculative sampling (Leviathan et al. 2023, arXiv:2211.17192; Chen et al. 2023, arXiv:2302.01318), which
SJD, SJD2 and the trained drafters share.

A draft that was drawn from q is accepted with the probability min(1, p / q); after a rejection the token is drawn from
the residual, max(0, p − q) normalised. Either way the token follows p exactly. For a row of drafts this holds slot by
slot, as long as what was drawn at a slot has no influence on the slots before it, and is tested once.
"""

import torch
from torch import Tensor

# Keeps rounding from bringing u · total up to the total, which no sum exceeds.
BELOW_ONE = 1 - 2.0**-23


def probabilities(log_p: Tensor) -> Tensor:
    """exp of normalised log-probabilities [..., V], by way of softmax: on a processor torch's exp takes up to a hundred
    times as long where results are zero or too small for a normal float, and most codes are that unlikely."""
    return log_p.softmax(dim=-1)


def draw(weights: Tensor, uniform: Tensor) -> Tensor:
    """Draws from distributions by inversion of their cumulative sums, which takes one random number a draw.

    Args:
        weights: float [..., V], ≥ 0, not necessarily normalised. Codes of weight 0 are never drawn.
        uniform: [...], from [0, 1).

    Returns:
        int64 [...].
    """
    reached = weights.cumsum(dim=-1)
    aim = (uniform * BELOW_ONE).unsqueeze(-1) * reached[..., -1:]
    return torch.searchsorted(reached, aim, right=True).squeeze(-1)


def picked(log_p: Tensor, drafts: Tensor) -> Tensor:
    """The log-probabilities [B, W] that distributions [B, W, V] give to drafts, int64 [B, W]."""
    return log_p.gather(-1, drafts.unsqueeze(-1)).squeeze(-1)


def chances(log_p: Tensor, log_q: Tensor) -> Tensor:
    """p / q of every draft, which is accepted if that is larger than a uniform number: float [B, W].

    Args:
        log_p, log_q: the drafts' own log-probabilities under the network and the proposal, [B, W]. Where both are −inf
            the result is NaN, which is larger than nothing.
    """
    return (log_p - log_q).exp()


def leading(passed: Tensor) -> Tensor:
    """How many slots pass before the first that does not: bool [B, W] → int64 [B]."""
    return passed.cumprod(dim=1).sum(dim=1)


def residual(p: Tensor, q: Tensor) -> Tensor:
    """max(0, p − q), not normalised, of probabilities [..., V]; p itself where rounding leaves nothing of it."""
    rest = (p - q).clamp(min=0)
    return torch.where(rest.sum(dim=-1, keepdim=True) > 0, rest, p)


def corrected(log_p: Tensor, log_q: Tensor, agreed: Tensor, uniform: Tensor, tested: Tensor | None = None) -> Tensor:
    """The token at the first slot that did not pass: a draw from its residual.

    Args:
        log_p: [B, W, V].
        log_q: of that slot alone, [B, V].
        agreed: int64 [B], how many slots passed; where all did, the result means nothing.
        uniform: [B, W], of which each row uses the number of that slot.
        tested: bool [B, W], None for all: what was not tested was not rejected, and is drawn from the prediction.

    Returns:
        int64 [B, 1].
    """
    slot = agreed.clamp(max=log_p.shape[1] - 1).unsqueeze(1)  # [B, 1]
    q = probabilities(log_q).unsqueeze(1)  # [B, 1, V]
    if tested is not None:
        q = q * tested.gather(1, slot).unsqueeze(2)
    p = probabilities(log_p.gather(1, slot.unsqueeze(2).expand_as(q)))  # [B, 1, V]
    return draw(residual(p, q), uniform.gather(1, slot))


def sampled(log_p: Tensor, uniform: Tensor, noise: Tensor | None = None) -> Tensor:
    """A draw from every prediction, int64 [B, W].

    Args:
        log_p: [B, W, V].
        uniform: [B, W], what is drawn with where there is no noise.
        noise: Gumbel numbers [B, W, V].
    """
    return draw(probabilities(log_p), uniform) if noise is None else (log_p + noise).argmax(dim=-1)


def redrawn(
    log_p: Tensor,
    log_q: Tensor,
    agreed: Tensor,
    uniform: Tensor,
    tested: Tensor | None = None,
    noise: Tensor | None = None,
) -> Tensor:
    """What replaces drafts after a test, int64 [B, W]: at the first slot that did not pass a draw from its residual, at
    all others, those that passed among them, draws from the prediction.

    Args:
        log_p, log_q, agreed, uniform, tested: as in `corrected`.
        noise: for the draws from predictions, Gumbel numbers [B, W, V]; not for residuals, since the draft that was
            rejected came from them.
    """
    slot = agreed.clamp(max=log_p.shape[1] - 1).unsqueeze(1)  # [B, 1]
    return sampled(log_p, uniform, noise).scatter(1, slot, corrected(log_p, log_q, agreed, uniform, tested))
