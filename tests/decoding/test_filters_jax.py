"""Which tokens stay, exactly."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lib.decoding.filters_jax import keep_top_k, keep_top_p

PROBABILITIES = np.array([0.05, 0.4, 0.1, 0.25, 0.2], np.float32)
LOGITS = jnp.log(PROBABILITIES)


def stays(filtered):
    """Indices that stay; those must have kept their logits."""
    filtered = np.asarray(filtered)
    kept = np.flatnonzero(filtered > -np.inf)
    np.testing.assert_array_equal(filtered[kept], np.asarray(LOGITS)[kept])
    return kept.tolist()


@pytest.mark.parametrize(
    ("k", "kept"), [(1, [1]), (2, [1, 3]), (4, [1, 2, 3, 4]), (5, [0, 1, 2, 3, 4]), (9, [0, 1, 2, 3, 4])]
)
def test_the_k_most_likely_stay(k, kept):
    assert stays(keep_top_k(LOGITS, k)) == kept


@pytest.mark.parametrize(
    ("p", "kept"),
    [
        (1e-30, [1]),
        (0.39, [1]),
        (0.41, [1, 3]),  # 0.4 is not enough, 0.65 is
        (0.64, [1, 3]),
        (0.66, [1, 3, 4]),
        (0.96, [0, 1, 2, 3, 4]),
        (1.0, [0, 1, 2, 3, 4]),
    ],
)
def test_the_nucleus_is_the_fewest_tokens_that_reach_p(p, kept):
    assert stays(keep_top_p(LOGITS, p)) == kept
    assert stays(jax.jit(keep_top_p)(LOGITS, p)) == kept


def test_tokens_as_likely_as_the_last_one_that_stays_stay_too():
    tied = jnp.array([1.0, 3.0, 2.0, 2.0, 2.0, 0.0])
    for filtered in (keep_top_k(tied, 2), keep_top_k(tied, 4), keep_top_p(tied, 0.6)):
        np.testing.assert_array_equal(filtered, [-np.inf, 3, 2, 2, 2, -np.inf])
    even = jnp.zeros(7)
    np.testing.assert_array_equal(keep_top_k(even, 1), even)
    np.testing.assert_array_equal(keep_top_p(even, 1e-6), even)


def test_rows_are_filtered_each_on_its_own():
    logits = jnp.asarray(np.random.default_rng(0).standard_normal((3, 4, 6)), jnp.float32)
    for keep in (lambda x: keep_top_k(x, 2), lambda x: keep_top_p(x, 0.7)):
        together = np.asarray(keep(logits)).reshape(12, 6)
        for row, alone in zip(together, np.asarray(logits).reshape(12, 6), strict=True):
            np.testing.assert_array_equal(row, keep(jnp.asarray(alone)))
    assert (np.isfinite(keep_top_k(logits, 2)).sum(-1) == 2).all()


def test_p_of_one_keeps_even_what_a_float32_sum_does_not_see():
    logits = jnp.concatenate([jnp.zeros(1), jnp.full(20, -80.0)])  # probabilities of 1e-35 beside 1
    assert np.isfinite(keep_top_p(logits, 1.0)).all()
    assert np.isfinite(keep_top_p(logits, 0.999)).sum() == 1


def test_top_p_counts_what_top_k_left():
    left = keep_top_k(LOGITS, 3)  # 0.4, 0.25, 0.2 of 0.85: 0.47, 0.29, 0.24
    assert stays(keep_top_p(left, 0.45)) == [1]
    assert stays(keep_top_p(left, 0.75)) == [1, 3]  # all three together reach 0.85 only
    assert stays(keep_top_p(left, 1.0)) == [1, 3, 4]
