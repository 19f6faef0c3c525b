"""Editing by iterated resampling."""

import pytest
import torch

from lib.decoding.editing import resample
from lib.decoding.noise import RowRandom
from lib.decoding.toy_chain import p_value
from lib.errors import EaselError
from tests.decoding.toy_masked import SmoothMasked, ToyMasked

MANY = 3000


@pytest.fixture(scope="module")
def network():
    return ToyMasked()


def test_one_token_at_a_time_ends_at_the_law_wherever_it_began(network):
    start = torch.tensor([[2, 2, 2, 2]]).expand(MANY, -1)
    edited = resample(network.like(MANY), RowRandom(range(MANY)), start, iterations=40, share=0.25)
    assert p_value(network, edited.tokens) > 1e-3
    few = resample(network.like(MANY), RowRandom(range(MANY)), start, iterations=2, share=0.25)
    assert p_value(network, few.tokens) < 1e-6


def test_the_whole_picture_at_once_is_one_pass_of_the_sampler(network):
    start = torch.zeros(MANY, 4, dtype=torch.int64)
    edited = resample(network.like(MANY), RowRandom(range(MANY)), start, iterations=1, share=1.0)
    assert p_value(network.marginals(), edited.tokens) > 1e-3


@pytest.mark.parametrize("share, count", [(0.08, 5), (0.001, 1), (1.0, 64)])
def test_an_iteration_masks_a_share_of_the_tokens_and_changes_no_other(share, count):
    inner, seen = SmoothMasked(3, 64, 9), []

    class Noting:
        rows, length, codes = 3, 64, 9

        def predict(self, tokens, progress):
            assert progress.tolist() == [1.0] * 3
            seen.append(tokens)
            return inner.predict(tokens, progress)

    start = torch.randint(9, (3, 64), generator=torch.Generator().manual_seed(0))
    edited = resample(Noting(), RowRandom(range(3)), start, iterations=4, share=share, trace=True)
    before = start
    for number, (given, after) in enumerate(zip(seen, edited.trace, strict=True)):
        chosen = given == 9
        assert (chosen.sum(1) == count).all()
        assert torch.equal(given[~chosen], before[~chosen]) and torch.equal(after[~chosen], before[~chosen])
        assert torch.equal(edited.changed[:, number], (after != before).sum(1))
        before = after
    assert torch.equal(before, edited.tokens) and ((before >= 0) & (before < 9)).all()
    assert count == 64 or not torch.equal(seen[0] == 9, seen[1] == 9)
    assert resample(inner, RowRandom(range(3)), start, iterations=4, share=share).trace is None


def test_temperature_0_ends_where_nothing_changes(network):
    start = torch.zeros(20, 4, dtype=torch.int64)
    edited = resample(network.like(20), RowRandom(range(20)), start, share=0.25, temperature=0.0)
    assert edited.changed.shape == (20, 100)
    assert (edited.changed[:, -30:] == 0).all() and (edited.changed.sum(1) > 0).any()


def test_pictures_do_not_depend_on_their_batch():
    network = SmoothMasked(8, 9, 4)
    start = torch.randint(4, (8, 9), generator=torch.Generator().manual_seed(0))
    whole = resample(network, RowRandom(range(8)), start, iterations=5, share=0.3)
    for row in range(8):
        alone = resample(network.like(1), RowRandom([row]), start[row : row + 1], iterations=5, share=0.3)
        assert torch.equal(alone.tokens[0], whole.tokens[row]) and torch.equal(alone.changed[0], whole.changed[row])


@pytest.mark.parametrize(
    "options, message",
    [
        ({"iterations": 0}, "iterations must be 1 or more, not 0"),
        ({"share": 0.0}, "share must be above 0 and at most 1, not 0.0"),
        ({"share": 1.5}, "share must be above 0 and at most 1, not 1.5"),
        ({"share": float("nan")}, "share must be above 0 and at most 1, not nan"),
        ({"temperature": -1.0}, "temperature must be 0 or more"),
        ({"tokens": torch.tensor([[0, 1, 2, -1]] * 2)}, "a picture to edit has all its tokens"),
        ({"tokens": torch.tensor([[0, 1, 2, 4]] * 2)}, "tokens 0 … 2"),
        ({"tokens": torch.zeros(2, 5, dtype=torch.int64)}, "of 2 pictures of 4 tokens"),
    ],
)
def test_options_outside_their_range_are_refused(network, options, message):
    options = {"tokens": torch.zeros(2, 4, dtype=torch.int64)} | options
    with pytest.raises(EaselError, match=message):
        resample(network.like(2), RowRandom([1, 2]), **options)
    with pytest.raises(EaselError, match="2 pictures need a seed each"):
        resample(network.like(2), RowRandom([1]), torch.zeros(2, 4, dtype=torch.int64))
