"""Which colour the plain ground of a picture has. The scene reader names the kind of a ground and not its colour, and
exact accuracy is said of objects alone."""

import numpy as np

from lib.scenes.vocabulary import BACKGROUND_SHADES

# A plain ground lies halfway between the two shades of its colour: float [colours, 3].
PLAIN = np.array([np.mean(shades, axis=0) for shades in BACKGROUND_SHADES.values()])


def ground_colours(pictures: np.ndarray) -> np.ndarray:
    """Names [...] of the background colours next to the median pixel of each picture's rim, uint8 [..., S, S, 3].

    An object near the rim covers less than half of it.
    """
    top, bottom = pictures[..., 0, :, :], pictures[..., -1, :, :]  # [..., S, 3] each
    left, right = pictures[..., 1:-1, 0, :], pictures[..., 1:-1, -1, :]  # [..., S − 2, 3] each
    rim = np.median(np.concatenate([top, bottom, left, right], axis=-2), axis=-2)  # → [..., 4S − 4, 3] → [..., 3]
    distances = np.square(rim[..., None, :] - PLAIN).sum(axis=-1)  # [..., colours]
    return np.array(list(BACKGROUND_SHADES))[distances.argmin(axis=-1)]
