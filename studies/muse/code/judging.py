"""One judge for the tokens of all models: an autoregressive network of which none of them is drawn."""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F

from lib.painter.model import Model
from studies.muse.code.material import tokenised

JUDGE = "judge"  # among the trainings; draws nothing


@torch.no_grad()
def log_likelihoods(
    judge: Model, captions: Sequence[str], tokens: np.ndarray, text_length: int, batch_size: int = 64
) -> np.ndarray:
    """Mean log-likelihood of a token of every picture, given its caption and the tokens before: nats, float64 [R].

    Args:
        captions: R of them.
        tokens: integers [R, N].
    """
    ids, found = tokenised(captions, text_length), []
    for start in range(0, len(ids), batch_size):
        own = torch.from_numpy(tokens[start : start + batch_size].astype(np.int64))
        text = judge.features(ids[start : start + batch_size])
        logits = judge.network(own, text, torch.zeros(len(own), dtype=torch.bool)).float()  # [B, N, codes]
        losses = F.cross_entropy(logits.transpose(1, 2), own, reduction="none")  # [B, N]
        found.append(-losses.double().mean(dim=1))
    return torch.cat(found).numpy()
