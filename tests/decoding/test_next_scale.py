"""The next-scale sampler: its law, its bookkeeping, what is known."""

import pytest
import torch

from lib.decoding.next_scale import decode
from lib.decoding.noise import RowRandom
from lib.decoding.toy_chain import p_value
from lib.errors import EaselError
from tests.decoding.toy_scales import ToyScales

MANY = 6000


@pytest.fixture(scope="module")
def network():
    return ToyScales()


def drawn(network, rows, known=None):
    return decode(network.like(rows), RowRandom(range(rows)), known).tokens


def test_pictures_follow_the_law(network):
    tokens = drawn(network, MANY)
    assert p_value(network, tokens) > 1e-3
    assert p_value(network, tokens.flip(1)) < 1e-6  # which it could not if every law passed


def test_a_pass_a_scale_each_given_the_coarser_ones_as_drawn(network):
    toy = network.like(3)
    decoded = decode(toy, RowRandom([7, 8, 9]))
    assert decoded.passes.tolist() == [3, 3, 3] and len(toy.calls) == 3
    assert decoded.accepted.tolist() == [[1, 2, 2]] * 3 and decoded.trace is None
    for number, given in enumerate(toy.calls):
        assert torch.equal(given, decoded.tokens[:, : (0, 1, 3)[number]])
    assert decoded.tokens.shape == (3, 5) and decoded.tokens.dtype == torch.int64


def test_one_seed_is_the_same_picture_in_any_batch(network):
    whole = drawn(network, 50)
    alone = [decode(network.like(1), RowRandom([seed])).tokens for seed in range(50)]
    assert torch.equal(whole, torch.cat(alone))
    assert len(whole.unique(dim=0)) > 10


def test_a_token_takes_one_uniform_number(network):
    """That of the first row by hand: the first code whose cumulative probability is above it."""
    tokens, random, toy = drawn(network, 1), RowRandom([0]), network.like(1)
    for start, size in ((0, 1), (1, 2), (3, 2)):
        reached = toy.predict(tokens[:, :start]).exp().cumsum(2)
        expected = (reached > random.uniform(size).unsqueeze(2)).int().argmax(2)
        assert torch.equal(tokens[:, start : start + size], expected)


# --- What is known ---


def table(known):
    """Known tokens that do not depend on what was drawn, int64 [B, N], scale by scale."""
    return lambda tokens: known[:, tokens.shape[1] : tokens.shape[1] + (1 if tokens.shape[1] == 0 else 2)]


def test_known_tokens_stay_and_the_others_follow_the_law_given_the_coarser_ones(network):
    known = torch.tensor([[2, -1, 0, -1, -1]]).expand(MANY, -1)
    tokens = drawn(network, MANY, table(known))
    assert torch.equal(tokens[:, [0, 2]], known[:, [0, 2]])
    # The law with the known tokens put in, as VAR fills gaps: not the conditional one, which would look ahead.
    chances = network.joint.reshape(3, 3, 3, 9)[2]  # pictures whose first token is 2: [3, 3, 9]
    second = chances.sum((1, 2)) / chances.sum()  # of the free token of the second scale, drawn before the third
    third = chances[:, 0] / chances[:, 0].sum(1, keepdims=True)  # [3, 9], given both
    assert p_value(Law(second[:, None] * third, 3), tokens[:, [1, 3, 4]]) > 1e-3


class Law:
    """What `p_value` reads of a network."""

    def __init__(self, joint, length):
        self.joint, self.codes, self.length = joint.ravel(), 3, length


def test_nothing_known_changes_nothing_and_all_known_leaves_nothing_to_draw(network):
    nothing = torch.full((20, 5), -1)
    assert torch.equal(drawn(network, 20, table(nothing)), drawn(network, 20))
    everything = torch.randint(3, (20, 5), generator=torch.Generator().manual_seed(0))
    assert torch.equal(drawn(network, 20, table(everything)), everything)


def test_what_is_known_may_follow_from_what_was_drawn(network):
    tokens = drawn(
        network, 30, lambda before: before[:, :1].expand(-1, 2) if before.shape[1] else torch.full((30, 1), -1)
    )
    assert torch.equal(tokens, tokens[:, :1].expand(-1, 5)) and len(tokens.unique()) > 1


@pytest.mark.parametrize(
    ("known", "message"),
    [
        (torch.zeros(2, 2, dtype=torch.int64), r"known must be of 2 pictures of 1 tokens, not \(2, 2\)"),
        (torch.full((2, 1), 3), "known must be tokens 0 … 2, and −1 for what is unknown"),
        (torch.full((2, 1), -2), "known must be tokens"),
    ],
)
def test_known_tokens_that_are_none_are_refused(network, known, message):
    with pytest.raises(EaselError, match=message):
        decode(network.like(2), RowRandom([1, 2]), lambda tokens: known)


def test_random_numbers_of_other_pictures_are_refused(network):
    with pytest.raises(EaselError, match="3 pictures need a seed each, got 2 seeds"):
        decode(network.like(3), RowRandom([1, 2]))
