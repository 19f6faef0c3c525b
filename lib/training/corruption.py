"""Light damage to training pictures, of the kinds that an image tokenizer does: softened edges, tints, noise."""

import torch
from torch import Tensor
from torch.nn import functional

SHARE = 0.5  # of the pictures that are touched; the others stay as they are


def corrupt(images: Tensor, generator: torch.Generator) -> Tensor:
    """Pictures [B, 3, S, S] in [0, 1], about half of them blurred, made coarse, tinted and made noisy a little.

    Each kind of damage has a strength of its own for each picture, uniform from nothing to its most.
    """
    count = len(images)

    def strength(most: float) -> Tensor:
        return torch.rand(count, 1, 1, 1, generator=generator) * most

    size = images.shape[2:]
    soft = functional.avg_pool2d(functional.pad(images, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    coarse = functional.interpolate(functional.avg_pool2d(images, 2), size, mode="bilinear")
    damaged = torch.lerp(images, soft, strength(0.8))
    damaged = torch.lerp(damaged, coarse, strength(0.6))
    tint = (torch.rand(count, 3, 1, 1, generator=generator) - 0.5) * 0.08
    contrast = 1 + (strength(0.2) - 0.1)
    damaged = (damaged - 0.5) * contrast + 0.5 + tint
    # Weaker than a speckled background, which must stay recognisable.
    damaged = damaged + torch.randn(images.shape, generator=generator) * strength(0.02)
    touched = torch.rand(count, 1, 1, 1, generator=generator) < SHARE
    return torch.where(touched, damaged.clamp(0, 1), images)
