"""SJD++: how far its reuse of drafts takes it from the network's law."""

import math
from functools import partial

import pytest
import torch

from lib.decoding import sjd, sjdpp
from lib.decoding.noise import RowRandom
from lib.decoding.toy_chain import ToyNetwork
from lib.errors import EaselError
from tests.decoding.toy_chain import assert_greedy, assert_not_its_law, assert_rows_do_not_depend_on_their_batch


@pytest.fixture(scope="module")
def network():
    return ToyNetwork(length=5)


def test_reuse_is_lossy_and_the_more_so_the_lower_its_threshold(network):
    far = {
        threshold: assert_not_its_law(network, partial(sjdpp.decode, window=5, threshold=threshold, initial="uniform"))
        for threshold in (0.1, 0.5)
    }
    print(f"total variation of SJD++ by threshold: {far}")
    assert far[0.1] > far[0.5] + 0.03


def test_without_reuse_it_is_sjd(network):
    for initial in ("one_hot", "uniform", "above"):
        options = {"window": 3, "initial": initial, "columns": 5}
        one = sjdpp.decode(network.like(200), RowRandom(range(200)), threshold=math.inf, **options)
        other = sjd.decode(network.like(200), RowRandom(range(200)), **options)
        assert torch.equal(one.tokens, other.tokens) and torch.equal(one.accepted, other.accepted)


def test_greedy_and_batches(network):
    assert_greedy(network, partial(sjdpp.decode, window=4))
    assert_rows_do_not_depend_on_their_batch(network, partial(sjdpp.decode, window=4))


def test_a_threshold_below_zero_is_refused(network):
    with pytest.raises(EaselError, match="at least 0, not -1"):
        sjdpp.decode(network, RowRandom([0]), threshold=-1)
