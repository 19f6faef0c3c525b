"""Patch discriminator and its hinge loss."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lib.models.residual import initialise


class PatchDiscriminator(nn.Module):
    """Judges overlapping patches of 22×22 pixels, each by itself (PatchGAN: Isola et al. 2017, arXiv:1611.07004).

    Args:
        width: channels of the first layer.
        generator: of the initial weights.
    """

    def __init__(self, width: int, generator: torch.Generator):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, width, 4, stride=2, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(width, 2 * width, 4, stride=2, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(2 * width, 1, 4, padding=1, bias=False),  # zero must stay the boundary
        )
        initialise(self, generator)
        nn.init.zeros_(self.layers[-1].weight)  # no opinion to begin with
        self.to(memory_format=torch.channels_last)

    def forward(self, images: Tensor) -> Tensor:
        """Pictures [B, 3, H, W] in [0, 1] → one score a patch [B, 1, H/4 − 1, W/4 − 1]; above zero means real."""
        return self.layers(2 * images - 1)


def hinge_loss(real: Tensor, fake: Tensor) -> Tensor:
    """Loss of the discriminator, given its scores (Lim and Ye 2017, arXiv:1705.02894)."""
    return 0.5 * (F.relu(1 - real).mean() + F.relu(1 + fake).mean())


def fooling_loss(fake: Tensor) -> Tensor:
    """Loss of the network whose pictures got the scores `fake`."""
    return -fake.mean()
