"""EAGLE (Li et al. 2024, arXiv:2401.15077) with a chain of drafts: a small trained network extrapolates the features of
the large one, token after token, and the large one tests the chain in one pass.

Lossless whatever the drafter says: each draft is drawn from a distribution that is fixed by the tokens before it, and
tested by speculative sampling (lib/decoding/speculative.py). Passes are those of the large network; the drafter is
called `drafts` times besides in each of them.
"""

import math
from collections.abc import Callable
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from lib.decoding.noise import RowRandom
from lib.decoding.predictor import Decoded, FeaturePredictor
from lib.decoding.speculative import chances, corrected, draw, leading, picked, probabilities
from lib.decoding.window import Window
from lib.errors import EaselError


class EagleDrafter(Protocol):
    """A network with a cache of its own, which any later call may overwrite, as a `Predictor`'s."""

    def predict(self, inputs: Tensor, features: Tensor, start: Tensor) -> tuple[Tensor, Tensor]:
        """Log-probabilities [B, W, codes] and features [B, W, …] of slots start … start + W − 1, extrapolated.

        The first call has start = 1: there are no features of BOS.

        Args:
            inputs: int64 [B, W], the tokens at slots start − 1 … start + W − 2.
            features: [B, W, …], those that each of these tokens was predicted from.
            start: int64 [B]. Slots past the end of the picture mean nothing.
        """
        ...


# test(log_p, log_q, drafts, uniform) → (passed bool, log_p) of [B, K] drafts: which pass, and the distributions [B, K,
# V] that the correction aims at.
Acceptance = Callable[[Tensor, Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]


def exact(log_p: Tensor, log_q: Tensor, drafts: Tensor, uniform: Tensor) -> tuple[Tensor, Tensor]:
    """Speculative sampling's test."""
    return uniform < chances(picked(log_p, drafts), picked(log_q, drafts)), log_p


def decode(
    predictor: FeaturePredictor,
    drafter: EagleDrafter,
    random: RowRandom,
    *,
    drafts: int = 4,
    acceptance: Acceptance = exact,
) -> Decoded:
    """Decoding with a drafter.

    Args:
        drafts: tokens of a chain, K. A pass fixes 1 … K + 1 tokens.
        acceptance: the test of drafts.

    Raises:
        EaselError: no drafts.
    """
    if drafts < 1:
        raise EaselError(f"a chain has at least one draft, not {drafts}.")
    view = Window(predictor, random, drafts + 1)
    drafts = view.width - 1  # fewer in a picture of fewer slots
    rows = view.rows.squeeze(1)
    # The first pass has no features to draft from: random codes.
    chain = random.integers(predictor.codes, drafts)  # [B, K]
    tested = (view.offsets < drafts).expand_as(view.slots)
    log_q = torch.full((len(rows), drafts, predictor.codes), -math.log(predictor.codes), device=random.device)
    while view.unfinished():
        window = torch.cat([chain, chain.new_zeros(view.rows.shape)], dim=1)  # [B, K + 1]; the last one is never read
        view.write(window)
        log_p, features = predictor.predict_features(view.inputs, view.base)  # [B, K + 1, V], [B, K + 1, …]
        for_test, for_draw, for_drafts = random.uniform(3, view.width).unbind(dim=1)  # [B, K + 1] each
        passed, aims = acceptance(log_p[:, :-1], log_q, chain, for_test[:, :-1])
        agreed = leading(passed)
        # The slot after the chain has no draft that could have been rejected.
        aims, log_q = torch.cat([aims, log_p[:, -1:]], dim=1), F.pad(log_q, (0, 0, 0, 1))
        correction = corrected(aims, log_q[rows, agreed], agreed, for_draw, tested)
        tokens = torch.where(view.offsets == agreed.unsqueeze(1), correction, window)
        view.write(tokens)
        before = view.base
        view.advance(agreed + 1)

        # What was fixed now, with the features it was predicted from; then one token of the chain a call.
        said, ahead = drafter.predict(tokens, features, before + 1)  # [B, K + 1, V], [B, K + 1, …]
        said, ahead = said[rows, agreed].unsqueeze(1), ahead[rows, agreed].unsqueeze(1)  # [B, 1, V], [B, 1, …]
        proposals, chain = [said], [draw(probabilities(said), for_drafts[:, :1])]
        for index in range(1, drafts):
            said, ahead = drafter.predict(chain[-1], ahead, before + agreed + 1 + index)
            proposals.append(said)
            chain.append(draw(probabilities(said), for_drafts[:, index : index + 1]))
        log_q, chain = torch.cat(proposals, dim=1), torch.cat(chain, dim=1)  # [B, K, V], [B, K]
    return view.decoded()
