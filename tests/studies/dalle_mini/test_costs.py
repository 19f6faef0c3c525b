import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.errors import EaselError
from studies.dalle_mini.code import costs
from studies.dalle_mini.code.costs import TPU_V3_8, Accelerator, FirstMiniRun, Range

positive = st.floats(1e-3, 1e6)
share = st.floats(0, 1)


@given(positive, positive, positive, positive, share, share)
@settings(deadline=None)
def test_ranges_hold_every_product_and_quotient_of_their_members(a, b, c, d, s, t):
    first, second = Range(min(a, b), max(a, b)), Range(min(c, d), max(c, d))
    x = first.low + s * (first.high - first.low)
    y = second.low + t * (second.high - second.low)
    for found, member in ((first * second, x * y), (first / second, x / y), (first * y, x * y), (first / y, x / y)):
        assert found.low <= member * (1 + 1e-9) and member <= found.high * (1 + 1e-9)


@pytest.mark.parametrize("ends", [(2, 1), (0, 1), (-1, 1), (float("nan"), 1)])
def test_ranges_are_positive_and_in_order(ends):
    with pytest.raises(EaselError, match="needs 0 < low ≤ high"):
        Range(*ends)


def test_working_at_the_peak_is_full_utilisation():
    peak = Range(2e12, 4e12)
    flops = 3 * 3600 * 2e12
    assert costs.utilisation(flops, 3, peak) == Range(0.5, 1.0)


def test_training_counts_three_forward_passes_a_pair():
    assert costs.training_flops(2.0, Range(5, 7)) == Range(30, 42)
    assert costs.training_flops(2.0, 5) == Range(30, 30)
    assert costs.six_n_d(10, 4) == 240


def test_what_is_known_of_the_run():
    run = FirstMiniRun()
    assert run.batch * 8 == 3584  # eight steps an update
    assert run.pairs_by_speed == 72 * 3000 * 448
    assert TPU_V3_8.peak == Range(420e12, 492e12)
    assert costs.DalleRun().pairs == 440_320_000


@pytest.mark.parametrize(
    ("implied", "possible", "reason"),
    [
        (Range(0.1, 0.4), True, "10 to 40 % of the peak, below the best published 50.0 %"),
        (Range(0.1, 0.9), True, "only up to 50.0 % has been published"),
        (Range(0.6, 0.9), False, "more than the best published 50.0 %"),
    ],
)
def test_time_is_possible_until_all_of_the_range_is_too_fast(implied, possible, reason):
    judged = costs.judge_time(implied, 0.5)
    assert judged.possible is possible and reason in judged.because


@pytest.mark.parametrize(
    ("limit", "possible", "reason"),
    [
        (500, True, "the claim holds at both prices"),
        (200, True, "the claim holds only if the board was preemptible"),
        (50, False, "the claim holds at neither price"),
    ],
)
def test_price_says_what_must_be_true(limit, possible, reason):
    board = Accelerator("board", Range(1, 1), on_demand=4.0, preemptible=1.0, best_utilisation=0.5)
    judged = costs.judge_price(100, limit, board)
    assert judged.possible is possible and reason in judged.because
    assert "$400.00 on demand ($4.00 an hour), $100.00 preemptible" in judged.because
    assert f"under ${limit} takes less than ${limit / 100:.2f} an hour" in judged.because
