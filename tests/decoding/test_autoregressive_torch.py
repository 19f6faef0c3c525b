"""The reference itself."""

import torch

from lib.decoding import autoregressive
from lib.decoding.noise import RowRandom
from lib.decoding.toy_chain import ToyNetwork, p_value
from tests.decoding.toy_chain import (
    assert_greedy,
    assert_not_its_law,
    assert_rows_do_not_depend_on_their_batch,
    check_cost,
)


def test_pictures_follow_the_law_of_the_network():
    for network in (ToyNetwork(), ToyNetwork(length=3, codes=5, top_k=3, temperature=1.5)):
        decoded = autoregressive.decode(network.like(6000), RowRandom(range(6000)))
        assert p_value(network, decoded.tokens) > 1e-3
        check_cost(network, decoded)
        assert (decoded.passes == network.length).all() and (decoded.accepted == 1).all()
    assert_greedy(network, autoregressive.decode)


def test_the_law_is_told_from_a_slightly_different_one():
    network = ToyNetwork()

    def warmer(other, random):
        other.temperature = 1.2
        return autoregressive.decode(other, random)

    assert_not_its_law(network, warmer)


def test_rows_do_not_depend_on_their_batch():
    assert_rows_do_not_depend_on_their_batch(ToyNetwork(), autoregressive.decode)


def test_the_toy_network_can_be_rolled_back_and_forgets_what_it_was_given_wrongly():
    network = ToyNetwork(rows=2, length=5)
    tokens = torch.tensor([[3, 0, 1, 2, 0], [3, 2, 2, 1, 1]])  # BOS first
    start = torch.zeros(2, dtype=torch.int64)
    whole = network.predict(tokens, start)
    other = network.like(2)
    other.predict(tokens[:, [0, 2, 1, 0, 1]], start)
    assert torch.equal(other.predict(tokens[:, :3], start), whole[:, :3])
    later = other.predict(torch.stack([tokens[0, 2:4], tokens[1, [4, 0]]]), torch.tensor([2, 4]))
    assert torch.equal(later[0], whole[0, 2:4])
    assert not torch.equal(later[1, 0], whole[1, 4])  # its slot 2 was last given a wrong token, and the cache knows
    written = torch.ones(2, 5, dtype=torch.bool)
    scattered = network.predict_at(tokens, torch.arange(5).expand(2, -1), written)
    assert torch.allclose(scattered, whole, atol=1e-5)
