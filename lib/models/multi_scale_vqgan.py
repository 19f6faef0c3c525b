"""The image tokenizer of next-scale models: encoder and decoder of lib/models/vqgan.py, and between them residual
quantisation over scales (VAR, arXiv:2404.02905, section 3.2)."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lib.data.captions import check_tokens
from lib.models.latents import as_pictures
from lib.models.multi_scale_quantizer import MultiScaleQuantizer, join_scales, split_scales
from lib.models.vqgan import VQGAN, pixels_to_tensor
from lib.weights import checkpoint
from lib.weights.torch_state import load_module


class MultiScaleVQGAN(VQGAN):
    """Pictures to tokens of all scales and back. `vqgan.save` writes it.

    Args:
        scales: cells of a token map in each direction; pictures have `stride` times the last one's pixels.
        others: as of `VQGAN`.
    """

    quantizer: MultiScaleQuantizer

    def __init__(
        self,
        scales: Sequence[int],
        width: int,
        codes: int,
        code_width: int,
        ema_decay: float,
        stride: int,
        generator: torch.Generator | None = None,
    ):
        super().__init__(width, codes, code_width, ema_decay, stride, generator)
        self.config |= {"scales": list(scales)}
        self.quantizer = MultiScaleQuantizer(scales, codes, code_width, ema_decay)

    @classmethod
    def of(cls, plain: VQGAN, scales: Sequence[int], codes: int, ema_decay: float) -> "MultiScaleVQGAN":
        """One with the encoder and the decoder of a plain tokenizer, and an empty codebook."""
        own = cls(**plain.config | {"scales": scales, "codes": codes, "ema_decay": ema_decay})
        own.encoder.load_state_dict(plain.encoder.state_dict())
        own.decoder.load_state_dict(plain.decoder.state_dict())
        return own.to(plain.device)

    @property
    def length(self) -> int:
        """Tokens of a picture."""
        return sum(side**2 for side in self.quantizer.scales)

    @torch.no_grad()
    def encode(self, images: Tensor) -> Tensor:
        """Pictures, float [B, 3, H, W] in [0, 1] → tokens of all scales in one row, int64 [B, N]."""
        return join_scales(self.quantizer.encode(self.embed(images)))

    @torch.no_grad()
    def decode(self, tokens: Tensor) -> Tensor:
        """Tokens of the first scales or of all, int64 [B, n] → pictures, float [B, 3, H, W] in [0, 1]."""
        return self.paint(self.quantizer.decode(split_scales(tokens, self.quantizer.scales))).clamp(0, 1)


def encode_batches(model: MultiScaleVQGAN, images: np.ndarray, batch: int = 64) -> np.ndarray:
    """Pictures uint8 [P, H, W, 3] → tokens of all scales uint16 [P, N], `batch` at a time."""
    parts = [
        model.encode(pixels_to_tensor(part, model.device))
        for part in np.split(images, range(batch, len(images), batch))
    ]
    return torch.cat(parts).cpu().numpy().astype(np.uint16)


def decode_batches(model: MultiScaleVQGAN, tokens: np.ndarray, batch: int = 64) -> np.ndarray:
    """Tokens of the first scales or of all, integers [P, n] → pictures uint8 [P, H, W, 3], `batch` at a time.

    Raises:
        EaselError: a token is not in the vocabulary, or the tokens do not end with a scale.
    """
    check_tokens(tokens, *tokens.shape, model.config["codes"])
    parts = [
        as_pictures(2 * model.decode(torch.from_numpy(part.astype(np.int64)).to(model.device)) - 1)
        for part in np.split(tokens, range(batch, len(tokens), batch))
    ]
    return np.concatenate(parts)


def load(folder: Path | str) -> MultiScaleVQGAN:
    """The tokenizer that `vqgan.save` wrote, ready to encode and decode.

    Raises:
        EaselError: there is none, or the file is damaged.
    """
    arrays, meta = checkpoint.load_network(folder)
    model = MultiScaleVQGAN(**meta["config"])
    load_module(model, arrays)
    return model.eval().requires_grad_(False)
