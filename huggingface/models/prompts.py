"""Prompts of a batch as token ids, padded on the left so that all of them end in the same column."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from lib.errors import EaselError


@dataclass(frozen=True)
class Prompts:
    """Token ids and which of them are no padding.

    Attributes:
        ids: int64 [B, P]; what stands for padding is never attended to.
        real: bool [B, P].

    Raises:
        EaselError: a prompt whose last token is padding, or none.
    """

    ids: Tensor
    real: Tensor

    def __post_init__(self) -> None:
        if not self.ids.numel() or not bool(self.real[:, -1].all()):
            raise EaselError("a prompt must end in a token: give at least one, and pad on the left.")

    @classmethod
    def of(cls, rows: Sequence[Sequence[int]]) -> "Prompts":
        """From lists of tokens of any lengths."""
        width = max(map(len, rows))
        padded = [F.pad(torch.tensor(row, dtype=torch.int64), (width - len(row), 0)) for row in rows]
        real = [torch.arange(width) >= width - len(row) for row in rows]
        return cls(torch.stack(padded), torch.stack(real))

    def above(self, others: "Prompts") -> "Prompts":
        """These, then the others, [B + B′, the longer P]."""
        width = max(self.ids.shape[1], others.ids.shape[1])
        ids, real = zip(*((one._widened(width).ids, one._widened(width).real) for one in (self, others)), strict=True)
        return Prompts(torch.cat(ids), torch.cat(real))

    def positions(self) -> Tensor:
        """Of every token among its row's own, int64 [B, P]; 0 for padding."""
        return (self.real.cumsum(dim=1) - 1).clamp(min=0)

    def to(self, device: torch.device) -> "Prompts":
        """On another device."""
        return Prompts(self.ids.to(device), self.real.to(device))

    def _widened(self, width: int) -> "Prompts":
        padding = (width - self.ids.shape[1], 0)
        return Prompts(F.pad(self.ids, padding), F.pad(self.real, padding))


def seen_among(real: Tensor, levels: int = 0) -> Tensor:
    """What tokens see of each other, bool [B, T + N, T + N]: those before them that are no padding, and themselves.

    Padding sees itself, since softmax over nothing is no number. So do level tokens, which nothing here sees.

    Args:
        real: bool [B, N].
        levels: T, of the level tokens before them.
    """
    order = torch.arange(real.shape[1], device=real.device)
    seen = F.pad((order <= order[:, None]) & real[:, None], (levels, 0, levels, 0))
    return seen | torch.eye(seen.shape[1], dtype=torch.bool, device=real.device)
