"""Jacobi decoding on toy chains."""

from functools import partial

import pytest
import torch

from lib.decoding import autoregressive, jacobi
from lib.decoding.noise import RowRandom
from lib.decoding.toy_chain import ToyNetwork
from lib.errors import EaselError
from tests.decoding.toy_chain import (
    assert_follows_law,
    assert_greedy,
    assert_not_its_law,
    assert_rows_do_not_depend_on_their_batch,
)

KINDS = ["one_hot", "uniform", "left", "above", "sample_left"]


@pytest.fixture(scope="module")
def network():
    return ToyNetwork()


@pytest.mark.parametrize("window", [2, 3])
def test_fresh_draws_are_lossless(network, window):
    assert_follows_law(network, partial(jacobi.decode, window=window))


def test_an_acceptance_without_a_test_is_found_out(network, monkeypatch):
    monkeypatch.setattr(jacobi, "leading", lambda passed: torch.full((len(passed),), passed.shape[1]))
    assert_not_its_law(network, partial(jacobi.decode, window=3), pictures=3000)


@pytest.mark.parametrize("rows", [1, 4, 300])
@pytest.mark.parametrize("initial", KINDS)
def test_shared_noise_gives_the_tokens_of_autoregressive_sampling(rows, initial):
    network = ToyNetwork(length=6, codes=4)
    expected = autoregressive.decode(network.like(rows), RowRandom(range(rows)))
    for window in (1, 3, 6):
        decode = partial(jacobi.decode, window=window, noise="shared", initial=initial, columns=3)
        decoded = decode(network.like(rows), RowRandom(range(rows)))
        assert torch.equal(decoded.tokens, expected.tokens)
        assert (decoded.passes <= 6).all() and (window > 1 or (decoded.passes == 6).all())
    if rows > 4:
        assert decoded.passes.float().mean() < 4.5 and len(decoded.passes.unique()) > 1


def test_fewer_passes_with_shared_noise_than_with_fresh():
    network = ToyNetwork(length=6, codes=5)
    fresh, shared = (
        jacobi.decode(network.like(400), RowRandom(range(400)), window=6, noise=noise).passes.float().mean()
        for noise in ("fresh", "shared")
    )
    assert shared < fresh - 0.2


@pytest.mark.parametrize("noise", ["fresh", "shared"])
def test_greedy_and_batches(network, noise):
    for window in (1, 2, 4):
        assert_greedy(network, partial(jacobi.decode, window=window, noise=noise))
    assert_rows_do_not_depend_on_their_batch(network, partial(jacobi.decode, window=3, noise=noise))


def test_what_is_unknown_is_refused(network):
    with pytest.raises(EaselError, match="no noise 'brown'; choose one of fresh, shared"):
        jacobi.decode(network, RowRandom([0]), noise="brown")
