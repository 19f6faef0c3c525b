"""LANTERN (Jang et al. 2024, arXiv:2410.03355): EAGLE-style drafting with a relaxed test, which takes codes that look
alike for one another. Not lossless, on purpose.

For the test, the probability of a draft is raised by that of its nearest codes in the quantizer's space, as many as
keep what is added within the budget δ, a bound on the total variation distance for this draft; those codes get none.
The draft is tested with, and after a rejection the token is drawn from, that distorted distribution, so that a
rejection never gives one of the draft's neighbours. A budget of 0 is EAGLE.
"""

import torch
from torch import Tensor

from lib.decoding import eagle
from lib.decoding.noise import RowRandom
from lib.decoding.predictor import Decoded, FeaturePredictor
from lib.decoding.speculative import chances, picked, probabilities
from lib.errors import EaselError


def neighbours(codebook: Tensor, count: int) -> Tensor:
    """Every code's nearest other codes by Euclidean distance, nearest first: float [V, D] → int64 [V, count].

    Raises:
        EaselError: more neighbours than there are other codes, or none.
    """
    codes = len(codebook)
    if not 1 <= count < codes:
        raise EaselError(f"a code of {codes} has 1 … {codes - 1} neighbours, not {count}.")
    # Row by row differences would take V² D numbers; a code's distance to itself is made the largest.
    distances = torch.cdist(codebook, codebook).fill_diagonal_(torch.inf)
    return distances.argsort(dim=1, stable=True)[:, :count]


def decode(
    predictor: FeaturePredictor,
    drafter: eagle.EagleDrafter,
    random: RowRandom,
    *,
    near: Tensor,
    budget: float = 0.1,
    drafts: int = 4,
) -> Decoded:
    """EAGLE with LANTERN's test.

    Args:
        near: int64 [V, k], from `neighbours`.
        budget: δ, probability that may be moved to a draft, 0 … 1.
        drafts: tokens of a chain.

    Raises:
        EaselError: an option outside its range.
    """
    if not 0 <= budget <= 1:
        raise EaselError(f"the budget δ is a probability, 0 … 1, not {budget}.")

    def relaxed(log_p: Tensor, log_q: Tensor, tokens: Tensor, uniform: Tensor) -> tuple[Tensor, Tensor]:
        distorted = pool(log_p, tokens, near, budget)
        return uniform < chances(picked(distorted, tokens), picked(log_q, tokens)), distorted

    return eagle.decode(predictor, drafter, random, drafts=drafts, acceptance=relaxed)


def pool(log_p: Tensor, drafts: Tensor, near: Tensor, budget: float) -> Tensor:
    """The distorted log-probabilities of the test.

    Args:
        log_p: [B, K, V].
        drafts: int64 [B, K].
        near: int64 [V, k].
        budget: δ.

    Returns:
        [B, K, V].
    """
    around = near[drafts]  # [B, K, k]
    p = probabilities(log_p)
    mass = p.gather(-1, around)
    taken = torch.where(mass.cumsum(dim=-1) <= budget, mass, 0.0)
    p = p.scatter_add(-1, around, -taken)  # exactly 0 where taken
    return p.scatter_add(-1, drafts.unsqueeze(-1), taken.sum(dim=-1, keepdim=True)).log()
