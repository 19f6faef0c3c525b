import pytest

from lib.errors import EaselError
from lib.metrics.exact_scene import exactly
from lib.scenes.wordings import requirements, worded

CAPTIONS = [
    {
        "en": ["a red circle", "a red circle", "a large red circle on a plain white background"],
        "zh": ["短", "中", "长"],
    },
    {"en": ["a circle", "a large red circle on a white background"], "zh": ["一", "二"]},  # the long one asks for more
    {"en": ["two stars", "a picture of two large stars on a grey background"], "zh": ["三", "四"]},
    {"en": ["a star above a ring", "a star and a ring"], "zh": ["五", "六"]},  # the short one asks for more
    {"en": ["there is a blue ring", "a large blue ring on a plain black background"], "zh": ["七", "八"]},
]


def test_pictures_are_those_whose_captions_ask_for_the_same():
    numbers, found = worded(CAPTIONS, "en", 10)
    assert numbers == [0, 2, 4]
    assert found["short"] == ["a red circle", "two stars", "there is a blue ring"]
    assert found["long"][1] == "a picture of two large stars on a grey background"
    assert worded(CAPTIONS, "zh", 2) == ([0, 2], {"short": ["短", "三"], "long": ["长", "四"]})
    assert worded(CAPTIONS, "en", 0) == ([], {"short": [], "long": []})


def test_what_pictures_must_show_is_what_their_captions_ask_for():
    circle = {"shape": "circle", "colour": "red", "x": 1, "y": 1}
    wanted = requirements(["a large red circle on a white background"] * 3)
    readings = [{"objects": found} for found in ([circle], [circle, circle], [circle | {"colour": "blue"}])]
    assert exactly(readings, wanted).tolist() == [True, False, False]
    with pytest.raises(EaselError, match="names no objects"):
        requirements(["a white background"])
