"""Parallel decoding of masked models: its law, its bookkeeping, its orders."""

from functools import partial
from typing import get_args

import pytest
import torch

from lib.decoding.masked import decode
from lib.decoding.noise import RowRandom
from lib.decoding.orders import Order, halton_order
from lib.decoding.schedules import Schedule, masked_counts
from lib.decoding.toy_chain import p_value, total_variation, total_variation_by_chance
from lib.errors import EaselError
from tests.decoding.toy_masked import SmoothMasked, ToyMasked, assert_sound, partly_known

ORDERS, SCHEDULES = get_args(Order), get_args(Schedule)
MANY = 6000


@pytest.fixture(scope="module")
def network():
    return ToyMasked()


@pytest.fixture(scope="module")
def smooth():
    return SmoothMasked(rows=3, length=16, codes=7)


def tokens_of(network, **options):
    return decode(network.like(MANY), RowRandom(range(MANY)), **options).tokens


def assert_not_the_law(network, tokens):
    assert p_value(network, tokens) < 1e-6
    assert total_variation(network, tokens) > 1.2 * total_variation_by_chance(network, MANY).max()


# --- The law ---


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("temperature", [1.0, 2.0, 0.5])
def test_one_pass_draws_every_token_from_its_marginal(network, order, temperature):
    drawn = tokens_of(network, steps=1, order=order, temperature=temperature)
    assert p_value(network.marginals(temperature), drawn) > 1e-3
    assert_not_the_law(network, drawn)


@pytest.mark.parametrize("order", ["random", "halton"])
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_one_token_a_pass_is_lossless(network, order, schedule):
    assert p_value(network, tokens_of(network, steps=4, order=order, schedule=schedule)) > 1e-3


@pytest.mark.parametrize("steps", [1, 2, 3, 4])
@pytest.mark.parametrize("order", ORDERS)
def test_a_law_of_independent_tokens_is_sampled_exactly_in_any_number_of_passes(network, steps, order):
    independent = network.marginals()
    drawn = tokens_of(independent, steps=steps, order=order, noise=1e9)
    assert p_value(independent, drawn) > 1e-3


def test_confidence_prefers_what_is_likely(network):
    """What the order of confidence costs, even with one token a pass; with much noise it is a random order."""
    sure = tokens_of(network, steps=4, order="confidence", noise=0.0)
    assert_not_the_law(network, sure)
    index = (sure * torch.tensor([27, 9, 3, 1])).sum(1).numpy()
    assert network.joint[index].mean() > (network.joint**2).sum() * 1.1
    assert p_value(network, tokens_of(network, steps=4, order="confidence", noise=1e9)) > 1e-3


def test_temperature_0_takes_the_likeliest(network):
    for steps in (1, 2, 4):
        decoded = decode(network.like(5), RowRandom(range(5)), steps=steps, noise=0.0, temperature=0.0)
        assert len(decoded.tokens.unique(dim=0)) == 1
    assert torch.equal(decode(network, RowRandom([1]), steps=1, temperature=0.0).tokens[0], network.table[-1].argmax(1))


def test_temperature_follows_the_progress(smooth):
    """It falls to what was asked for in the last pass, where nothing is left to chance if that is 0."""
    random = RowRandom(range(3))
    traced = decode(smooth, random, steps=4, temperature=3.0, last_temperature=0.0, order="halton", trace=True).trace
    log_p = smooth.predict(traced.tokens[-2], None)
    was_masked = traced.tokens[-2] == smooth.codes
    assert was_masked.any(1).all()
    assert torch.equal(traced.tokens[-1][was_masked], log_p.argmax(2)[was_masked])
    network = SmoothMasked(300, 16, 7)
    run = partial(decode, network, steps=4, order="halton", trace=True)
    falling, constant = (
        run(RowRandom(range(300)), **options).trace.confidence.mean(dim=1)
        for options in ({"temperature": 3.0, "last_temperature": 0.0}, {})
    )
    assert falling[0] < constant[0] and falling[-1] > constant[-1]


# --- The bookkeeping ---


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_every_number_of_steps_and_of_known_tokens(order, schedule):
    network = SmoothMasked(rows=10, length=9, codes=4)
    known = partly_known(10, 9, 4)
    for steps in range(1, 10):
        options = {"steps": steps, "order": order, "schedule": schedule, "trace": True}
        decoded = decode(network, RowRandom(range(10)), known=known, **options)
        assert_sound(network, known, steps, decoded)
        for row, missing in enumerate(((known < 0) | (known == 4)).sum(1).tolist()):
            counts = torch.tensor(masked_counts(schedule, missing, steps))
            assert torch.equal(decoded.accepted[row, : len(counts) - 1], -counts.diff())
        whole = decode(network, RowRandom(range(10)), **options)
        assert_sound(network, torch.full((10, 9), -1), steps, whole)


def test_known_pictures_take_no_pass(network):
    known = torch.tensor([[0, 1, 2, 0]])
    toy = network.like(1)
    decoded = decode(toy, RowRandom([1]), steps=3, known=known, trace=True)
    assert torch.equal(decoded.tokens, known) and not toy.seen and decoded.trace is None
    assert decoded.passes.tolist() == [0] and decoded.accepted.shape == (1, 0)


