"""Grids of pictures: texts beside rows, marks, lines that fit. The pixels are tested in test_figures.py."""

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest

from lib.errors import EaselError
from lib.evidence import figures, grids

PICTURES = np.zeros((6, 8, 8, 3), np.uint8)


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def texts(figure):
    return [text.get_text() for text in figure.findobj(plt.Text) if text.get_text()]


def test_every_judged_picture_bears_its_mark():
    figure = grids.picture_grid(PICTURES, 3, marks=[True, False, None, True, False, None])
    signs = [text for text in figure.findobj(plt.Text) if text.get_text() in "✓✗" and text.get_text()]
    assert [sign.get_text() for sign in signs] == ["✓", "✗", "✓", "✗"]
    right, wrong, below, _ = (sign.get_position() for sign in signs)
    assert right[0] < wrong[0] and right[1] == wrong[1] and below == (right[0], below[1]) and below[1] > right[1]
    assert len({sign.get_color() for sign in signs}) == 2


def test_rows_are_named_once_and_titles_of_the_first_row_take_room_once():
    titles = ["one", "two", "three", "", "", ""]
    named = grids.picture_grid(PICTURES, 3, titles, rows=["upper", "lower"], heading="above all")
    assert texts(named) == ["above all", "upper", "one", "two", "three", "lower"]
    bare = grids.picture_grid(PICTURES, 3, rows=["upper", "lower"])
    assert named.get_figheight() - bare.get_figheight() == pytest.approx((2 * grids.LINE + grids.GAP + 2) / 72)


def test_everything_stays_on_the_page():
    heading = "a sentence that is far too long for one line of so narrow a figure, as headings can be " * 3
    figure = grids.picture_grid(
        PICTURES, 3, ["a medium star"] * 6, rows=["a beige background " * 3] * 2, heading=heading
    )
    figures._check_inside(figure, "grid")


def test_lines_break_between_words_and_anywhere_in_chinese():
    lines = grids.wrap("a picture of a cross above a star", 50, ["DejaVu Sans"])
    assert len(lines) > 2 and " ".join(lines) == "a picture of a cross above a star"
    assert grids.wrap("", 50, ["DejaVu Sans"]) == []
    assert "".join(grids.wrap("红色的圆形" * 4, 50, ["DejaVu Sans"])) == "红色的圆形" * 4


def test_what_was_judged_is_counted():
    assert grids.counted([True, False, None, True]).endswith("2 of 3.")
    assert grids.counted([None, None]) == ""


@pytest.mark.parametrize(
    ("given", "said"),
    [({"marks": [True]}, "1 marks for 6 pictures"), ({"rows": ["a"]}, "1 texts for 2 rows")],
)
def test_as_many_marks_as_pictures_and_texts_as_rows(given, said):
    with pytest.raises(EaselError, match=said):
        grids.picture_grid(PICTURES, 3, **given)
