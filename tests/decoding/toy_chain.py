"""A network small enough to know its law: pictures of a few slots and codes, whose joint distribution is enumerated."""

from functools import cached_property
from itertools import product

import numpy as np
import torch
from scipy import stats
from torch.nn import functional

from lib.decoding import autoregressive
from lib.decoding.noise import RowRandom

HIDDEN, WIDTH = 5, 4


class ToyNetwork:
    """Follows every protocol of lib/decoding/predictor.py.

    Two layers with a cache each, so that whatever a decoder leaves in the cache that it should not has an effect: the
    first adds up embeddings, the second what the first gave. Column p of the caches is the input at slot p − 1, the
    last one is for inputs past the end.
    """

    def __init__(self, rows=1, length=4, codes=3, temperature=1.0, top_k=0, times=None, seed=0):
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

    def law_of(self, logits):
        if self.temperature == 0:
            return functional.one_hot(logits.argmax(-1), self.codes).float().log()
        logits = logits / self.temperature
        if self.top_k:
            logits = logits.masked_fill(logits < logits.topk(self.top_k).values[..., -1:], -torch.inf)
        return logits.log_softmax(-1)

    def predict(self, inputs, start):
        return self.predict_embedded(self.embed(inputs), start, torch.zeros_like(inputs))

    def predict_features(self, inputs, start):
        log_p = self.predict(inputs, start)
        rows, places = self._places(inputs.shape[1], start)
        return log_p, self.hidden[rows, places]

    def _places(self, width, start):
        assert int(start.min()) >= 0
        places = (start[:, None] + torch.arange(width)).clamp(max=self.length)
        return torch.arange(self.rows)[:, None], places

    def predict_embedded(self, inputs, start, levels):
        rows, places = self._places(inputs.shape[1], start)
        return self._run(inputs, levels, rows, places, torch.ones(self.rows, self.columns))

    def predict_at(self, inputs, slots, written):
        seen = torch.cat([torch.ones(self.rows, 1), written.float()], dim=1)  # BOS, and slot s in column s + 1
        return self._run(self.embed(inputs), torch.zeros_like(inputs), torch.arange(self.rows)[:, None], slots, seen)

    def _run(self, vectors, levels, rows, places, seen):
        self.calls += 1
        self.inputs[rows, places] = vectors
        new = (mix(self.inputs, self.first, seen)[rows, places] + self.level_effect[levels]).tanh()
        self.hidden[rows, places] = new
        return self.law_of(mix(self.hidden, self.second, seen)[rows, places])

    def embed(self, tokens):
        return self.table[tokens]

    def nearest(self, vectors):
        return (vectors @ functional.normalize(self.table[: self.codes], dim=1).T).argmax(-1)

    @cached_property
    def pictures(self):
        """All pictures, int64 [V^N, N], in the order of `joint`."""
        return torch.tensor(list(product(range(self.codes), repeat=self.length)))

    @cached_property
    def joint(self):
        """The probability of each of them, float64 [V^N]."""
        whole = self.like(len(self.pictures))
        inputs = functional.pad(self.pictures, (1, -1), value=self.codes)
        log_p = whole.predict(inputs, torch.zeros(whole.rows, dtype=torch.int64)).double()
        return log_p.gather(2, self.pictures[..., None]).sum((1, 2)).exp().numpy()

    def like(self, rows):
        """The same network for another number of rows."""
        other = object.__new__(type(self))
        other.__dict__.update({k: v for k, v in self.__dict__.items() if k not in ("pictures", "joint")})
        other.rows, other.calls = rows, 0
        other.inputs, other.hidden = (
            torch.full((rows, *cache.shape[1:]), 100.0) for cache in (self.inputs, self.hidden)
        )
        return other


def mix(cache, weights, seen):
    """Sums over the columns that each column sees: all before it that are `seen`, and itself."""
    flat = (cache * seen[..., None]).flatten(1) @ weights.flatten(2).flatten(0, 1)
    own = torch.einsum("bpd,pdph->bph", cache, weights)
    return flat.unflatten(1, weights.shape[2:]) + own * (1 - seen[..., None])


def counts(network, tokens):
    """How often each picture occurs, in the order of `joint`."""
    weights = network.codes ** torch.arange(network.length - 1, -1, -1)
    return np.bincount((tokens * weights).sum(1).numpy(), minlength=len(network.joint))


def p_value(network, tokens):
    """χ² of pictures against the network's law; pictures too rare to count on their own are counted together."""
    observed, expected = counts(network, tokens), network.joint * len(tokens)
    if observed[network.joint == 0].sum():
        return 0.0
    rare = expected < 5
    observed = np.append(observed[~rare], observed[rare].sum())
    expected = np.append(expected[~rare], expected[rare].sum())
    some = expected > 0
    return stats.chisquare(observed[some], expected[some] * observed.sum() / expected[some].sum()).pvalue


