"""U-Nets of a few weights, for tests of what uses them."""

from dataclasses import replace

import torch

from lib.models.unet import SmallPictures, UNet, UNetConfig
from lib.weights.torch_state import generator
from tests.models.tiny_autoregressive import shaken

PLAIN = UNetConfig(
    channels=3,
    rows=4,
    columns=8,
    text_width=8,
    text_layers=1,
    widths=(16, 24),
    blocks=1,
    attention=(1,),
    head_width=8,
    feed_forward=2,
)
ENLARGING = replace(PLAIN, blocks=2, attention=(0,), small_channels=2)


def grids(seed=5):
    """Three noisy ones, and their times."""
    return torch.randn(3, 3, 4, 8, generator=generator(seed)), torch.tensor([0.2, 0.5, 1.0])


def small():
    return SmallPictures(torch.randn(3, 2, 2, 4, generator=generator(8)), torch.tensor([0.0, 0.3, 0.6]))


def unet(config=PLAIN):
    """None of its parts zero or the identity, as if it were trained."""
    return shaken(UNet(config, generator(0)))
