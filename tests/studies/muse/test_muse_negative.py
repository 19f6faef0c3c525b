"""Negative prompts: which prompts are asked, and what is counted of their pictures."""

import numpy as np
import pytest

from lib.evidence.report import Estimate
from studies.muse.code import negative
from studies.muse.code.reports import Negated


def prompt(id, *objects):
    return {"id": id, "require": {"objects": list(objects), "relation": None}}


def test_prompts_are_those_for_one_object_of_any_colour_and_colours_take_turns(monkeypatch):
    monkeypatch.setattr(negative, "COLOURS", ("red", "blue"))
    star = {"shape": "star", "colour": None, "count": 1}
    prompts = [
        prompt("any", star),
        prompt("red", star | {"colour": "red"}),
        prompt("several", star | {"count": 2}),
        prompt("two", star, star),
        {"id": "unknown", "require": None},
        prompt("ring", star | {"shape": "ring"}),
        prompt("again", star),
    ]
    found = negative.asked(prompts)
    assert found.prompts == ["any", "ring", "again"] and found.colours == ["red", "blue", "red"]
    assert found.captions == ["a red star", "a blue ring", "a red star"]


class Panel:
    """Sees in a picture objects of the colours that its first pixel numbers."""

    SEEN = ([], ["red"], ["blue"], ["blue", "red"])

    def read(self, drawn):
        return [{"objects": [{"colour": colour} for colour in self.SEEN[one[0, 0, 0, 0]]]} for one in drawn]

    def over_seeds(self, values, measurement):
        mean = float(values.mean())
        return Estimate(value=mean, low=mean, high=mean, n=len(values), by_seed=values.mean(axis=0).tolist())


def test_pictures_count_that_show_the_colour_that_is_named(monkeypatch):
    monkeypatch.setattr(negative, "SAMPLES", 2)
    monkeypatch.setattr(negative, "painted", lambda tokenizer, rows: rows[:, :, None, None])
    asked = Negated(prompts=["a", "b"], colours=["red", "blue"], captions=["a red star", "a blue star"])
    rows = {"dropped": [[1, 2, 3, 3], [1, 1, 0, 2]], "negative": [[2, 1, 0, 0], [0, 0, 0, 2]]}  # [seeds, samples · P]
    found = negative.avoided(Panel(), None, asked, {way: np.array(own)[:, :, None] for way, own in rows.items()})
    assert found["dropped"].shown.by_seed == [1.0, 0.5] and found["dropped"].shown.n == 2
    assert found["negative"].shown.by_seed == [0.0, 0.25]
    assert found["dropped"].objects == pytest.approx(9 / 8)
