"""Known tokens stay, and the others follow the network's law given what stands before them."""

import pytest
import torch

from lib.decoding import autoregressive, filling
from lib.decoding.noise import RowRandom
from lib.decoding.toy_chain import ToyNetwork
from lib.errors import EaselError
from tests.decoding.toy_chain import check_cost


def unknown(network, rows):
    return torch.full((rows, network.length), -1)


def test_with_nothing_known_it_is_autoregressive_decoding():
    network = ToyNetwork()
    plain = autoregressive.decode(network.like(50), RowRandom(range(50)))
    filled = filling.decode(network.like(50), RowRandom(range(50)), unknown(network, 50))
    assert torch.equal(plain.tokens, filled.tokens)
    check_cost(network, filled)


def test_known_tokens_stay_and_what_follows_is_drawn_behind_them():
    network, rows = ToyNetwork(), 4000
    known = unknown(network, rows)
    known[:, 0] = 1
    drawn = filling.decode(network.like(rows), RowRandom(range(rows)), known).tokens
    assert (drawn[:, 0] == 1).all()
    inputs = torch.tensor([[network.codes, 1]])
    expected = network.like(1).predict(inputs, torch.zeros(1, dtype=torch.int64))[0, 1].exp()
    found = torch.bincount(drawn[:, 1], minlength=network.codes) / rows
    assert (found - expected).abs().max() < 4 * (0.25 / rows) ** 0.5


def test_a_known_token_further_on_does_not_change_what_is_before_it():
    network, rows = ToyNetwork(), 30
    known = unknown(network, rows)
    known[:, -1] = 0
    free = filling.decode(network.like(rows), RowRandom(range(rows)), unknown(network, rows)).tokens
    bound = filling.decode(network.like(rows), RowRandom(range(rows)), known).tokens
    assert torch.equal(free[:, :-1], bound[:, :-1]) and (bound[:, -1] == 0).all()


def test_known_tokens_of_another_shape_are_refused():
    network = ToyNetwork()
    with pytest.raises(EaselError, match="known must be of 2 pictures"):
        filling.decode(network.like(2), RowRandom(range(2)), unknown(network, 3))
