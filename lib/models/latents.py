"""Grids for diffusion models: pixels in −1 … 1, or latents of an image tokenizer (Rombach et al. 2022,
arXiv:2112.10752).

Latents here are what the tokenizer's encoder says before it is quantized: unit vectors. They are divided by their
deviation, since the noise that hides them has deviation 1 (the paper's appendix G). A drawn latent is brought back to
the sphere, where the decoder knows its way, and, if asked, to the nearest code: so the paper's VQ-regularised models,
whose quantizer is the first layer of the decoder (section 3.1), and so the decoder sees what it was trained on.
"""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from lib.errors import EaselError
from lib.models.vqgan import VQGAN, pixels_to_tensor


def as_grids(stored: np.ndarray, device: torch.device) -> Tensor:
    """Pictures, uint8 [B, H, W, C], as pixels in −1 … 1, or latents, float32 [B, C, H, W], as they are: float
    [B, C, H, W]."""
    if stored.dtype == np.uint8:
        return 2 * pixels_to_tensor(stored, device) - 1
    return torch.from_numpy(np.array(stored)).to(device)


def as_pictures(pixels: Tensor) -> np.ndarray:
    """Pixels, float [B, C, H, W] in −1 … 1 and clipped to that → uint8 [B, H, W, C]."""
    levels = (pixels.clamp(-1, 1) + 1).mul(127.5).round().to(torch.uint8)
    return levels.permute(0, 2, 3, 1).cpu().numpy()


@dataclass(frozen=True)
class Latents:
    """The way from pictures to latents and back.

    Attributes:
        tokenizer: in evaluation mode.
        deviation: of its unit vectors' numbers around their common mean.
    """

    tokenizer: VQGAN
    deviation: float

    @classmethod
    def of(cls, tokenizer: VQGAN, images: np.ndarray) -> "Latents":
        """Those whose deviation is 1 over some pictures, uint8 [N, H, W, 3], such as the first batch.

        Raises:
            EaselError: pictures that all look alike to the tokenizer.
        """
        deviation = float(cls(tokenizer, 1.0).encode(images).astype(np.float64).std())
        if not deviation > 0:
            raise EaselError("latents without deviation cannot be scaled; the tokenizer says the same of all pictures.")
        return cls(tokenizer, deviation)

    @torch.no_grad()
    def encode(self, images: np.ndarray, batch: int = 64) -> np.ndarray:
        """Pictures uint8 [N, s·h, s·w, 3] → latents float32 [N, d, h, w], `batch` at a time."""
        parts = []
        for start in range(0, len(images), batch):
            vectors = self.tokenizer.embed(pixels_to_tensor(images[start : start + batch], self.tokenizer.device))
            parts.append((vectors / self.deviation).permute(0, 3, 1, 2).cpu().numpy())  # [B, h, w, d] → [B, d, h, w]
        return np.concatenate(parts)

    @torch.no_grad()
    def decode(self, latents: Tensor, quantize: bool) -> np.ndarray:
        """Latents float [B, d, h, w] → pictures uint8 [B, s·h, s·w, 3].

        Args:
            quantize: whether each vector becomes the nearest code first.
        """
        # The deviation is a positive factor, and so has no part in the direction.
        vectors = F.normalize(latents.to(self.tokenizer.device).permute(0, 2, 3, 1), dim=-1)  # → [B, h, w, d]
        if quantize:
            vectors = self.tokenizer.quantizer.lookup(self.tokenizer.quantizer.nearest(vectors))
        return as_pictures(2 * self.tokenizer.paint(vectors) - 1)
