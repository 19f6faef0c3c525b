"""An autoregressive model that reads captions through a frozen text network, as Parti does (Yu et al. 2022,
arXiv:2206.10789) and as masked and diffusion models do: the network of lib/models/autoregressive.py, with projected
features of the caption where that one has an embedding of its own for every word.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from lib.models.autoregressive import Autoregressive, AutoregressiveConfig
from lib.models.text_encoder import TextFeatures


class FrozenText(nn.Module):
    """Captions int64 [B, S], padded, → inputs of the first block [B, S, D].

    Args:
        encode: captions → what the frozen network makes of them; no weights of this one.
        text_width: of its vectors.
        generator: source of the first weights.
    """

    def __init__(
        self, encode: Callable[[Tensor], TextFeatures], text_width: int, width: int, generator: torch.Generator
    ):
        super().__init__()
        self.encode = encode
        self.project = nn.Linear(text_width, width, bias=False)
        nn.init.normal_(self.project.weight, std=1 / math.sqrt(text_width), generator=generator)

    def forward(self, text_ids: Tensor) -> Tensor:
        text = self.encode(text_ids)
        # What padding looks like must not matter, and be a number: nothing sees it, but its own row is computed.
        return self.project(text.vectors.masked_fill(~text.present[:, :, None], 0.0))


class Parti(Autoregressive):
    """`Autoregressive`, decoded and trained like it, with a frozen text network before it.

    Args:
        encode, text_width: see `FrozenText`.
        generator: source of the first weights.
    """

    def __init__(
        self,
        config: AutoregressiveConfig,
        encode: Callable[[Tensor], TextFeatures],
        text_width: int,
        generator: torch.Generator,
    ):
        super().__init__(config, generator)
        self.text_tokens = FrozenText(encode, text_width, config.width, generator)
