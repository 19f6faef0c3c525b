"""Places of slots and of forced tokens."""

import pytest
import torch

from huggingface.models.layout import Layout
from huggingface.models.prompts import Prompts
from lib.errors import EaselError

EMU3 = Layout(((2, 3),), end_of_line=7, ending=(8, 9))
PREVIEW = Layout(((1, 2), (2, 2)), ending=(9,))


def test_lines_end_and_are_counted_apart():
    assert EMU3.sequence(torch.arange(10, 16)[None]).tolist() == [[10, 11, 12, 7, 13, 14, 15, 7, 8, 9]]
    assert (EMU3.length, EMU3.columns, EMU3.forced_count) == (6, 3, 4)
    assert EMU3.slots.tolist() == [1, 2, 3, 5, 6, 7]
    # The end of the last line is behind all slots: nothing is predicted from it.
    assert EMU3.line_ends.tolist() == [4] and EMU3.line_starts.tolist() == [3]


def test_lines_of_several_grids():
    both = Layout(((1, 2), (2, 1)), end_of_line=5)
    assert both.forced.tolist() == [-1, -1, 5, -1, 5, -1, 5]
    assert both.line_ends.tolist() == [3, 5] and both.line_starts.tolist() == [2, 3]


def test_without_line_ends_places_follow_slots():
    assert PREVIEW.slots.tolist() == [1, 2, 3, 4, 5, 6] and not len(PREVIEW.line_ends)
    assert PREVIEW.cells().tolist() == [[0, 0, 0], [0, 0, 1], [1, 0, 0], [1, 0, 1], [1, 1, 0], [1, 1, 1]]
    assert PREVIEW.columns == 2 and PREVIEW.forced_count == 1


def test_what_may_stand_at_a_place():
    assert [EMU3.allowed(place, [1, 2]) for place in (3, 4, 5, 9)] == [[1, 2], [7], [1, 2], [8]]


@pytest.mark.parametrize("grids", [(), ((0, 3),), ((2, 2), (3, 0))])
def test_an_empty_picture_is_refused(grids):
    with pytest.raises(EaselError, match="at least one row and one column"):
        Layout(grids)


def test_prompts_are_padded_on_the_left():
    found = Prompts.of([[4, 5, 6], [7]]).above(Prompts.of([[1, 2, 3, 8]]))
    assert found.ids.tolist() == [[0, 4, 5, 6], [0, 0, 0, 7], [1, 2, 3, 8]]
    assert found.real.sum(dim=1).tolist() == [3, 1, 4] and bool(found.real[:, -1].all())


@pytest.mark.parametrize(
    ("ids", "real"), [([[1, 2]], [[True, False]]), ([[]], [[]]), ([[1, 2], [3, 0]], [[True, True], [True, False]])]
)
def test_a_prompt_without_a_last_token_is_refused(ids, real):
    with pytest.raises(EaselError, match="must end in a token"):
        Prompts(torch.tensor(ids), torch.tensor(real, dtype=torch.bool))
