"""How image models read the features of captions by a frozen text network: linearly projected, and a learned vector in
the place of a caption that is dropped, which classifier-free guidance needs (Ho and Salimans 2022, arXiv:2207.12598).
PyTorch.
"""

import math

import torch
from torch import Tensor, nn

from lib.errors import EaselError
from lib.models.text_encoder import TextFeatures


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
            EaselError: features of another width, or a caption that has no token and is not dropped.
        """
        if text.vectors.shape[2] != self.project.in_features:
            raise EaselError(
                f"the network was made for text features of width {self.project.in_features}, got "
                f"{text.vectors.shape[2]}."
            )
        if dropped is None:
            dropped = torch.zeros(len(text), dtype=torch.bool, device=text.present.device)
        if not bool((text.present.any(dim=1) | dropped).all()):
            raise EaselError("the network was given a caption without a token (padding alone).")
        words = self.project(text.vectors)  # [B, S, D]
        context = torch.cat([self.dropped.to(words.dtype).expand(len(text), 1, -1), words], dim=1)
        seen = torch.cat([dropped[:, None], text.present & ~dropped[:, None]], dim=1)
        return context, seen[:, None, None]
