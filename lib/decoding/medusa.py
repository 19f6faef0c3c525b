"""Medusa (Cai et al. 2024, arXiv:2401.10774) with a chain of drafts: trained heads read one feature of the network and
predict the next few slots at once, each without knowing what the others drew; the network tests them in its next pass.

The acceptance here is speculative sampling's, so that decoding is lossless; the paper's "typical acceptance" is not.
"""

import math
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from lib.decoding.noise import RowRandom
from lib.decoding.predictor import Decoded, FeaturePredictor
from lib.decoding.speculative import chances, corrected, draw, leading, picked, probabilities
from lib.decoding.window import Window


class MedusaHeads(Protocol):
    """Trained heads.

    Attributes:
        heads: number of slots that they predict, K.
    """

    heads: int

    def predict(self, features: Tensor) -> Tensor:
        """From the features [B, …] that slot s was predicted from: log-probabilities [B, K, codes] of slots
        s + 1 … s + K."""
        ...


def decode(predictor: FeaturePredictor, heads: MedusaHeads, random: RowRandom) -> Decoded:
    """Decoding with heads; a pass fixes 1 … K + 1 tokens."""
    view = Window(predictor, random, heads.heads + 1)
    rows = view.rows.squeeze(1)
    # The first pass has no features to draft from: random codes.
    count = view.width - 1  # drafts of a pass: K, or fewer in a picture of fewer slots
    chain = random.integers(predictor.codes, count)  # [B, K]
    tested = (view.offsets < count).expand_as(view.slots)
    log_q = torch.full((len(rows), count, predictor.codes), -math.log(predictor.codes), device=random.device)
    while view.unfinished():
        window = torch.cat([chain, chain.new_zeros(view.rows.shape)], dim=1)  # [B, K + 1]; the last one is never read
        view.write(window)
        log_p, features = predictor.predict_features(view.inputs, view.base)  # [B, K + 1, V], [B, K + 1, …]
        for_test, for_draw, for_drafts = random.uniform(3, view.width).unbind(dim=1)  # [B, K + 1] each
        agreed = leading(for_test[:, :-1] < chances(picked(log_p[:, :-1], chain), picked(log_q, chain)))
        # The slot after the chain has no draft that could have been rejected.
        correction = corrected(log_p, F.pad(log_q, (0, 0, 0, 1))[rows, agreed], agreed, for_draw, tested)
        view.write(torch.where(view.offsets == agreed.unsqueeze(1), correction, window))
        view.advance(agreed + 1)

        log_q = heads.predict(features[rows, agreed])[:, :count]  # of the slot fixed last → [B, K, V]
        chain = draw(probabilities(log_q), for_drafts[:, :-1])
    return view.decoded()