def total_variation(network, tokens):
    """Half the absolute difference between frequencies and law."""
    return 0.5 * np.abs(counts(network, tokens) / len(tokens) - network.joint).sum()


def noise_of_total_variation(network, pictures):
    """What it would be, at most, of so many pictures that do follow the law (1 in 1,000 is above it)."""
    drawn = np.random.default_rng(0).multinomial(pictures, network.joint / network.joint.sum(), size=1000)
    return (0.5 * np.abs(drawn / pictures - network.joint).sum(1)).max()


def assert_follows_law(network, decode, pictures=6000):
    """A large batch, whose rows go at different paces, has the network's law."""
    decoded = decode(network.like(pictures), RowRandom(range(pictures)))
    check_cost(network, decoded)
    assert len(decoded.passes.unique()) > 1
    value = p_value(network, decoded.tokens)
    assert value > 1e-3, f"p = {value}"
    return decoded


def assert_not_its_law(network, decode, pictures=6000):
    """A large batch does not have the network's law. Gives the total variation distance."""
    tokens = decode(network.like(pictures), RowRandom(range(pictures))).tokens
    distance, noise = total_variation(network, tokens), noise_of_total_variation(network, pictures)
    assert p_value(network, tokens) < 1e-6, f"total variation {distance}, noise {noise}"
    assert distance > 1.2 * noise, f"{distance} against noise of {noise}"
    return distance


def assert_rows_do_not_depend_on_their_batch(network, decode, pictures=24):
    """Batches of 1 and of 4 give what one large batch does, so that they have the same law."""
    whole = decode(network.like(pictures), RowRandom(range(pictures)))
    for size in (1, 4):
        for first in range(0, pictures, size):
            part = decode(network.like(size), RowRandom(range(first, first + size)))
            assert torch.equal(part.tokens, whole.tokens[first : first + size])
            assert torch.equal(part.passes, whole.passes[first : first + size])
            most = part.accepted.shape[1]
            assert torch.equal(part.accepted, whole.accepted[first : first + size, :most])
    assert len(whole.tokens.unique(dim=0)) > 1


def assert_greedy(network, decode, pictures=8):
    """At temperature 0 every row is what greedy autoregressive decoding gives."""
    greedy = network.like(pictures)
    greedy.temperature = 0
    decoded = decode(greedy, RowRandom(range(pictures)))
    check_cost(network, decoded)
    expected = autoregressive.decode(greedy.like(1), RowRandom([99])).tokens
    assert torch.equal(decoded.tokens, expected.expand(pictures, -1))


def check_cost(network, decoded):
    """Passes and accepted tokens add up."""
    assert (decoded.accepted.sum(1) == network.length).all()
    assert decoded.accepted.shape[1] == decoded.passes.max()
    last = decoded.accepted.gather(1, decoded.passes[:, None] - 1)
    assert (last > 0).all()
    after = torch.arange(decoded.accepted.shape[1]) >= decoded.passes[:, None]
    assert (decoded.accepted[after] == 0).all()


class ToyDrafter:
    """An EAGLE drafter that is wrong in its own way; with `teacher` it is always right.

    The teacher is a network of its own: the protocol's calls must keep that network's cache in order.
    """

    def __init__(self, network, teacher=None):
        generator = torch.Generator().manual_seed(5)
        self.teacher, self.length = teacher, network.length
        self.by_token = torch.randn(network.codes + 1, network.codes, generator=generator)
        self.by_feature = torch.randn(HIDDEN, network.codes, generator=generator)
        self.features = torch.randn(HIDDEN, HIDDEN, generator=generator)
        if teacher is not None:
            teacher.predict(torch.full((teacher.rows, 1), teacher.codes), torch.zeros(teacher.rows, dtype=torch.int64))

    def predict(self, inputs, features, start):
        assert int(start.min()) >= 1
        following = (features @ self.features).tanh()
        if self.teacher is not None:
            return self.teacher.predict(inputs, start), following
        return (self.by_token[inputs] + features @ self.by_feature).log_softmax(-1), following


class ToyHeads:
    """Medusa heads that say something of the features."""

    def __init__(self, network, heads=2):
        self.heads = heads
        self.by_feature = torch.randn(heads, HIDDEN, network.codes, generator=torch.Generator().manual_seed(6))

    def predict(self, features):
        return torch.einsum("bh,khv->bkv", features, self.by_feature).log_softmax(-1)
