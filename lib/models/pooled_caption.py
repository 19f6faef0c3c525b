"""A caption as one vector: the mean over its tokens of a frozen text network's features. PyTorch.

Means of captions differ by little: nearly all of such a vector is what all captions have in common. So it is read
relative to that, every direction in units of its deviation over captions, as latents are divided by theirs
(lib/models/latents.py). As it is, a small network takes thousands of updates to hear a shape or a colour in it.
"""

import torch
from torch import Tensor, nn

from lib.models.text_encoder import TextFeatures

LEAST = 1e-2  # of the mean variance over directions, added to each


class PooledCaption(nn.Module):
    """Captions → vectors.

    Args:
        text_width: of the features.
        width: of the vectors.
        generator: source of the first weights.
    """

    def __init__(self, text_width: int, width: int, generator: torch.Generator):
        super().__init__()
        self.register_buffer("centre", torch.zeros(text_width))
        self.register_buffer("whitening", torch.eye(text_width))
        self.dropped = nn.Parameter(torch.zeros(text_width))  # in the place of a dropped caption's mean
        self.project = nn.Linear(text_width, width, bias=False)
        nn.init.normal_(self.project.weight, std=text_width**-0.5, generator=generator)

    def see(self, text: TextFeatures) -> None:
        """Takes from many captions, more than their vectors are wide, what their means have in common and how they
        vary."""
        means = means_of(text)
        self.centre.copy_(means.mean(dim=0))
        sizes, directions = torch.linalg.eigh(torch.cov(means.T))  # [D], [D, D]
        least = LEAST * sizes.mean()
        self.whitening.copy_(directions * (sizes.clamp(min=0) + least).rsqrt())

    def forward(self, text: TextFeatures, dropped: Tensor | None) -> Tensor:
        """→ [B, width].

        Args:
            dropped: bool [B], the rows that see no caption; None if all see theirs.
        """
        mean = (means_of(text) - self.centre) @ self.whitening  # [B, D]
        if dropped is not None:
            mean = torch.where(dropped[:, None], self.dropped, mean)
        return self.project(mean)


def means_of(text: TextFeatures) -> Tensor:
    """Means of captions over their tokens, [B, D]; zeros where a caption has none."""
    weights = text.present.to(text.vectors).unsqueeze(1)  # [B, 1, S]
    return (weights @ text.vectors / weights.sum(dim=2, keepdim=True).clamp(min=1)).squeeze(1)


def pooled_weights(text_width: int, width: int) -> int:
    """Parameters of a `PooledCaption`."""
    return text_width * (1 + width)
