"""Heads on toy chains: lossless whatever they say."""

from functools import partial

import pytest
import torch

from lib.decoding import medusa
from lib.decoding.noise import RowRandom
from lib.decoding.toy_chain import HIDDEN, ToyHeads, ToyNetwork
from tests.decoding.toy_chain import (
    assert_follows_law,
    assert_greedy,
    assert_not_its_law,
    assert_rows_do_not_depend_on_their_batch,
)


@pytest.fixture(scope="module")
def network():
    return ToyNetwork()


def decode(network, random, heads=2):
    return medusa.decode(network, ToyHeads(network, heads), random)


@pytest.mark.parametrize("heads", [1, 3])
def test_poor_heads_are_lossless(network, heads):
    assert_follows_law(network, partial(decode, heads=heads))


def test_a_broken_acceptance_is_found_out(network, monkeypatch):
    monkeypatch.setattr(medusa, "chances", lambda log_p, log_q: torch.full_like(log_p, torch.inf))
    assert_not_its_law(network, decode, 3000)


def test_greedy_and_batches(network):
    for heads in (1, 2, 5):
        assert_greedy(network, partial(decode, heads=heads))
    assert_rows_do_not_depend_on_their_batch(network, decode)


class Counting:
    """A network whose slot s always has code s mod 5, and whose feature of a slot is the slot."""

    rows, length, codes = 3, 11, 5

    def predict_features(self, inputs, start):
        slots = start[:, None] + torch.arange(inputs.shape[1])
        return torch.nn.functional.one_hot(slots % 5, 5).float().log(), slots[..., None].expand(-1, -1, HIDDEN)


class CountingHeads:
    heads = 3

    def predict(self, features):
        slots = features[:, :1] + torch.arange(1, 4)
        return torch.nn.functional.one_hot(slots % 5, 5).float().log()


def test_heads_speak_of_the_slots_after_the_one_fixed_last():
    decoded = medusa.decode(Counting(), CountingHeads(), RowRandom(range(3)))
    assert decoded.tokens.tolist() == [[slot % 5 for slot in range(11)]] * 3
    for row, passes in zip(decoded.accepted.tolist(), decoded.passes.tolist(), strict=True):
        assert row[1 : passes - 1] == [4] * (passes - 2)
