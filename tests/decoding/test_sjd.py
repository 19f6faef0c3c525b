"""Speculative Jacobi decoding on toy chains: lossless with every initialisation and every coupling."""

from functools import partial

import pytest
import torch

from lib.decoding import sjd
from lib.decoding.noise import RowRandom
from lib.decoding.speculative import sampled
from lib.decoding.toy_chain import ToyNetwork
from lib.errors import EaselError
from tests.decoding.toy_chain import (
    assert_follows_law,
    assert_greedy,
    assert_not_its_law,
    assert_rows_do_not_depend_on_their_batch,
)

KINDS = ["one_hot", "uniform", "left", "above", "sample_left"]
COUPLINGS = ["independent", "gumbel", "maximal"]


@pytest.fixture(scope="module")
def network():
    return ToyNetwork()


@pytest.mark.parametrize("initial", KINDS)
def test_every_initialisation_is_lossless(network, initial):
    assert_follows_law(network, partial(sjd.decode, window=2, initial=initial), 4000)


@pytest.mark.parametrize("coupling", COUPLINGS)
def test_every_coupling_is_lossless(coupling):
    network = ToyNetwork(length=5, seed=1)  # longer: a slot's draws are coupled over several passes before its test
    assert_follows_law(network, partial(sjd.decode, window=4, initial="uniform", coupling=coupling))


def test_codes_that_top_k_removes_are_never_drawn():
    network = ToyNetwork(length=3, codes=5, top_k=2)
    assert_follows_law(network, partial(sjd.decode, window=3, initial="uniform"), 3000)


def always(log_p, log_q):
    """Every draft is accepted."""
    return torch.full_like(log_p, torch.inf)


def plain(log_p, log_q, agreed, uniform, noise):
    """After a rejection, a draw from p instead of the residual."""
    return sampled(log_p, uniform, noise)


@pytest.mark.parametrize(("name", "broken"), [("chances", always), ("redrawn", plain)])
def test_a_broken_acceptance_is_found_out(network, monkeypatch, name, broken):
    monkeypatch.setattr(sjd, name, broken)
    assert_not_its_law(network, partial(sjd.decode, window=3, initial="uniform"), 3000)


def test_one_pace_for_all_rows_is_found_out(monkeypatch):
    """Pairs of rows that are both cut where the slower one is, although the other's drafts had passed: biased."""
    network = ToyNetwork(length=5, seed=1)
    whole = sjd.leading
    slower = lambda passed: whole(passed).view(-1, 2).amin(1, keepdim=True).expand(-1, 2).flatten()  # noqa: E731
    monkeypatch.setattr(sjd, "leading", slower)
    assert_not_its_law(network, partial(sjd.decode, window=4, initial="uniform"))


@pytest.mark.parametrize("coupling", COUPLINGS)
def test_greedy_and_batches(network, coupling):
    for initial in KINDS:
        assert_greedy(network, partial(sjd.decode, window=3, initial=initial, coupling=coupling))
    assert_rows_do_not_depend_on_their_batch(network, partial(sjd.decode, window=3, coupling=coupling), 12)


def test_true_proposals_and_coupled_draws_save_passes():
    network = ToyNetwork(length=6, codes=5)

    def passes(**options):
        return sjd.decode(network.like(800), RowRandom(range(800)), window=4, **options).passes.float().mean()

    one_hot, uniform = passes(initial="one_hot"), passes(initial="uniform")
    assert uniform < one_hot - 0.1
    assert passes(initial="uniform", coupling="maximal") < uniform


def test_a_window_of_one_slot_is_one_token_a_pass(network):
    decoded = sjd.decode(network.like(50), RowRandom(range(50)), window=1)
    assert (decoded.passes == network.length).all()


def test_the_trace_ends_in_the_picture(network):
    decoded = sjd.decode(network.like(50), RowRandom(range(50)), window=4, trace_slots=2)
    assert decoded.trace.shape == (decoded.passes.max(), 50, 2)
    assert (decoded.trace[-1] == -1).all() and (decoded.trace[0, :, 0] >= 0).sum() > 25


def test_what_is_unknown_is_refused(network):
    with pytest.raises(EaselError, match="no coupling 'loose'; choose one of independent, gumbel, maximal"):
        sjd.decode(network, RowRandom([0]), coupling="loose")
