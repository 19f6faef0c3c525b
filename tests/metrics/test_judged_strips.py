"""Strips of pictures judged one by one: a reader that reports what was drawn, right and wrong pictures in order."""

import numpy as np
import pytest

from lib.errors import EaselError
from lib.evidence.shown import Shown
from lib.evidence.strips import write_strip
from lib.metrics import strips

CIRCLE = {"shape": "circle", "colour": "red", "x": 30.0, "y": 30.0}
SEEN = {0: [], 1: [CIRCLE], 2: [CIRCLE, {**CIRCLE, "x": 50.0}], 3: [{**CIRCLE, "colour": "blue"}]}


@pytest.fixture
def reader(monkeypatch, tmp_path):
    """Sees in a picture what the number in its first pixel says."""
    (tmp_path / "model.safetensors").touch()
    monkeypatch.setattr(strips, "READER", tmp_path)
    monkeypatch.setattr("lib.models.reader.load", lambda folder: folder)
    monkeypatch.setattr(
        "lib.models.reader.read", lambda _, images: [{"objects": SEEN[int(image[0, 0, 0])]} for image in images]
    )


def strip(path, *numbers):
    write_strip(path, np.stack([np.full((8, 8, 3), number, np.uint8) for number in numbers]))
    return path


def test_each_picture_is_held_against_its_own_prompt(reader, tmp_path):
    prompts = [("一个红色的圆形", "a red circle"), ("two circles", "two circles")]
    path = strip(tmp_path / "drawn.png", 1, 2, 3, 0, 2, 1)
    found = strips.judged({path: prompts})
    assert [prompt.text for prompt in found.pictures["drawn"]] == ["一个红色的圆形", "two circles"]
    assert found.marks("drawn") == [True, False, False, False, True, False]
    found.write(tmp_path / "shown.json")
    assert Shown.read(tmp_path / "shown.json") == found


def test_without_a_reader_nothing_is_judged(monkeypatch, tmp_path):
    monkeypatch.setattr(strips, "READER", tmp_path / "none")
    path = strip(tmp_path / "drawn.png", 1, 2)
    assert strips.judged({path: [("a photograph", "a photograph")]}).marks("drawn") == [None, None]


@pytest.mark.parametrize("prompts", [["a star"] * 2, ["a star"] * 4, []])
def test_pictures_that_prompts_cannot_share_are_refused(prompts, reader, tmp_path):
    path = strip(tmp_path / "drawn.png", 1, 1, 1)
    with pytest.raises(EaselError, match="cannot share equally"):
        strips.judged({path: [(text, text) for text in prompts]})
