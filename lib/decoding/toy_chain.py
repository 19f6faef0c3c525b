"""A network small enough to know its law: pictures of a few slots and codes, whose joint distribution is enumerated.

Decoders are tested on it for what they claim: a lossless one draws every picture as often as the law says.
"""

from collections.abc import Sequence
from functools import cached_property
from itertools import product

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

HIDDEN, WIDTH = 5, 4


class ToyNetwork:
    """Follows every protocol of lib/decoding/predictor.py.

    Two layers with a cache each, so that whatever a decoder leaves in the cache that it should not has an effect: the
    first adds up embeddings, the second what the first gave. Column p of the caches is the input at slot p − 1, the
    last one is for inputs past the end.

    Args:
        rows: pictures decoded at once; `like` gives the same network for others.
        times: of the noise levels 1 … T, for SJD2.
        seed: of the weights, which are never trained.
    """

    def __init__(
        self,
        rows: int = 1,
        length: int = 4,
        codes: int = 3,
        temperature: float = 1.0,
        top_k: int = 0,
        times: Sequence[float] | Tensor | None = None,
        seed: int = 0,
    ):
        self.rows, self.length, self.codes = rows, length, codes
        self.temperature, self.top_k = temperature, top_k
        self.times = None if times is None else torch.as_tensor(times)
        generator = torch.Generator().manual_seed(seed)
        self.table = torch.randn(codes + 1, WIDTH, generator=generator)
        columns = self.columns = length + 1
        earlier = torch.ones(columns, columns).triu()  # [read, by]
        first = torch.randn(columns, WIDTH, columns, HIDDEN, generator=generator) * earlier[:, None, :, None]
        second = torch.randn(columns, HIDDEN, columns, codes, generator=generator) * earlier[:, None, :, None]
        self.first, self.second = first, 0.8 * second
        self.level_effect = torch.randn(64, HIDDEN, generator=generator).index_fill(0, torch.tensor(0), 0.0)
        self.inputs = torch.full((rows, columns, WIDTH), 100.0)  # what was never given would be noticed
        self.hidden = torch.full((rows, columns, HIDDEN), 100.0)
        self.calls = 0

    def law_of(self, logits: Tensor) -> Tensor:
        """Log-probabilities after temperature and top-k."""
        if self.temperature == 0:
            return functional.one_hot(logits.argmax(-1), self.codes).float().log()
        logits = logits / self.temperature
        if self.top_k:
            logits = logits.masked_fill(logits < logits.topk(self.top_k).values[..., -1:], -torch.inf)
        return logits.log_softmax(-1)

    def predict(self, inputs: Tensor, start: Tensor) -> Tensor:
        return self.predict_embedded(self.embed(inputs), start, torch.zeros_like(inputs))

    def predict_features(self, inputs: Tensor, start: Tensor) -> tuple[Tensor, Tensor]:
        log_p = self.predict(inputs, start)
        rows, places = self._places(inputs.shape[1], start)
        return log_p, self.hidden[rows, places]

    def _places(self, width: int, start: Tensor) -> tuple[Tensor, Tensor]:
        assert int(start.min()) >= 0
        places = (start[:, None] + torch.arange(width)).clamp(max=self.length)
        return torch.arange(self.rows)[:, None], places

    def predict_embedded(self, inputs: Tensor, start: Tensor, levels: Tensor) -> Tensor:
        rows, places = self._places(inputs.shape[1], start)
        return self._run(inputs, levels, rows, places, torch.ones(self.rows, self.columns))

    def predict_at(self, inputs: Tensor, slots: Tensor, written: Tensor) -> Tensor:
        seen = torch.cat([torch.ones(self.rows, 1), written.float()], dim=1)  # BOS, and slot s in column s + 1
        return self._run(self.embed(inputs), torch.zeros_like(inputs), torch.arange(self.rows)[:, None], slots, seen)

    def _run(self, vectors: Tensor, levels: Tensor, rows: Tensor, places: Tensor, seen: Tensor) -> Tensor:
        self.calls += 1
        self.inputs[rows, places] = vectors
        new = (mix(self.inputs, self.first, seen)[rows, places] + self.level_effect[levels]).tanh()
        self.hidden[rows, places] = new
        return self.law_of(mix(self.hidden, self.second, seen)[rows, places])

    def embed(self, tokens: Tensor) -> Tensor:
        return self.table[tokens]

    def nearest(self, vectors: Tensor) -> Tensor:
        return (vectors @ functional.normalize(self.table[: self.codes], dim=1).T).argmax(-1)

    @cached_property
    def pictures(self) -> Tensor:
        """All pictures, int64 [V^N, N], in the order of `joint`."""
        return torch.tensor(list(product(range(self.codes), repeat=self.length)))

    @cached_property
    def joint(self) -> np.ndarray:
        """The probability of each of them, float64 [V^N]."""
        whole = self.like(len(self.pictures))
        inputs = functional.pad(self.pictures, (1, -1), value=self.codes)
        log_p = whole.predict(inputs, torch.zeros(whole.rows, dtype=torch.int64)).double()
        return log_p.gather(2, self.pictures[..., None]).sum((1, 2)).exp().numpy()

    def like(self, rows: int) -> "ToyNetwork":
        """The same network for another number of rows."""
        other = object.__new__(type(self))
        other.__dict__.update({k: v for k, v in self.__dict__.items() if k not in ("pictures", "joint")})
        other.rows, other.calls = rows, 0
        other.inputs, other.hidden = (
            torch.full((rows, *cache.shape[1:]), 100.0) for cache in (self.inputs, self.hidden)
        )
        return other


