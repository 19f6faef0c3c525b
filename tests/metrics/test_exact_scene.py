"""Pictures that show what was asked, and nothing else."""

import pytest

from lib.errors import EaselError
from lib.metrics.exact_scene import exactly

STAR = {"shape": "star", "colour": "red", "x": 10, "y": 10}
RING = {"shape": "ring", "colour": "blue", "x": 40, "y": 40}


def prompt(count, category="single_object"):
    item = {"shape": "star", "colour": None, "count": count}
    return {"id": "p", "category": category, "require": {"objects": [item], "relation": None}}


def test_other_objects_make_a_picture_wrong():
    readings = [{"objects": found} for found in ([STAR], [STAR, RING], [STAR, STAR], [RING], [])]
    assert exactly(readings, [prompt(1)] * 5).tolist() == [True, False, False, False, False]
    assert exactly(readings[1:3], [prompt(2, "counting")] * 2).tolist() == [False, True]


def test_every_picture_needs_its_prompt():
    with pytest.raises(EaselError, match="1 readings for 2 prompts"):
        exactly([{"objects": []}], [prompt(1)] * 2)
