"""Pictures as grids of patches."""

import numpy as np
import pytest

from lib.errors import EaselError
from lib.models.patches import from_patches, shrunk, to_patches

PICTURES = np.random.default_rng(0).integers(0, 256, (2, 8, 12, 3)).astype(np.uint8)


def test_a_cell_has_the_pixels_of_its_patch_and_no_others():
    cells = to_patches(PICTURES, 4)
    assert cells.shape == (2, 2, 3, 48)
    assert np.array_equal(cells[1, 1, 2], PICTURES[1, 4:8, 8:12].reshape(-1))


@pytest.mark.parametrize("side", [1, 2, 4])
def test_patches_are_undone(side):
    assert np.array_equal(from_patches(to_patches(PICTURES, side), side), PICTURES)


def test_a_shrunk_pixel_is_the_mean_of_those_it_stands_for():
    small = shrunk(PICTURES, 4)
    assert small.shape == (2, 2, 3, 3) and small.dtype == np.uint8
    mean = PICTURES[0, 4:8, :4].reshape(-1, 3).mean(axis=0)
    assert np.abs(small[0, 1, 0] - mean).max() <= 0.5


def test_pictures_that_patches_do_not_fill_are_refused():
    with pytest.raises(EaselError, match=r"8×12 pixels .* 3×3"):
        to_patches(PICTURES, 3)
