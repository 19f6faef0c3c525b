"""Training lib/models/var.py (VAR, Tian et al. 2024, arXiv:2404.02905): mean cross-entropy over the tokens of all
scales, each given the caption and the coarser scales.

As in the paper a token of the coarsest scale counts as much as one of the finest, and coarser scales are always the
picture's own: the model never sees its own errors. Captions are dropped and weights averaged as those of
lib/training/parti.py.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from lib.models.multi_scale_quantizer import MultiScaleQuantizer
from lib.models.text_encoder import TextFeatures
from lib.models.var import Var
from lib.models.var_predictor import check_quantizer
from lib.training.averaged_settings import AveragedTrainingParams
from lib.training.captioned import CaptionedTrainee
from lib.training.parti import TokenBatches
from lib.training.precision import autocast


class VarTrainee(CaptionedTrainee):
    """What `lib.training.loop.fit` trains, on `TokenBatches` of the tokens of all scales.

    Logs the loss and, for each scale of n × n cells, `loss_<n>` and `right_<n>`, the share of tokens whose most likely
    code is the right one.

    Args:
        quantizer: of the tokenizer, not trained here.

    Raises:
        EaselError: a quantizer of other scales or codes.
    """

    def __init__(
        self, model: Var, batches: TokenBatches, params: AveragedTrainingParams, quantizer: MultiScaleQuantizer
    ):
        check_quantizer(model, quantizer)
        super().__init__(model, batches, params)
        self.quantizer = quantizer

    def loss(self, step: int, indices: np.ndarray) -> tuple[Tensor, dict[str, Tensor]]:
        """What is descended, and the health of every scale."""
        with autocast(self.device):
            losses, right = token_losses(self.model, self.quantizer, *self.batches(step, indices))
        numbers = by_scale("loss", losses.detach(), self.model) | by_scale("right", right.float(), self.model)
        return losses.mean(), numbers


def token_losses(
    model: Var, quantizer: MultiScaleQuantizer, text: TextFeatures, dropped: Tensor, tokens: Tensor
) -> tuple[Tensor, Tensor]:
    """Cross-entropy of every token in nats, and whether it is the most likely one: float32 [B, N], bool [B, N].

    Args:
        dropped: bool [B]; tokens: of all scales, int64 [B, N].
    """
    inputs = quantizer.inputs(tokens[:, : -model.config.sizes[-1]])  # of all scales but the first
    logits = model(inputs, text, dropped).float()  # [B, N, codes]
    losses = F.cross_entropy(logits.transpose(1, 2), tokens, reduction="none")
    return losses, logits.argmax(dim=2) == tokens


def by_scale(name: str, values: Tensor, model: Var) -> dict[str, Tensor]:
    """Means of values [B, N] over the tokens of each scale: `name_1`, `name_2`, …"""
    parts = values.split(model.config.sizes, dim=1)
    return {f"{name}_{side}": part.mean() for side, part in zip(model.config.scales, parts, strict=True)}


@torch.no_grad()
def measure(
    model: Var, quantizer: MultiScaleQuantizer, batches: TokenBatches, pictures: int, batch_size: int = 64
) -> dict[str, float]:
    """Mean cross-entropy of held-out pictures in nats a token, `loss`, and what the trainee logs of every scale;
    captions follow from the batches' seed.

    Args:
        batches: of the held-out split.
        pictures: how many of them, the first ones.
    """
    parts = []
    for start in range(0, pictures, batch_size):
        given = batches(start, np.arange(start, min(start + batch_size, pictures)))
        parts.append(token_losses(model, quantizer, *given))
    losses, right = map(torch.cat, zip(*parts, strict=True))
    numbers = by_scale("loss", losses, model) | by_scale("right", right.float(), model)
    return {"loss": losses.mean().item()} | {name: value.item() for name, value in numbers.items()}
