"""What decoders are asked on toy chains: their law, greedy decoding, batches, costs that add up."""

import torch

from lib.decoding import autoregressive
from lib.decoding.noise import RowRandom
from lib.decoding.toy_chain import p_value, total_variation, total_variation_by_chance


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
    distance, noise = total_variation(network, tokens), total_variation_by_chance(network, pictures).max()
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
