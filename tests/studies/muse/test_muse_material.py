"""Which pictures and prompts belong to a part of the data."""

from types import SimpleNamespace

import numpy as np
import pytest

from lib.errors import EaselError
from studies.muse.code import material
from studies.muse.code.settings import PartParams

EASY = PartParams(most_objects=2, backgrounds=("plain",), textures=("solid",))
ALL = PartParams(most_objects=4, backgrounds=(), textures=())


def scene(objects, background="plain", texture="solid"):
    return {"objects": [{"texture": texture}] * objects, "background": {"kind": background}}


@pytest.mark.parametrize(
    ("one", "easy", "whole"),
    [
        (scene(1), True, True),
        (scene(2), True, True),
        (scene(3), False, True),
        (scene(1, "striped"), False, True),
        (scene(1, "speckled"), False, False),  # the tokenizer was not trained on it
        (scene(1, texture="dotted"), False, True),
    ],
)
def test_a_picture_belongs_to_a_part_that_has_all_it_shows(one, easy, whole):
    assert material.belongs(one, EASY, ["speckled"]) is easy
    assert material.belongs(one, ALL, ["speckled"]) is whole


def test_of_the_pictures_looked_at_those_of_the_part_are_taken_in_order():
    scenes = [scene(3), scene(1), scene(2), scene(1, "striped"), scene(1)]

    class Pictures(SimpleNamespace):
        def __len__(self):
            return len(scenes)

    assert material.members(Pictures(scenes=scenes), EASY, []).tolist() == [1, 2, 4]
    assert material.members(Pictures(scenes=scenes), EASY, [], most=2).tolist() == [1]
    assert np.array_equal(material.members(Pictures(scenes=None), EASY, []), range(5))  # nobody knows what they show


def test_prompts_that_ask_for_more_than_a_part_has_are_left_out():
    def prompt(*counts):
        return {"require": {"objects": [{"count": count} for count in counts]}}

    asked = [prompt(1), prompt(1, 1), prompt(3), prompt(2), {"require": None}]
    assert material.fitting(asked, EASY) == [asked[0], asked[1], asked[3], asked[4]]


def test_validation_prompts_fit_the_part_and_follow_from_the_seed():
    found = material.validation_prompts(EASY, 5, 3)
    assert found == material.validation_prompts(EASY, 5, 3) != material.validation_prompts(EASY, 5, 4)
    assert found and all(material.objects_asked(prompt) <= 2 for prompt in found)


def test_parts_know_kinds_of_background_and_texture():
    with pytest.raises(EaselError, match="backgrounds must be some of plain"):
        PartParams(most_objects=1, backgrounds=("plane",), textures=())
    with pytest.raises(EaselError, match="textures must be some of solid"):
        PartParams(most_objects=1, backgrounds=(), textures=("soft",))
