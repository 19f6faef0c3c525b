"""Masked networks for tests, one of which has a law that is enumerated, and what their sampler is asked."""

from itertools import product

import torch
from torch import Tensor


class ToyMasked:
    """Predicts the exact conditionals of one joint distribution, and notes what it is given.

    Args:
        joint: probabilities of all pictures, float64 [codes^length]; None for some.
    """

    def __init__(self, rows: int = 1, length: int = 4, codes: int = 3, joint: Tensor | None = None, seed: int = 0):
        self.rows, self.length, self.codes = rows, length, codes
        pictures = torch.tensor(list(product(range(codes), repeat=length)))
        if joint is None:
            generator = torch.Generator().manual_seed(seed)
            joint = (1.3 * torch.randn(len(pictures), generator=generator, dtype=torch.float64)).softmax(0)
        self.joint = joint.numpy()
        patterns = torch.tensor(list(product(range(codes + 1), repeat=length)))
        fits = ((patterns[:, None] == codes) | (patterns[:, None] == pictures)).all(2)  # [patterns, pictures]
        one_hot = torch.nn.functional.one_hot(pictures, codes).double()
        sums = torch.einsum("kp,pnv->knv", fits * joint, one_hot)
        self.table = (sums / sums.sum(2, keepdim=True)).log().float()
        self.weights = (codes + 1) ** torch.arange(length - 1, -1, -1)
        self.seen: list[Tensor] = []
        self.progress: list[Tensor] = []

    def predict(self, tokens: Tensor, progress: Tensor) -> Tensor:
        assert tokens.shape == (self.rows, self.length) and progress.shape == (self.rows,)
        assert ((tokens >= 0) & (tokens <= self.codes)).all()
        self.seen.append(tokens)
        self.progress.append(progress)
        return self.table[(tokens * self.weights).sum(1)]

    def like(self, rows: int) -> "ToyMasked":
        """The same network for another number of rows, with nothing noted."""
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__)
        other.rows, other.seen, other.progress = rows, [], []
        return other

    def marginals(self, temperature: float = 1.0) -> "ToyMasked":
        """A network whose law is the product of this one's marginals, at a temperature."""
        factors = (self.table[-1].double() / temperature).softmax(1)  # of nothing but masks
        joint = torch.ones(1, dtype=torch.float64)
        for factor in factors:
            joint = (joint[:, None] * factor).flatten()
        return ToyMasked(self.rows, self.length, self.codes, joint)


class SmoothMasked:
    """A masked network of any size: log-probabilities are a fixed function of the tokens and their slots."""

    def __init__(self, rows: int, length: int, codes: int):
        self.rows, self.length, self.codes = rows, length, codes
        generator = torch.Generator().manual_seed(1)
        self.embedding = torch.randn(codes + 1, 6, generator=generator)
        self.mixing = torch.randn(length, 6, length, codes, generator=generator) / length**0.5

    def predict(self, tokens: Tensor, progress: Tensor) -> Tensor:
        assert ((tokens >= 0) & (tokens <= self.codes)).all()
        # Row by row: sums of matrix products depend on the size of the batch.
        rows = [torch.einsum("nd,ndmv->mv", self.embedding[row], self.mixing) for row in tokens]
        return torch.stack(rows).log_softmax(2)

    def like(self, rows: int) -> "SmoothMasked":
        """The same network for another number of rows."""
        return SmoothMasked(rows, self.length, self.codes)


class Recorded:
    """Stands for `RowRandom`: hands out recorded numbers [passes, B, N], one table a call."""

    def __init__(self, uniform: Tensor, gumbel: Tensor):
        self.device, self.rows = torch.device("cpu"), uniform.shape[1]
        self._uniform, self._gumbel = iter(uniform), iter(gumbel)

    def uniform(self, *shape: int) -> Tensor:
        return self._next(self._uniform, shape)

    def gumbel(self, *shape: int) -> Tensor:
        return self._next(self._gumbel, shape)

    def _next(self, tables, shape: tuple[int, ...]) -> Tensor:
        table = next(tables)
        assert table.shape == (self.rows, *shape)
        return table


def partly_known(rows, length, codes):
    """Tokens of which the rows know 0, 1, …, all; −1 and the mask both stand for what is not known."""
    generator = torch.Generator().manual_seed(4)
    known = torch.randint(codes, (rows, length), generator=generator)
    hidden = torch.rand(rows, length, generator=generator).argsort(1) >= torch.arange(rows)[:, None] % (length + 1)
    return known.masked_fill(hidden, codes).masked_fill(hidden & (torch.arange(length) % 2 == 0), -1)


def assert_sound(network, known, steps, decoded):
    """Nothing is masked at the end, what was known stays, and passes fix what the schedule says and keep it."""
    unknown = (known < 0) | (known == network.codes)
    missing = unknown.sum(1)
    assert ((decoded.tokens >= 0) & (decoded.tokens < network.codes)).all(), "a mask is left"
    assert torch.equal(decoded.tokens[~unknown], known[~unknown]), "a known token was lost"
    assert torch.equal(decoded.accepted.sum(1), missing)
    assert torch.equal(decoded.passes, missing.clamp(max=steps)), "another number of passes"
    assert decoded.accepted.shape[1] == decoded.passes.max()
    running = torch.arange(decoded.accepted.shape[1]) < decoded.passes[:, None]
    assert torch.equal(decoded.accepted > 0, running), "a pass that fixes nothing"
    masks = (decoded.trace.tokens == network.codes).sum(2)  # [P, B]
    assert torch.equal(masks, missing - decoded.accepted.cumsum(1).T), "another number of masks than counted"
    before = torch.where(unknown, network.codes, known)
    for after, drafts in zip(decoded.trace.tokens, decoded.trace.drafts, strict=True):
        stays, fixed = before != network.codes, after != network.codes
        assert torch.equal(after[stays], before[stays]), "a token was taken back"
        assert torch.equal(drafts[fixed], after[fixed]) and (drafts < network.codes).all(), "other drafts"
        before = after
    assert torch.equal(before, decoded.tokens)
