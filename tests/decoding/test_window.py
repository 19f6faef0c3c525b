"""Bookkeeping of windows, without a network."""

from types import SimpleNamespace

import pytest
import torch

from lib.decoding.noise import RowRandom
from lib.decoding.window import Window
from lib.errors import EaselError

BOS = 9


def window(rows=2, length=5, width=3, trace_slots=0):
    predictor = SimpleNamespace(rows=rows, length=length, codes=BOS)
    return Window(predictor, RowRandom(range(rows)), width, trace_slots)


def ints(*rows):
    return torch.tensor(rows)


def test_rows_advance_on_their_own_and_stop_at_the_end():
    view = window()
    assert view.inputs.tolist() == [[BOS, 0, 0]] * 2
    view.write(ints([1, 2, 3], [4, 5, 6]))
    view.advance(torch.tensor([1, 3]))
    assert view.slots.tolist() == [[1, 2, 3], [3, 4, 5]]
    assert view.inputs.tolist() == [[1, 2, 3], [6, 0, 0]]
    assert view.drafts.tolist() == [[2, 3, 0], [0, 0, 0]]
    view.write(ints([7, 8, 1], [2, 3, 4]))
    view.advance(torch.tensor([2, 3]))  # the second row has two slots left
    assert view.unfinished() and view.base.tolist() == [3, 5] and view.fixed.tolist() == [[False] * 3, [False] * 3]
    view.write(ints([3, 4, 5], [8, 8, 8]))  # the second row is complete, its window past the end
    view.advance(torch.tensor([2, 1]))
    assert not view.unfinished()
    decoded = view.decoded()
    assert decoded.tokens.tolist() == [[1, 7, 8, 3, 4], [4, 5, 6, 2, 3]]
    assert decoded.passes.tolist() == [3, 2]
    assert decoded.accepted.tolist() == [[1, 2, 2], [3, 2, 0]]
    assert decoded.trace is None


def test_what_was_not_read_as_it_is_stays_in_the_window_and_is_not_written():
    view = window(length=6)
    view.write(ints([1, 2, 3], [1, 2, 3]))
    view.advance(torch.tensor([3, 2]), verified=torch.tensor([1, 1]))
    assert view.done.tolist() == [3, 2] and view.base.tolist() == [2, 2]
    assert view.inputs.tolist() == [[2, 3, 0], [2, 3, 0]]
    assert view.fixed.tolist() == [[True, False, False], [False] * 3]
    view.write(ints([7, 7, 7], [8, 8, 8]))
    assert view.drafts.tolist() == [[3, 7, 7], [8, 8, 8]]
    view.advance(torch.tensor([0, 0]), verified=torch.tensor([0, 0]))
    assert view.done.tolist() == [3, 2] and view.base.tolist() == [3, 2]


def test_the_window_of_a_complete_row_is_past_the_end_whatever_was_read():
    view = window(length=4)
    view.write(ints([1, 2, 3], [1, 2, 3]))
    view.advance(torch.tensor([2, 3]), verified=torch.tensor([0, 0]))
    view.write(ints([5, 6, 7], [5, 6, 7]))
    view.advance(torch.tensor([2, 3]), verified=torch.tensor([0, 0]))
    assert view.done.tolist() == [3, 4] and view.base.tolist() == [2, 4]
    view.write(ints([5, 8, 7], [8, 8, 8]))
    view.advance(torch.tensor([2, 0]), verified=torch.tensor([1, 0]))
    assert view.base.tolist() == [4, 4]
    assert view.decoded().tokens.tolist() == [[1, 2, 6, 8], [1, 2, 3, 7]]


def test_tables_have_room_for_the_windows_of_complete_rows():
    for length, width in ((5, 3), (2, 2), (1, 1), (4, 9)):
        view = window(length=length, width=width)
        view.advance(torch.full((2,), view.width))
        while view.unfinished():
            view.advance(torch.ones(2, dtype=torch.int64))
        table = torch.zeros(2, view.capacity, 4)
        view.put(table, torch.ones(2, view.width, 4))
        assert (view.at(table) == 1).all() and (view.at(table[:, :length]) == 0).all()
        assert view.at_slot(table, torch.full((2,), view.width)).shape == (2, 4)
        assert (view.picked(table, view.drafts) == 1).all()
        view.draft(view.beyond, view.inputs)
        assert view.tokens_at(view.beyond).shape == (2, view.width)


def test_tables_follow_the_window():
    view = window()
    table = torch.arange(2 * view.capacity).view(2, -1)
    view.advance(torch.tensor([1, 3]))
    assert view.at(table).tolist() == [[1, 2, 3], [view.capacity + 3, view.capacity + 4, view.capacity + 5]]
    assert view.at(table[:, :4]).tolist()[1] == [view.capacity + 3] * 3
    view.put(table, torch.zeros(2, 3, dtype=torch.int64))
    assert (view.at(table) == 0).all() and int((table == 0).sum()) == 7


def test_single_entries_of_tables_follow_the_window():
    view = window()
    view.advance(torch.tensor([1, 3]))
    table = torch.arange(2 * view.capacity * 4).view(2, view.capacity, 4)
    tokens = ints([0, 1, 2], [3, 2, 1])
    assert torch.equal(view.picked(table, tokens), view.at(table).gather(2, tokens.unsqueeze(2)).squeeze(2))
    assert torch.equal(view.at_slot(table, torch.tensor([2, 0])), torch.stack([table[0, 3], table[1, 3]]))
    view.advance(torch.tensor([3, 3]))  # a row that passed its whole window asks for the slot after it
    assert view.at_slot(table, torch.tensor([3, 3])).shape == (2, 4)


def test_the_trace_shows_the_drafts_in_front_and_nothing_past_the_end():
    view = window(trace_slots=2)
    view.write(ints([1, 2, 3], [4, 5, 6]))
    view.advance(torch.tensor([1, 3]))
    view.write(ints([1, 2, 3], [4, 5, 6]))
    view.advance(torch.tensor([3, 1]))
    assert view.decoded().trace.tolist() == [[[2, 3], [0, 0]], [[0, -1], [5, -1]]]


def test_what_cannot_be_decoded_is_refused():
    with pytest.raises(EaselError, match="at least one slot, not 0"):
        window(width=0)
    with pytest.raises(EaselError, match="3 pictures need a seed each, got 2 seeds"):
        Window(SimpleNamespace(rows=3, length=5, codes=2), RowRandom(range(2)), 3)
    assert window(width=99).width == 5
