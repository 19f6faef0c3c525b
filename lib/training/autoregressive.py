"""Training the autoregressive model: mean cross-entropy over the image tokens."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from lib.data.captions import Captions, check_tokens
from lib.models.autoregressive import Autoregressive
from lib.training.descent import autocast
from lib.training.settings import DescentParams
from lib.training.trainee import DescentTrainee


class Batches:
    """Captions and image tokens of a split, from which every update draws.

    Args:
        model: that the tokens must fit.
        captions: of every picture.
        tokens: integers [pictures, length], codes in reading order.
        dropout: share of captions replaced by the empty one.
        seed: of the caption draws; step `n` draws from (seed, n) alone.

    Raises:
        EaselError: tokens of the wrong shape or outside the model's codes, or not one picture per caption list.
    """

    def __init__(self, model: Autoregressive, captions: Captions, tokens: np.ndarray, dropout: float, seed: int):
        check_tokens(tokens, len(captions), model.config.length, model.config.codes)
        self.captions, self.tokens, self.dropout, self.seed = captions, tokens, dropout, seed
        self.padding, self.device = model.config.text_padding, model.head.weight.device

    def __call__(self, step: int, indices: np.ndarray) -> tuple[Tensor, Tensor]:
        """Captions, without the padding that all share, and image tokens int64 [B, length] of the given pictures."""
        random = np.random.Generator(np.random.PCG64([self.seed, step]))
        text_ids = self.captions.draw(indices, self.dropout, random)
        text_ids = text_ids[:, (text_ids != self.padding).any(axis=0)]  # [B, longest]
        return tuple(
            torch.from_numpy(array.astype(np.int64)).to(self.device) for array in (text_ids, self.tokens[indices])
        )


class AutoregressiveTrainee(DescentTrainee):
    """What `lib.training.loop.fit` trains.

    Args:
        model: trained in place, where it lies.
        captions, tokens, seed: see `Batches`.
    """

    def __init__(self, model: Autoregressive, captions: Captions, tokens: np.ndarray, params: DescentParams, seed: int):
        super().__init__(model, params, model.blocks, {model.image_tokens.weight: 1 / model.scale.item()})
        self.seed = seed
        self.batches = Batches(model, captions, tokens, params.caption_dropout, seed)

    def loss(self, step: int, indices: np.ndarray) -> tuple[Tensor, dict[str, Tensor]]:
        """Mean cross-entropy of all image tokens."""
        text_ids, tokens = self.batches(step, indices)
        with autocast(self.device):
            logits = self.model(text_ids, tokens)  # [B, length, codes]
        return F.cross_entropy(logits.float().flatten(0, 1), tokens.flatten()), {}
