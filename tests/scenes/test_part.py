"""A simpler part of the data, by its settings."""

import pytest

from lib import config
from lib.errors import EaselError
from lib.scenes.kept import Kept
from lib.scenes.part import part_of
from lib.scenes.vocabulary import SIZES


def scenes():
    return config.load().scenes


def test_what_is_not_said_is_as_in_the_data():
    part, kept = part_of(scenes(), {"train": 7, "max_objects": 1, "sizes": ["large"], "spacing": 16})
    assert (part.train, part.max_objects, part.test) == (7, 1, scenes().test)
    assert kept == Kept(("large",), 16)
    assert part_of(scenes(), {}) == (scenes(), Kept(SIZES, 1))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sizes": ["huge"], "max_objects": 1}, "sizes.* must be one of small, medium, large"),
        ({"sizes": [], "max_objects": 1}, "sizes must name at least one size"),
        ({"spacing": 12, "max_objects": 1}, "spacing must be 1, or a multiple of lattice = 8"),
        ({"spacing": 32, "max_objects": 1}, "spacing is 32, must be at most 16"),
        ({"spacing": 16}, "max_objects must be 1 where sizes or spacing are given"),
        ({"size": ["large"]}, "size"),
    ],
)
def test_mistakes_are_named(changes, message):
    with pytest.raises(EaselError, match=message):
        part_of(scenes(), changes)