def test_the_network_is_told_tokens_and_progress(network):
    toy = network.like(3)
    known = torch.tensor([[-1, -1, -1, -1], [0, -1, -1, 2], [0, 1, 2, 0]])
    decoded = decode(toy, RowRandom(range(3)), steps=4, known=known, trace=True)
    assert torch.stack(toy.progress).tolist() == [[0.25, 0.5, 1.0], [0.5, 1.0, 1.0], [0.75, 1.0, 1.0], [1.0, 1.0, 1.0]]
    assert toy.seen[0].tolist() == [[3, 3, 3, 3], [0, 3, 3, 2], [0, 1, 2, 0]]
    for given, left in zip(toy.seen[1:], decoded.trace.tokens[:-1], strict=True):
        assert torch.equal(given, left)


def test_inpainting_follows_the_law_given_what_is_known(network):
    """The first two tokens known, the others drawn one a pass: the conditional law of the picture."""
    known = torch.tensor([[2, 0, -1, -1]]).expand(MANY, -1)
    tokens = decode(network.like(MANY), RowRandom(range(MANY)), steps=2, order="random", known=known).tokens
    rest = network.joint.reshape(9, 9)[6]  # pictures that begin with 2, 0
    conditional = ToyMasked(length=2, joint=torch.from_numpy(rest / rest.sum()))
    assert p_value(conditional, tokens[:, 2:]) > 1e-3


def test_the_trace_says_what_the_passes_did(network):
    toy = network.like(50)
    decoded = decode(toy, RowRandom(range(50)), steps=3, trace=True)
    trace = decoded.trace
    before = torch.full((50, 4), 3)
    for number in range(3):
        log_p = toy.table[(before * toy.weights).sum(1)]
        was_masked, after, drafts = before == 3, trace.tokens[number], trace.drafts[number]
        assert (drafts < 3).all() and torch.equal(drafts[after < 3], after[after < 3])
        entropies = -(log_p.exp() * log_p).sum(2)
        sure = log_p.gather(2, drafts[..., None])[..., 0]
        for row in range(50):
            fixed = was_masked[row] & (after[row] < 3)
            assert torch.isclose(trace.entropy[number, row], entropies[row][was_masked[row]].mean(), atol=1e-5)
            assert torch.isclose(trace.confidence[number, row], sure[row][fixed].mean(), atol=1e-5)
        before = after
    assert torch.equal(before, decoded.tokens)
    assert decode(toy, RowRandom(range(50)), steps=3).trace is None


def test_passes_of_complete_pictures_have_no_entropy(network):
    known = torch.tensor([[-1, 0, 1, 0], [-1] * 4])
    trace = decode(network.like(2), RowRandom([1, 2]), steps=4, known=known, trace=True).trace
    for values in (trace.entropy, trace.confidence):
        assert values.isnan().tolist() == [[False, False]] + [[True, False]] * 3


# --- The order ---


def test_without_noise_the_most_confident_are_fixed(smooth):
    trace = decode(smooth, RowRandom(range(3)), steps=5, noise=0.0, trace=True).trace
    before = torch.full((3, 16), smooth.codes)
    for after, drafts in zip(trace.tokens, trace.drafts, strict=True):
        sure = smooth.predict(before, None).gather(2, drafts[..., None])[..., 0]
        for row in range(3):
            fixed, left = (before[row] == 7) & (after[row] != 7), after[row] == 7
            assert not left.any() or sure[row][fixed].min() >= sure[row][left].max()
        before = after


def test_haltons_order_passes_over_what_is_known(smooth):
    known = torch.full((3, 16), -1)
    known[1, list(halton_order(4, 4)[:5])] = 2
    trace = decode(smooth, RowRandom(range(3)), steps=16, order="halton", known=known, trace=True).trace
    for row, order in enumerate([halton_order(4, 4), halton_order(4, 4)[5:], halton_order(4, 4)]):
        for number, slot in enumerate(order):
            assert trace.tokens[number, row, slot] < 7
            assert (trace.tokens[number, row, list(order[number + 1 :])] == 7).all()


# --- What is refused ---


@pytest.mark.parametrize(
    "options, message",
    [
        ({"steps": 0}, "steps must be 1 … 4, the slots of a picture, not 0"),
        ({"steps": 5}, "steps must be 1 … 4, the slots of a picture, not 5"),
        ({"order": "raster"}, "no order 'raster'; choose one of confidence, halton, random"),
        ({"schedule": "cubic"}, "no schedule 'cubic'"),
        ({"noise": -1.0}, "noise must be 0 or more, not -1.0"),
        ({"noise": float("inf")}, "noise must be 0 or more, not inf"),
        ({"temperature": -0.5}, "temperature must be 0 or more, not -0.5"),
        ({"last_temperature": float("nan")}, "last_temperature must be 0 or more, not nan"),
        ({"order": "halton", "columns": 3}, "does not have 3 columns"),
        ({"known": torch.zeros(2, 3, dtype=torch.int64)}, r"known must be of 2 pictures of 4 tokens, not \(2, 3\)"),
        ({"known": torch.full((2, 4), 4)}, "known must be tokens 0 … 2, and −1 or 3 for what is unknown"),
        ({"known": torch.full((2, 4), -2)}, "known must be tokens"),
    ],
)
def test_options_outside_their_range_are_refused(network, options, message):
    with pytest.raises(EaselError, match=message):
        decode(network.like(2), RowRandom([1, 2]), **{"steps": 2} | options)


def test_random_numbers_of_other_pictures_are_refused(network):
    with pytest.raises(EaselError, match="3 pictures need a seed each, got 2 seeds"):
        decode(network.like(3), RowRandom([1, 2]), steps=2)
