"""Next-scale networks for tests, one of which has a law that is enumerated."""

from itertools import product

import torch
from torch import Tensor


class ToyScales:
    """Tokens of a scale are independent given the coarser ones: a table of log-probabilities for every scale and every
    state of those before it.

    Attributes:
        joint: the probability of every picture, float64 [codes^N], the last token running fastest.
        calls: what it was given.
    """

    def __init__(self, rows: int = 1, sizes: tuple[int, ...] = (1, 2, 2), codes: int = 3):
        self.rows, self.sizes, self.codes = rows, sizes, codes
        self.length, self.calls = sum(sizes), []
        generator = torch.Generator().manual_seed(0)
        starts = [sum(sizes[:number]) for number in range(len(sizes))]
        self.tables = [
            (1.5 * torch.randn(codes**start, size, codes, generator=generator)).log_softmax(2)
            for start, size in zip(starts, sizes, strict=True)
        ]
        pictures = torch.tensor(list(product(range(codes), repeat=self.length)))
        log_p = torch.zeros(len(pictures), dtype=torch.float64)
        for start, size, table in zip(starts, sizes, self.tables, strict=True):
            picked = table[self.state(pictures[:, :start])].gather(2, pictures[:, start : start + size, None])
            log_p += picked.double().sum((1, 2))
        self.joint = log_p.exp().numpy()

    def state(self, tokens: Tensor) -> Tensor:
        """Number of a row of tokens, int64 [B, n] → [B]."""
        return (tokens * self.codes ** torch.arange(tokens.shape[1] - 1, -1, -1)).sum(1)

    def predict(self, tokens: Tensor) -> Tensor:
        assert tokens.shape[0] == self.rows and ((tokens >= 0) & (tokens < self.codes)).all()
        scale = [sum(self.sizes[:number]) for number in range(len(self.sizes))].index(tokens.shape[1])
        self.calls.append(tokens)
        return self.tables[scale][self.state(tokens)]

    def like(self, rows: int) -> "ToyScales":
        """The same network for another number of rows, with nothing noted."""
        return ToyScales(rows, self.sizes, self.codes)
