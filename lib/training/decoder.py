"""Training of a tokenizer's decoder alone: pictures from the tokens that the frozen encoder made of them (Muse, Chang
et al. 2023, arXiv:2301.00704, section 2.5)."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lib.models.decoder import with_decoder
from lib.models.vqgan import VQGAN, pixels_to_tensor
from lib.training.supervised import Supervised
from lib.training.tokenizer import PERCEIVED, Extractor, autocast, perceptual_loss


def decoder_trainee(
    tokenizer: VQGAN,
    layers: nn.Module,
    images: np.ndarray,
    tokens: np.ndarray,
    steps: int,
    learning_rate: float,
    extractor: Extractor,
    perceptual_weight: float,
) -> Supervised:
    """What `lib.training.loop.fit` trains; the loss is the tokenizer's, of what a decoder can change.

    Args:
        layers: the decoder, as `lib.models.decoder.decoder` makes it.
        images: uint8 [N, S, S, 3], read a batch at a time; tokens: [N, h, w], what the encoder made of them.
        extractor: feature maps for the perceptual term.
    """
    painter = with_decoder(tokenizer, layers)

    def loss(step: int, indices: np.ndarray) -> Tensor:
        real = pixels_to_tensor(images[indices], painter.device)  # [B, 3, S, S]
        codes = painter.quantizer.lookup(torch.from_numpy(tokens[indices].astype(np.int64)))  # [B, h, w, d]
        with autocast(painter.device):
            fake = painter.paint(codes)
            perceived = perceptual_loss(extractor, real[::PERCEIVED], fake[::PERCEIVED])
        return 4 * F.mse_loss(fake, real) + perceptual_weight * perceived

    return Supervised(layers, loss, steps, learning_rate, weight_decay=0.0)
