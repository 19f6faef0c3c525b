"""Chains of drafts on toy chains: lossless whatever the drafter says."""

from functools import partial

import pytest
import torch

from lib.decoding import eagle
from lib.decoding.noise import RowRandom
from lib.decoding.toy_chain import ToyDrafter, ToyNetwork
from lib.errors import EaselError
from tests.decoding.toy_chain import (
    assert_follows_law,
    assert_greedy,
    assert_not_its_law,
    assert_rows_do_not_depend_on_their_batch,
)


@pytest.fixture(scope="module")
def network():
    return ToyNetwork()


def decode(network, random, drafts=2):
    return eagle.decode(network, ToyDrafter(network), random, drafts=drafts)


@pytest.mark.parametrize("drafts", [1, 3])
def test_a_poor_drafter_is_lossless(network, drafts):
    assert_follows_law(network, partial(decode, drafts=drafts))


def test_a_drafter_that_knows_the_network_is_never_wrong():
    """Slots, tokens and features are where the protocol says, and the drafter's cache can be rolled back."""
    network = ToyNetwork(length=7).like(400)
    decoded = eagle.decode(network, ToyDrafter(network, network.like(400)), RowRandom(range(400)), drafts=2)
    for row, passes in zip(decoded.accepted.tolist(), decoded.passes.tolist(), strict=True):
        assert row[1 : passes - 1] == [3] * (passes - 2)  # all but the first, which drafts at random, and the last
    assert network.calls == decoded.passes.max()


def test_a_broken_acceptance_is_found_out(network, monkeypatch):
    monkeypatch.setattr(eagle, "chances", lambda log_p, log_q: torch.full_like(log_p, torch.inf))
    assert_not_its_law(network, decode, 3000)


def test_greedy_and_batches(network):
    for drafts in (1, 2, 5):
        assert_greedy(network, partial(decode, drafts=drafts))
    assert_rows_do_not_depend_on_their_batch(network, decode)


def test_a_chain_without_drafts_is_refused(network):
    with pytest.raises(EaselError, match="at least one draft, not 0"):
        decode(network, RowRandom([0]), drafts=0)
