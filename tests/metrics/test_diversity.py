"""Mean pairwise distances against results worked out by hand."""

import numpy as np
import pytest

from lib.errors import EaselError
from lib.metrics.diversity import feature_diversity, pixel_diversity


def test_the_mean_over_all_pairs_of_each_prompt():
    corners = [[0.0, 0.0], [3.0, 0.0], [0.0, 4.0]]  # sides 3, 4 and 5
    same = [[7.0, 7.0]] * 3
    np.testing.assert_array_equal(feature_diversity(np.array([corners, same])), [4.0, 0.0])


def test_order_and_place_do_not_matter():
    features = np.random.default_rng(0).standard_normal((2, 5, 4))
    expected = feature_diversity(features)
    np.testing.assert_allclose(feature_diversity(features[:, ::-1]), expected, rtol=1e-12)
    np.testing.assert_allclose(feature_diversity(features + 10), expected, rtol=1e-12)
    np.testing.assert_allclose(feature_diversity(3 * features), 3 * expected, rtol=1e-12)


def test_small_differences_of_large_numbers_are_seen():
    features = np.float32([[[10000.0, 0.0], [10000.001, 0.0]]])
    np.testing.assert_allclose(feature_diversity(features), [features[0, 1, 0] - np.float32(10000)], rtol=1e-6)


def test_pixels_from_black_to_white():
    black, white = np.zeros((4, 4, 3), np.uint8), np.full((4, 4, 3), 255, np.uint8)
    half = black.copy()
    half[:2] = 255  # half of the pixels differ from either: root mean square √½
    pictures = np.stack([[black, white], [white, white], [black, half]])
    np.testing.assert_allclose(pixel_diversity(pictures), [1.0, 0.0, np.sqrt(0.5)], rtol=1e-12)


def test_one_picture_has_no_diversity():
    with pytest.raises(EaselError, match="two or more pictures"):
        feature_diversity(np.zeros((2, 1, 3)))
    with pytest.raises(EaselError, match="two or more pictures"):
        pixel_diversity(np.zeros((2, 1, 4, 4, 3), np.uint8))
