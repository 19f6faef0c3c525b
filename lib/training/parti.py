"""Training lib/models/parti.py: mean cross-entropy over the image tokens, each given the caption and those before it.

Captions are dropped for a picture at a time, and then nothing of them is seen (lib/models/caption_context.py). Weights
are averaged after every update, as the masked and the diffusion models' are.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from lib.data.captions import Captions, check_tokens
from lib.models.parti import Parti
from lib.models.text_encoder import TextFeatures
from lib.training.averaged_settings import AveragedTrainingParams
from lib.training.captioned import CaptionedBatches, CaptionedTrainee, Encode
from lib.training.precision import autocast


class TokenBatches(CaptionedBatches):
    """Captions and tokens of a split, from which every update draws.

    Args:
        model: that the tokens must fit.
        captions: of every picture.
        tokens: integers [pictures, length], codes in reading order.
        seed: of captions; step `n` draws from (seed, n) alone.

    Raises:
        EaselError: tokens that do not fit the model.
    """

    def __init__(
        self,
        model: Parti,
        captions: Captions,
        tokens: np.ndarray,
        encode: Encode,
        params: AveragedTrainingParams,
        seed: int,
    ):
        check_tokens(tokens, len(captions), model.config.length, model.config.codes)
        super().__init__(captions, encode, params.training.caption_dropout, seed, model.head.weight.device)
        self.tokens = tokens

    def __call__(self, step: int, indices: np.ndarray) -> tuple[TextFeatures, Tensor, Tensor]:
        """Features of a caption of each of the given pictures, which captions are dropped, bool [B], and tokens int64
        [B, length]."""
        text, dropped = self.text(indices, self.random(step))
        return text, dropped, self.there(self.tokens[indices].astype(np.int64))


class PartiTrainee(CaptionedTrainee):
    """What `lib.training.loop.fit` trains, on `TokenBatches`."""

    def loss(self, step: int, indices: np.ndarray) -> tuple[Tensor, dict[str, Tensor]]:
        """What is descended."""
        text, dropped, tokens = self.batches(step, indices)
        with autocast(self.device):
            logits = self.model(tokens, text, dropped)  # [B, length, codes]
        return F.cross_entropy(logits.float().flatten(0, 1), tokens.flatten()), {}


@torch.no_grad()
def measure(model: Parti, batches: TokenBatches, pictures: int, batch_size: int = 64) -> float:
    """Mean cross-entropy of held-out pictures, nats a token; captions follow from the batches' seed.

    Args:
        batches: of the held-out split.
        pictures: how many of them, the first ones.
    """
    total = 0.0
    for start in range(0, pictures, batch_size):
        text, dropped, tokens = batches(start, np.arange(start, min(start + batch_size, pictures)))
        logits = model(tokens, text, dropped).float()
        total += F.cross_entropy(logits.flatten(0, 1), tokens.flatten()).item() * len(tokens)
    return total / pictures
