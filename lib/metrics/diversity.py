"""How much the pictures of one prompt differ: the mean distance between two of them.

Guidance trades this for agreement with the prompt, so a sweep over guidance scales needs both axes. 0 means that all
pictures of the prompt are the same.
"""

import numpy as np

from lib.errors import EaselError


def feature_diversity(features: np.ndarray) -> np.ndarray:
    """Mean Euclidean distance over all pairs of pictures of the same prompt.

    Args:
        features: [P, n, d], the n ≥ 2 pictures of every prompt in some feature space. Between unit vectors the distance
            lies in 0 … 2.

    Returns:
        float64 [P], in the units of the features.

    Raises:
        EaselError: another shape, or fewer than two pictures a prompt.
    """
    if features.ndim != 3 or features.shape[1] < 2:
        raise EaselError(
            f"diversity needs features [prompts, pictures, d] of two or more pictures, not {list(features.shape)}."
        )
    first, second = np.triu_indices(features.shape[1], k=1)  # [n (n − 1) / 2]
    # Prompt by prompt: the differences of all pairs of all prompts would not fit into memory.
    means = [_distances(each.astype(np.float64), first, second).mean() for each in features]
    return np.array(means)


def pixel_diversity(pictures: np.ndarray) -> np.ndarray:
    """Mean root-mean-square difference of pixels, in units of the range from black to white.

    0 for equal pictures, 1 for a black and a white one. It sees position and colour, not content: the same star a few
    pixels further on is another picture.

    Args:
        pictures: uint8 [P, n, S, S, 3].

    Returns:
        float64 [P], in 0 … 1.

    Raises:
        EaselError: as `feature_diversity`.
    """
    pixels = pictures.reshape(*pictures.shape[:2], -1)  # [P, n, 3·S²]
    return feature_diversity(pixels) / (255 * np.sqrt(pixels.shape[-1]))


def _distances(vectors: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Distances [pairs] between vectors [n, d]; differences are taken as such, since |a|² + |b|² − 2ab cancels."""
    return np.array([np.linalg.norm(vectors[i] - vectors[j]) for i, j in zip(first, second, strict=True)])
