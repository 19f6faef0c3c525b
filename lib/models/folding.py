"""A trained network without the arithmetic that is the same in every pass.

Tokens are read and predicted by what they look like (lib/models/codes.py): the tables of codes are a sum of learned
vectors and of a product, which training changes with every update. In a network whose weights stay as they are both can
be computed once. A cached autoregressive pass, which reads one token, is then several times smaller.
"""

import torch
from torch import nn

from lib.models.codes import SHARPNESS, CodeEmbedding, CodeHead


@torch.no_grad()
def folded(network: nn.Module) -> nn.Module:
    """`network` itself, with a plain table in the place of every `CodeEmbedding` and a plain layer in that of every
    `CodeHead`. It says what it said; it cannot be trained any more, and its weights have other names."""
    for name, part in network.named_children():
        if isinstance(part, CodeEmbedding):
            setattr(network, name, nn.Embedding.from_pretrained(table_of(part)))
        elif isinstance(part, CodeHead):
            setattr(network, name, layer_of(part))
        else:
            folded(part)
    return network


def table_of(part: CodeEmbedding) -> torch.Tensor:
    """The vectors of all codes, and of the mask, [codes + 1, D]."""
    return part(torch.arange(len(part.own), device=part.own.device))


def layer_of(part: CodeHead) -> nn.Linear:
    """[..., D] → [..., codes]."""
    layer = nn.Linear(*reversed(part.weight.shape), device=part.weight.device, dtype=part.weight.dtype)
    layer.weight.copy_(part.weight + SHARPNESS * part.vectors @ part.project)
    layer.bias.copy_(part.bias)
    return layer.requires_grad_(False)
