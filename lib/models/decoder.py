"""A decoder that is larger than the one that an image tokenizer was trained with, for the same codes: more channels and
residual blocks, the encoder and the codebook as they were (Muse, Chang et al. 2023, arXiv:2301.00704, section 2.5)."""

import copy

import torch
from torch import nn

from lib.models.residual import initialise
from lib.models.vqgan import VQGAN, ChannelNorm, ResidualBlock


def decoder(tokenizer: VQGAN, width: int, blocks: int, generator: torch.Generator) -> nn.Sequential:
    """An untrained one; with the tokenizer's width and two blocks, its own decoder's weights fit.

    Args:
        width: channels at the resolution of the tokens.
        blocks: residual ones, each the identity at first.
    """
    stride = tokenizer.stride
    layers = nn.Sequential(
        nn.Conv2d(tokenizer.config["code_width"], width, 3, padding=1),  # [B, d, h, w] → [B, w, h, w]
        *(ResidualBlock(width, 3) for _ in range(blocks)),
        ChannelNorm(width),
        nn.Conv2d(width, 3 * stride**2, 3, padding=1),  # → [B, 3·s², h, w]
        nn.PixelShuffle(stride),  # → [B, 3, s·h, s·w]
    )
    initialise(layers, generator)
    for part in layers:
        if isinstance(part, ResidualBlock):
            nn.init.zeros_(part.conv2.weight)
    return layers.to(memory_format=torch.channels_last)


def with_decoder(tokenizer: VQGAN, layers: nn.Module) -> VQGAN:
    """A tokenizer of the same codes that paints with other layers, which it shares."""
    found = copy.copy(tokenizer)
    found._modules = tokenizer._modules | {"decoder": layers}
    return found
