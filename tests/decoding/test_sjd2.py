"""SJD2 on toy chains: which of its readings is lossless with respect to the tuned network.

The toy network was never trained on noise, which lossless decoding must not mind: noise makes worse proposals.
"""

import math
from functools import partial

import pytest
import torch

from lib.decoding import autoregressive, sjd2
from lib.decoding.noise import RowRandom
from lib.decoding.noise_levels import levels
from lib.decoding.toy_chain import ToyNetwork
from lib.errors import EaselError
from tests.decoding.toy_chain import (
    assert_follows_law,
    assert_greedy,
    assert_not_its_law,
    assert_rows_do_not_depend_on_their_batch,
    check_cost,
)

LOSSLESS = [
    {"test": "ratio", "coupling": "independent"},
    {"test": "ratio", "coupling": "gumbel"},
    {"test": "match", "coupling": "independent"},
    {"test": "match", "coupling": "gumbel"},
]


def network(steps=1, spacing="linear", **options):
    return ToyNetwork(times=levels(steps, spacing)[1:], **{"length": 5, **options})


def decoder(window=5, keep=math.inf, **options):
    return partial(sjd2.decode, window=window, keep=keep, **options)


@pytest.mark.parametrize("options", LOSSLESS[:3])
def test_clean_slots_without_the_keep_rule_are_lossless(options):
    assert_follows_law(network(), decoder(**options))


def test_it_is_lossless_with_more_denoising_steps_and_a_smaller_window():
    assert_follows_law(network(steps=2, spacing="karras", seed=1), decoder(window=4))


def test_the_keep_rule_is_lossy():
    print(f"total variation of the keep rule: {assert_not_its_law(network(), decoder(keep=0.5), 15_000)}")


def test_accepting_noisy_slots_is_lossy_and_gets_no_better_with_more_steps():
    far = [assert_not_its_law(network(steps), decoder(accept="any", window=4), 3000) for steps in (2, 4)]
    print(f"total variation with any slot accepted, 2 and 4 steps: {far}")
    assert min(far) > 0.1


def test_denoising_alone_is_lossy():
    assert assert_not_its_law(network(2), decoder(accept="denoised"), 3000) > 0.2


def test_a_broken_acceptance_is_found_out(monkeypatch):
    monkeypatch.setattr(sjd2, "chances", lambda log_p, log_q: torch.full_like(log_p, torch.inf))
    assert_not_its_law(network(), decoder(), 3000)


def test_a_cache_that_keeps_noise_is_found_out():
    """What was accepted while it was noisy must be read again; the network would go on from the noise otherwise."""
    toy = network(3).like(64)
    decoded = decoder(accept="any", window=3)(toy, RowRandom(range(64)))
    again = toy.like(64)
    inputs = torch.cat([torch.full((64, 1), toy.codes), decoded.tokens[:, :-1]], dim=1)
    again.predict(inputs, torch.zeros(64, dtype=torch.int64))
    settled = toy.length - 3  # the last slots may have been accepted in the last pass, after which nothing is read
    assert torch.equal(toy.inputs[:, :settled], again.inputs[:, :settled])
    assert torch.allclose(toy.hidden[:, :settled], again.hidden[:, :settled], atol=1e-5)


@pytest.mark.parametrize("rows", [1, 4, 300])
def test_exact_match_with_shared_noise_gives_the_tokens_of_autoregressive_sampling(rows):
    for steps in (1, 3):
        toy = network(steps, length=6)
        expected = autoregressive.decode(toy.like(rows), RowRandom(range(rows)))
        decoded = decoder(test="match", coupling="gumbel", window=4)(toy.like(rows), RowRandom(range(rows)))
        assert torch.equal(decoded.tokens, expected.tokens)
        check_cost(toy, decoded)


@pytest.mark.parametrize("options", LOSSLESS)
def test_greedy_and_batches(options):
    for steps in (1, 3):
        for keep in (math.inf, 0.5):
            assert_greedy(network(steps), decoder(keep=keep, **options))
    assert_rows_do_not_depend_on_their_batch(network(2), decoder(window=4, **options), 12)


@pytest.mark.parametrize("options", [{"accept": "any"}, {"accept": "denoised"}, {"keep": 0.5}])
def test_batches_of_the_lossy_kinds(options):
    assert_rows_do_not_depend_on_their_batch(network(2), decoder(window=4, **options), 12)


def test_clean_slots_are_there_after_as_many_passes_as_there_are_steps():
    """Denoising alone: nothing for steps − 1 passes, then at most window / steps slots a pass.

    One pass more than that makes, since the slots accepted first are read once more without noise.
    """
    toy = network(3, length=12)
    decoded = decoder(accept="denoised", window=6)(toy.like(4), RowRandom(range(4)))
    assert decoded.accepted[:, :2].sum() == 0 and (decoded.accepted[:, 2:] <= 2).all()
    assert (decoded.passes == 9).all()


def test_the_trace_shows_nearest_codes_and_ends_in_the_picture():
    toy = network(3)
    decoded = decoder(trace_slots=2)(toy.like(20), RowRandom(range(20)))
    assert decoded.trace.shape == (decoded.passes.max(), 20, 2) and (decoded.trace[-1] == -1).all()
    plain = decoder()(toy.like(20), RowRandom(range(20)))
    assert torch.equal(plain.tokens, decoded.tokens)  # looking changes nothing


def test_what_is_unknown_is_refused():
    for options, message in (
        ({"accept": "all"}, "no accept = 'all'; choose one of clean, any, denoised"),
        ({"test": "guess"}, "no test = 'guess'"),
        ({"coupling": "maximal"}, "no coupling = 'maximal'; choose one of independent, gumbel"),
        ({"keep": -0.5}, "at least 0, not -0.5"),
    ):
        with pytest.raises(EaselError, match=message):
            sjd2.decode(network().like(1), RowRandom([0]), **options)
