"""How many tokens stay masked, against fifty digits."""

import math
from decimal import Decimal, getcontext
from functools import cache
from itertools import pairwise
from typing import get_args

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lib.decoding.schedules import Schedule, masked_counts, masked_table
from lib.errors import EaselError

SCHEDULES = get_args(Schedule)
MOST = 64
getcontext().prec = 50
PI = Decimal("3.14159265358979323846264338327950288419716939937511")
CLOSE = Decimal(10) ** -40  # an error of fifty digits is less, and nothing that is not equal is that close


@cache
def cosine(numerator: int, denominator: int) -> Decimal:
    """cos(π/2 · numerator / denominator), by its series."""
    angle = PI / 2 * numerator / denominator
    term = total = Decimal(1)
    for k in range(1, 40):
        term *= -angle * angle / (2 * k * (2 * k - 1))
        total += term
    return total


def floor_of_share(schedule: str, done: int, passes: int, tokens: int) -> int:
    """⌊γ(done / passes) · tokens⌋ without rounding errors."""
    if schedule == "linear":
        return (passes - done) * tokens // passes
    if schedule == "cosine":
        return math.floor(cosine(done, passes) * tokens + CLOSE)
    # n ≤ (2/π) arccos(t/T) · M if, and only if, cos(πn / 2M) ≥ t/T.
    low, high = 0, tokens
    while low < high:
        middle = (low + high + 1) // 2
        reached = cosine(middle, tokens) + CLOSE >= Decimal(done) / passes
        low, high = (middle, high) if reached else (low, middle - 1)
    return low


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_exact_for_every_number_of_steps_and_of_unknown_tokens(schedule):
    for tokens in range(1, MOST + 1):
        for passes in range(1, tokens + 1):
            expected = [min(tokens - t, floor_of_share(schedule, t, passes, tokens)) for t in range(passes + 1)]
            assert masked_counts(schedule, tokens, passes) == expected, (tokens, passes)


def assert_sound(schedule, tokens, steps):
    counts = masked_counts(schedule, tokens, steps)
    assert counts[0] == tokens and counts[-1] == 0
    assert len(counts) == 1 + min(steps, tokens)
    assert all(before > after for before, after in pairwise(counts))


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_every_pass_fixes_a_token_and_the_last_one_fixes_all(schedule):
    for tokens in range(MOST + 1):
        for steps in range(1, MOST + 1):
            assert_sound(schedule, tokens, steps)


@given(st.sampled_from(SCHEDULES), st.integers(0, 4096), st.integers(1, 4096))
def test_so_it_is_for_large_pictures(schedule, tokens, steps):
    assert_sound(schedule, tokens, steps)


def test_whole_numbers_are_not_lost_to_rounding():
    # cos(π/3) is 0.5000000000000001 in double precision, cos(π/2) 6e-17 and (2/π) arccos(1/2) 0.6666666666666667.
    for half in range(2, 200):
        assert masked_counts("cosine", 2 * half, 3)[2] == half
        assert masked_counts("arccos", 3 * half, 2)[1] == 2 * half
        assert masked_counts("linear", 7 * half, 7) == [half * left for left in range(7, -1, -1)]


def test_muses_base_model():
    counts = masked_counts("cosine", 256, 24)  # section 2.8: 24 passes for 256 tokens
    assert counts[:5] == [256, 255, 253, 251, 247] and counts[-4:] == [49, 33, 16, 0]
    assert masked_counts("cosine", 64, 8) == [64, 62, 59, 53, 45, 35, 24, 12, 0]
    assert masked_counts("linear", 64, 8) == [64, 56, 48, 40, 32, 24, 16, 8, 0]


def test_pictures_in_one_table_keep_to_their_own_schedules():
    table = masked_table("cosine", torch.tensor([9, 0, 2, 64]), 4)
    assert table.dtype == torch.int64
    assert table.tolist() == [[9, 8, 6, 3, 0], [0] * 5, [2, 1, 0, 0, 0], [64, 59, 45, 24, 0]]
    assert masked_table("linear", torch.tensor([0]), 4).tolist() == [[0]]


def test_what_is_unknown_is_refused():
    with pytest.raises(EaselError, match="no schedule 'cubic'; choose one of cosine, linear, arccos"):
        masked_counts("cubic", 4, 4)
    with pytest.raises(EaselError, match="steps must be 1 or more, not 0"):
        masked_counts("cosine", 4, 0)
