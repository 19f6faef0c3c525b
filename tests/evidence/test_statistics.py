import itertools

import numpy as np
import pytest

from lib.errors import EaselError
from lib.evidence import statistics


def generator(seed=0):
    return np.random.default_rng(seed)


def test_bootstrap_interval_covers_the_mean_about_as_often_as_it_says():
    source = generator(1)
    hits = 0
    for _ in range(300):
        interval = statistics.bootstrap_mean(source.normal(3.0, 2.0, size=40), source, resamples=400)
        hits += interval.low <= 3.0 <= interval.high
    assert 0.89 <= hits / 300 <= 0.98


def test_bootstrap_in_blocks_equals_bootstrap_at_once(monkeypatch):
    rows = generator(2).normal(size=(50, 3))

    def spread(draws):  # [R, N, 3] -> [R]
        return draws.std(axis=1).mean(axis=1)

    whole = statistics.bootstrap(rows, spread, generator(3), resamples=500)
    monkeypatch.setattr(statistics, "BLOCK_ELEMENTS", 50 * 3 * 7)
    assert statistics.bootstrap(rows, spread, generator(3), resamples=500) == whole
    assert whole.value == pytest.approx(spread(rows[None])[0])
    assert whole.low < whole.value < whole.high


def test_bootstrap_keeps_rows_together():
    left = generator(4).normal(size=30)
    rows = np.stack([left, left + 5], axis=1)
    interval = statistics.bootstrap(rows, lambda draws: (draws[..., 1] - draws[..., 0]).mean(axis=1), generator())
    assert interval.low == pytest.approx(5) and interval.high == pytest.approx(5)


def test_bootstrap_refuses_a_statistic_that_is_not_vectorised():
    with pytest.raises(EaselError, match=r"must map \[R, N, \.\.\.\] to \[R\]"):
        statistics.bootstrap([1.0, 2.0], lambda draws: draws.mean(), generator())


def test_same_generator_same_interval():
    values = [1.0, 2.0, 5.0, 9.0]
    assert statistics.bootstrap_mean(values, generator(7)) == statistics.bootstrap_mean(values, generator(7))
    assert statistics.paired_interval(values, generator(7)) == statistics.paired_interval(values, generator(7))


@pytest.mark.parametrize("function", [statistics.bootstrap_mean, statistics.paired_interval])
@pytest.mark.parametrize("values", [[4.0], [4.0, 4.0, 4.0]])
def test_no_spread_gives_an_interval_without_width(function, values):
    assert function(values, generator()) == statistics.Interval(4.0, 4.0, 4.0)


@pytest.mark.parametrize(
    "values", [[1.0, 1.0, 1.0, 1.0, 2.0], [0.0, 1.0], [1e-12, 1.0, 1.0], [-3.0, 5.0, 5.0, 5.0, 5.0]]
)
def test_paired_interval_is_finite_and_ordered(values):
    interval = statistics.paired_interval(values, generator())
    assert np.isfinite([interval.low, interval.high]).all()
    assert min(values) <= interval.low <= interval.high <= max(values)


def test_paired_interval_leans_towards_the_long_tail():
    # BCa corrects for skew; the plain percentile interval of the same draws reaches less far up.
    values = generator(5).exponential(size=25)
    bca = statistics.paired_interval(values, generator(6))
    plain = statistics.bootstrap_mean(values, generator(6), resamples=10_000)
    assert bca.low > plain.low and bca.high > plain.high


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize(
    "function",
    [
        lambda values: statistics.bootstrap_mean(values, generator()),
        lambda values: statistics.paired_interval(values, generator()),
        lambda values: statistics.sign_flip_p(values, "greater", generator()),
        lambda values: statistics.spearman(values, [1.0, 2.0, 3.0]),
        lambda values: statistics.differences(values, [1.0, 2.0, 3.0]),
    ],
)
def test_nan_is_refused(function, bad):
    with pytest.raises(EaselError, match="1 of 3 values are NaN or infinite"):
        function([1.0, bad, 3.0])


def test_differences_need_pairs():
    assert statistics.differences([1, 2], [3, 5]).tolist() == [2, 3]
    with pytest.raises(EaselError, match="baseline has 2 values and treatment 3"):
        statistics.differences([1, 2], [1, 2, 3])
    with pytest.raises(EaselError, match="expected numbers"):
        statistics.differences(["a"], [1])


@pytest.mark.parametrize("alternative", ["greater", "less", "two-sided"])
@pytest.mark.parametrize("count", [1, 3, 5, 8])
def test_sign_flip_equals_brute_force(alternative, count):
    values = generator(count).integers(-3, 5, size=count).astype(float)  # small integers: many ties
    means = [np.mean(np.multiply(signs, values)) for signs in itertools.product([1, -1], repeat=count)]
    observed = values.mean()
    extreme = {
        "greater": [mean >= observed - 1e-9 for mean in means],
        "less": [mean <= observed + 1e-9 for mean in means],
        "two-sided": [abs(mean) >= abs(observed) - 1e-9 for mean in means],
    }[alternative]
    assert statistics.sign_flip_p(values, alternative, generator()) == np.mean(extreme)


def test_sign_flip_counts_ties_between_sums_in_another_order():
    # 0.1 + 0.2 + 0.3 differs in the last bit with the order; all eight of these must count as equally extreme.
    assert statistics.sign_flip_p([0.1, 0.2, 0.3], "greater", generator()) == 1 / 8
    assert statistics.sign_flip_p([0.3, -0.1, -0.2], "two-sided", generator()) == 1.0


def test_five_seeds_are_the_fewest_that_reach_five_per_cent():
    assert statistics.sign_flip_p([1.0] * 4, "greater", generator()) == 1 / 16
    assert statistics.sign_flip_p([1.0] * 5, "greater", generator()) == 1 / 32


def test_sampled_sign_flip_agrees_with_the_exact_one(monkeypatch):
    values = generator(8).normal(0.4, 1.0, size=12)
    exact = statistics.sign_flip_p(values, "greater", generator())
    monkeypatch.setattr(statistics, "EXACT_SIGN_FLIPS", 4)
    sampled = statistics.sign_flip_p(values, "greater", generator())
    assert sampled != exact
    assert sampled == pytest.approx(exact, abs=0.005)


def test_sampled_sign_flip_never_gives_zero():
    assert statistics.sign_flip_p([1.0] * 40, "greater", generator()) == 1 / 100_001


def test_unknown_alternative():
    with pytest.raises(EaselError, match="greater, less or two-sided, not 'larger'"):
        statistics.sign_flip_p([1.0], "larger", generator())


def test_spearman():
    assert statistics.spearman([1, 2, 3, 4], [10, 20, 30, 100])[0] == pytest.approx(1)
    assert statistics.spearman([1, 2, 3, 4], [4, 3, 2, 1])[0] == pytest.approx(-1)
    with pytest.raises(EaselError, match="constant"):
        statistics.spearman([1, 2, 3], [5, 5, 5])
    with pytest.raises(EaselError, match="one length"):
        statistics.spearman([1, 2, 3], [1, 2])
