"""LANTERN's relaxed test."""

from functools import partial

import pytest
import torch

from lib.decoding import eagle, lantern
from lib.decoding.noise import RowRandom
from lib.decoding.toy_chain import ToyDrafter, ToyNetwork
from lib.errors import EaselError
from tests.decoding.toy_chain import assert_not_its_law, assert_rows_do_not_depend_on_their_batch


@pytest.fixture(scope="module")
def network():
    return ToyNetwork()


def decode(network, random, budget):
    near = lantern.neighbours(network.table[: network.codes], 2)
    return lantern.decode(network, ToyDrafter(network), random, near=near, budget=budget, drafts=3)


def test_neighbours_are_the_nearest_others():
    codebook = torch.tensor([[0.0], [1.0], [3.0], [3.0], [10.0]])
    assert lantern.neighbours(codebook, 2).tolist() == [[1, 2], [0, 2], [3, 1], [2, 1], [2, 3]]
    for count in (0, 5):
        with pytest.raises(EaselError, match=f"1 … 4 neighbours, not {count}"):
            lantern.neighbours(codebook, count)


def test_the_budget_bounds_what_is_moved_to_a_draft():
    near = torch.tensor([[1, 2, 3], [0, 2, 3], [1, 3, 0], [2, 1, 0]])
    log_p = torch.tensor([[[0.4, 0.1, 0.2, 0.3]] * 2]).log()
    drafts = torch.tensor([[0, 3]])
    for budget, expected in (
        (0.05, [[0.4, 0.1, 0.2, 0.3], [0.4, 0.1, 0.2, 0.3]]),
        (0.15, [[0.5, 0.0, 0.2, 0.3], [0.4, 0.1, 0.2, 0.3]]),
        (0.25, [[0.5, 0.0, 0.2, 0.3], [0.4, 0.1, 0.0, 0.5]]),
        (0.35, [[0.7, 0.0, 0.0, 0.3], [0.4, 0.0, 0.0, 0.6]]),
    ):
        assert torch.allclose(lantern.pool(log_p, drafts, near, budget).exp(), torch.tensor([expected]))


def test_no_budget_is_eagle_and_a_budget_is_lossy_and_saves_passes(network):
    plain = eagle.decode(network.like(500), ToyDrafter(network), RowRandom(range(500)), drafts=3)
    same = decode(network.like(500), RowRandom(range(500)), budget=0)
    assert torch.equal(same.tokens, plain.tokens) and torch.equal(same.passes, plain.passes)
    far = [assert_not_its_law(network, partial(decode, budget=budget), 3000) for budget in (0.3, 0.6)]
    print(f"total variation of LANTERN with budgets of 0.3 and 0.6: {far}")
    assert far[0] < far[1]
    relaxed = decode(network.like(500), RowRandom(range(500)), budget=0.6)
    assert relaxed.passes.float().mean() < plain.passes.float().mean()


def test_rows_do_not_depend_on_their_batch(network):
    assert_rows_do_not_depend_on_their_batch(network, partial(decode, budget=0.3))


def test_a_budget_that_is_no_probability_is_refused(network):
    with pytest.raises(EaselError, match=r"a probability, 0 … 1, not 1\.5"):
        decode(network, RowRandom([0]), budget=1.5)
