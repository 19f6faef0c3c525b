"""Best-of-n selection against results worked out by hand."""

import numpy as np
import pytest

from lib.errors import EaselError
from lib.metrics.reranking import best_of


def test_the_outcome_of_the_best_of_the_first_k():
    scores = np.array([[0.1, 0.5, 0.3, 0.9], [0.7, -2.0, 0.6, 0.5]])
    outcomes = np.array([[0, 1, 1, 0], [0, 1, 0, 1]])
    result = best_of(scores, outcomes)
    np.testing.assert_array_equal(result.k, [1, 2, 4])
    np.testing.assert_array_equal(result.ranked, [[0, 1, 0], [0, 0, 0]])
    np.testing.assert_array_equal(result.oracle, [[0, 1, 1], [0, 1, 1]])
    np.testing.assert_array_equal(result.unranked, [0.5, 0.5])


def test_all_candidates_count_where_n_is_no_power_of_two():
    scores, outcomes = np.arange(6.0)[None], np.array([[0, 0, 0, 0, 0, 1]])
    result = best_of(scores, outcomes)
    np.testing.assert_array_equal(result.k, [1, 2, 4, 6])
    np.testing.assert_array_equal(result.ranked, [[0, 0, 0, 1]])
    np.testing.assert_array_equal(best_of([[1.0]], [[1]]).ranked, [[1]])


def test_of_equal_scores_the_earlier_candidate_is_taken():
    np.testing.assert_array_equal(best_of([[2.0, 2.0]], [[1, 0]]).ranked, [[1, 1]])


def test_noise_gains_nothing_and_a_judge_that_ranks_itself_does():
    random = np.random.default_rng(0)
    outcomes = (random.random((4000, 8)) < 0.3).astype(float)
    noise = best_of(random.standard_normal((4000, 8)), outcomes)
    np.testing.assert_allclose(noise.ranked.mean(axis=0), 0.3, atol=0.03)
    np.testing.assert_allclose(noise.unranked.mean(), 0.3, atol=0.01)
    own = best_of(outcomes, outcomes)
    np.testing.assert_array_equal(own.ranked, own.oracle)
    np.testing.assert_allclose(own.oracle.mean(axis=0), 1 - 0.7**own.k, atol=0.03)


@pytest.mark.parametrize("shapes", [((2, 3), (2, 4)), ((3,), (3,)), ((2, 0), (2, 0))])
def test_wrong_shapes_are_refused(shapes):
    with pytest.raises(EaselError, match=r"both \[prompts, candidates\]"):
        best_of(np.zeros(shapes[0]), np.zeros(shapes[1]))


def test_missing_numbers_are_refused():
    with pytest.raises(EaselError, match="NaN or infinite"):
        best_of([[1.0, np.nan]], [[0, 1]])