def mix(cache: Tensor, weights: Tensor, seen: Tensor) -> Tensor:
    """Sums over the columns that each column sees: all before it that are `seen`, and itself."""
    flat = (cache * seen[..., None]).flatten(1) @ weights.flatten(2).flatten(0, 1)
    own = torch.einsum("bpd,pdph->bph", cache, weights)
    return flat.unflatten(1, weights.shape[2:]) + own * (1 - seen[..., None])


def counts(network: ToyNetwork, tokens: Tensor) -> np.ndarray:
    """How often each picture occurs among int64 [n, N], in the order of `joint`: int [V^N]."""
    weights = network.codes ** torch.arange(network.length - 1, -1, -1)
    return np.bincount((tokens * weights).sum(1).numpy(), minlength=len(network.joint))


def p_value(network: ToyNetwork, tokens: Tensor) -> float:
    """χ² test of pictures against the network's law; those too rare to count on their own are counted together."""
    from scipy import stats

    observed, expected = counts(network, tokens), network.joint * len(tokens)
    if observed[network.joint == 0].sum():
        return 0.0
    rare = expected < 5
    observed = np.append(observed[~rare], observed[rare].sum())
    expected = np.append(expected[~rare], expected[rare].sum())
    some = expected > 0
    return stats.chisquare(observed[some], expected[some] * observed.sum() / expected[some].sum()).pvalue


def total_variation(network: ToyNetwork, tokens: Tensor) -> float:
    """Half the sum of the absolute differences between frequencies and law, 0 … 1."""
    return 0.5 * np.abs(counts(network, tokens) / len(tokens) - network.joint).sum()


def total_variation_by_chance(network: ToyNetwork, pictures: int) -> np.ndarray:
    """What it is of so many pictures that do follow the law, 1,000 times: [1000]."""
    drawn = np.random.default_rng(0).multinomial(pictures, network.joint / network.joint.sum(), size=1000)
    return 0.5 * np.abs(drawn / pictures - network.joint).sum(1)


class ToyDrafter:
    """An EAGLE drafter that is wrong in its own way; with `teacher` it is always right.

    The teacher is a network of its own: the protocol's calls must keep that network's cache in order.
    """

    def __init__(self, network: ToyNetwork, teacher: ToyNetwork | None = None):
        generator = torch.Generator().manual_seed(5)
        self.teacher, self.length = teacher, network.length
        self.by_token = torch.randn(network.codes + 1, network.codes, generator=generator)
        self.by_feature = torch.randn(HIDDEN, network.codes, generator=generator)
        self.features = torch.randn(HIDDEN, HIDDEN, generator=generator)
        if teacher is not None:
            teacher.predict(torch.full((teacher.rows, 1), teacher.codes), torch.zeros(teacher.rows, dtype=torch.int64))

    def predict(self, inputs: Tensor, features: Tensor, start: Tensor) -> tuple[Tensor, Tensor]:
        assert int(start.min()) >= 1
        following = (features @ self.features).tanh()
        if self.teacher is not None:
            return self.teacher.predict(inputs, start), following
        return (self.by_token[inputs] + features @ self.by_feature).log_softmax(-1), following


class ToyHeads:
    """Medusa heads that say something of the features."""

    def __init__(self, network: ToyNetwork, heads: int = 2):
        self.heads = heads
        self.by_feature = torch.randn(heads, HIDDEN, network.codes, generator=torch.Generator().manual_seed(6))

    def predict(self, features: Tensor) -> Tensor:
        return torch.einsum("bh,khv->bkv", features, self.by_feature).log_softmax(-1)
