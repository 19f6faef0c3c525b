"""Random numbers of which every row has its own stream, so that a picture does not depend on the batch it is in."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor


class RowRandom:
    """One generator a row.

    Decoders draw the same amount for every row in every pass, so what a row gets depends on its seed and on how many
    passes it has had, and on nothing else.

    Args:
        seeds: one per row, whole numbers from 0 to 2³² − 1.
        device: of the numbers, and of all that a decoder keeps.
    """

    def __init__(self, seeds: Sequence[int], device: torch.device | str = "cpu"):
        self.device = torch.device(device)
        self.generators = [torch.Generator(self.device).manual_seed(int(seed)) for seed in seeds]
        self.rows = len(self.generators)

    def uniform(self, *shape: int) -> Tensor:
        """From [0, 1): float32 [B, *shape]."""
        return self._stack(torch.rand, shape)

    def normal(self, *shape: int) -> Tensor:
        """Standard normal: float32 [B, *shape]."""
        return self._stack(torch.randn, shape)

    def gumbel(self, *shape: int) -> Tensor:
        """Standard Gumbel, finite: float32 [B, *shape]. argmax(log p + gumbel) is a draw from p."""
        # Uniforms are multiples of 2⁻²⁴, 0 among them: the middles of those steps have finite logarithms.
        uniform = self.uniform(*shape).double() + 2.0**-25
        return -uniform.log().neg_().log_().float()

    def integers(self, high: int, *shape: int) -> Tensor:
        """From 0 … high − 1: int64 [B, *shape]."""
        return self._stack(lambda *size, **options: torch.randint(high, size, **options), shape)

    def _stack(self, draw: Callable[..., Tensor], shape: tuple[int, ...]) -> Tensor:
        return torch.stack([draw(*shape, generator=generator, device=self.device) for generator in self.generators])
