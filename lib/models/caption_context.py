"""How image models read the features of captions by a frozen text network: refined by blocks of their own, linearly
projected, and a learned vector in the place of a caption that is dropped, which classifier-free guidance needs (Ho and
Salimans 2022, arXiv:2207.12598). PyTorch.

Muse projects T5-XXL's features and no more. Blocks that are trained with the image model may make up for a smaller text
network, as HunyuanVideo's token refiner does for a causal one (Kong et al. 2024, arXiv:2412.03603, section 4.3).
"""

import math

import torch
from torch import Tensor, nn

from lib.errors import EaselError
from lib.models.cross_attention import block_weights, line, turns_of
from lib.models.text_encoder import TextFeatures
from lib.models.transformer import Block, initialise

HEAD_WIDTH, FEED_FORWARD = 32, 2  # of the refiner's blocks: a head's width at most, the inner width in widths


class Refiner(nn.Module):
    """Transformer blocks over a caption's frozen features: untrained, they give them back.

    Args:
        width: of the features.
        layers: 0 is none.
        generator: source of the first weights.
    """

    def __init__(self, width: int, layers: int, generator: torch.Generator):
        super().__init__()
        self.width, self.head_width = width, width // heads_of(width)
        self.blocks = nn.ModuleList(Block(width, heads_of(width), FEED_FORWARD * width) for _ in range(layers))
        for block in self.blocks:
            initialise(block, generator)

    def forward(self, text: TextFeatures) -> TextFeatures:
        """Vectors [B, S, D] that know of each other; at padding they mean nothing.

        Raises:
            EaselError: features of another width.
        """
        if text.vectors.shape[2] != self.width:
            raise EaselError(
                f"the network was made for text features of width {self.width}, got {text.vectors.shape[2]}."
            )
        x, seen = text.vectors, text.present[:, None, None]  # [B, 1, 1, S]
        turns = turns_of(line(x.shape[1]), self.head_width).to(x.device)
        for block in self.blocks:
            x = block(x, turns, seen)
        return TextFeatures(x, text.present)


def heads_of(width: int) -> int:
    """Of the refiner's attention."""
    return max(1, width // HEAD_WIDTH)


def refiner_weights(width: int, layers: int) -> int:
    """Parameters of a `Refiner`."""
    return layers * block_weights(width, heads_of(width), FEED_FORWARD * width, crossed=False)


class CaptionContext(nn.Module):
    """Captions as a context for cross-attention.

    Args:
        text_width: of the features.
        width: of the context.
        generator: source of the first weights.
    """

    def __init__(self, text_width: int, width: int, generator: torch.Generator):
        super().__init__()
        self.project = nn.Linear(text_width, width, bias=False)
        self.dropped = nn.Parameter(torch.empty(width))
        nn.init.normal_(self.project.weight, std=1 / math.sqrt(text_width), generator=generator)
        nn.init.normal_(self.dropped, generator=generator)

    def forward(self, text: TextFeatures, dropped: Tensor | None) -> tuple[Tensor, Tensor]:
        """Place 0 is for dropped captions, the others for tokens: [B, 1 + S, D], and who sees which, bool [B, 1, 1,
        1 + S].

        Args:
            dropped: bool [B], the rows that see no caption; None if all see theirs.

        Raises:
            EaselError: a caption that has no token and is not dropped.
        """
        if dropped is None:
            dropped = torch.zeros(len(text), dtype=torch.bool, device=text.present.device)
        if not bool((text.present.any(dim=1) | dropped).all()):
            raise EaselError("the network was given a caption without a token (padding alone).")
        words = self.project(text.vectors)  # [B, S, D]
        context = torch.cat([self.dropped.to(words.dtype).expand(len(text), 1, -1), words], dim=1)
        seen = torch.cat([dropped[:, None], text.present & ~dropped[:, None]], dim=1)
        return context, seen[:, None, None]
