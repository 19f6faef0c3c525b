"""Parts that the small convolutional networks share, and their first weights."""

import torch
from torch import Tensor, nn
from torch.nn import functional


def conv(inputs: int, outputs: int, stride: int = 1, kernel: int = 3) -> nn.Sequential:
    """Convolution and batch norm, [B, inputs, H, W] → [B, outputs, H / stride, W / stride]."""
    return nn.Sequential(nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(outputs))


class ResidualBlock(nn.Module):
    """ReLU(x + conv(ReLU(conv(x)))), batch-normalised (He et al. 2016): [B, C, H, W] → same shape."""

    def __init__(self, channels: int):
        super().__init__()
        self.first = conv(channels, channels)
        self.second = conv(channels, channels)
        nn.init.zeros_(self.second[1].weight)  # the block starts as the identity

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(x + self.second(functional.relu(self.first(x))))


def initialise(module: nn.Module, generator: torch.Generator) -> None:
    """Draws all weight matrices of `module` anew, from `generator` alone; biases become 0."""
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            nn.init.kaiming_normal_(part.weight, nonlinearity="relu", generator=generator)
        elif isinstance(part, nn.Linear):
            nn.init.normal_(part.weight, std=part.in_features**-0.5, generator=generator)
        elif isinstance(part, nn.MultiheadAttention):
            nn.init.normal_(part.in_proj_weight, std=part.embed_dim**-0.5, generator=generator)
        elif isinstance(part, nn.Embedding):
            nn.init.normal_(part.weight, std=0.02, generator=generator)
        if isinstance(part, nn.Conv2d | nn.Linear) and part.bias is not None:
            nn.init.zeros_(part.bias)
