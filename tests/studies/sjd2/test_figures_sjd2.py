"""The figures and answers of the study's notebook: what they draw, and that a profile may leave runs out."""

import inspect

import numpy as np
import pytest

from lib.evidence.report import Estimate
from lib.evidence.shown import Prompt, Shown
from lib.evidence.strips import write_strip
from studies.sjd2.code import figures, mechanics, replies
from studies.sjd2.code.reports import Case, Cell, Chance, Exactness, Results, Surface, TextComparison

NAMES = ("jacobi", "shared", "sjd", "sjdpp")


def entry(value):
    return Estimate.of([value - 0.02, value, value + 0.01], "test")


def report(**found):
    nothing = {"groups": {}, "control": {}, "networks": {}, "surface": Surface(cells=[]), "exactness": Exactness()}
    return Results.model_construct(**nothing | {"text": None, "equality": {}, "random_codes": None} | found)


def drawing(module):
    """Its functions that draw from the report alone."""
    found = inspect.getmembers(module, inspect.isfunction)
    return [
        one for _, one in found if one.__annotations__.get("return") == figures.Drawn and one is not figures.pictures
    ]


@pytest.mark.parametrize("draw", [*drawing(figures), *drawing(mechanics)], ids=lambda one: one.__name__)
def test_what_a_profile_leaves_out_is_not_drawn(draw):
    assert draw(report()) is None


def test_questions_without_an_answer_in_this_profile_say_so():
    asked = [one for name, one in inspect.getmembers(replies, inspect.isfunction) if one.__module__ == replies.__name__]
    told = [one(report()) for one in asked if next(iter(inspect.signature(one).parameters)) == "report"]
    assert len(told) == 14 and set(told) == {replies.LEFT_OUT}


def case(lossless, distance, p):
    chance = Chance(mean=0.01, most=0.02)
    rest = {"pictures": 9, "p": p, "tokens_a_pass": 1.0, "same_in_batches_of": {"1": 1.0}}
    return Case(lossless=lossless, total_variation=distance, by_chance=chance, **rest)


def test_lossless_decoders_come_first_and_the_nearest_at_the_top():
    cases = {"b": case(True, 0.02, 0.4), "lossy": case(False, 0.3, 1e-9), "a": case(True, 0.01, 1e-5)}
    one = report(exactness=Exactness(cases=cases))
    _, frame = figures.exactness(one)
    assert frame["decoder"].tolist() == ["a", "b", "lossy"] and frame["argued"].tolist()[-1] == "lossy"
    assert replies.exactness(one).startswith("1 of the 2 decoders") and "1 of the 1 others" in replies.exactness(one)


def test_a_surface_has_an_interval_a_cell_and_names_the_fewest_passes():
    cells = [
        Cell(
            run=f"{window}_{steps}",
            window=window,
            steps=steps,
            compression=window / steps,
            by_seed=[window / steps - 1, window / steps, window / steps + 1],
            seconds=0.1 * steps,
            nats=1.0,
            exact=None,
        )
        for window in (16, 96)
        for steps in (2, 4)
    ]
    one = report(surface=Surface(cells=cells, fastest=["16_2"]))
    _, frame = mechanics.surface(one)
    assert (frame["low"] < frame["value"]).all() and (frame["value"] < frame["high"]).all()
    assert mechanics.window_per_step(one)[1]["expected"].tolist() == [8, 4, 48, 24]
    assert "window 96, 2 steps (S 48.00)" in replies.surface(one) and "window 16, 2 steps." in replies.surface(one)


def test_text_stands_alone_where_pictures_are_not_decoded_alike():
    compression = {name: entry(1.1) for name in NAMES}
    rest = {"parameters": 1, "updates": 2, "length": 8, "rows": 3, "sample": "", "nats": entry(0.4)}
    one = report(text=TextComparison(compression=compression, **rest))
    _, frame = figures.on_text(one)
    assert len(frame) == 4 and set(frame["of"]) == {"characters of captions"}
    assert "0.40" in replies.on_text(one)


def test_pictures_stand_under_prompts_no_more_than_a_page_has(tmp_path):
    images = np.zeros((9, 64, 64, 3), np.uint8)
    write_strip(tmp_path / "a.png", images)
    asked = [Prompt(text=f"{number}", english=f"star {number}", right=[True]) for number in range(9)]
    _, frame = figures.pictures(tmp_path, Shown(pictures={"a": asked}), {"a": "SJD", "not drawn": "SJD2"})
    assert frame["prompt"].tolist() == [f"star {number}" for number in range(figures.PICTURES)]
    assert figures.pictures(tmp_path, Shown(pictures={}), {"a": "SJD"}) is None
