"""ZipAR: order of writing, masks, and how far it is from the network's law."""

from functools import partial

import pytest
import torch

from lib.decoding import autoregressive, zipar
from lib.decoding.noise import RowRandom
from lib.decoding.toy_chain import ToyNetwork
from lib.errors import EaselError
from tests.decoding.toy_chain import assert_not_its_law, assert_rows_do_not_depend_on_their_batch, check_cost


@pytest.mark.parametrize(("rows", "columns", "ahead"), [(2, 3, 1), (4, 5, 2), (4, 4, 4), (3, 6, 5), (5, 1, 1)])
def test_every_slot_is_written_once_when_the_row_above_is_far_enough(rows, columns, ahead):
    passes = zipar.plan(rows, columns, ahead)
    assert len(passes) == (rows - 1) * ahead + columns
    written = set()
    for slots, _, write in passes:
        now = [slot for slot, new in zip(slots, write, strict=True) if new]
        for slot in now:
            row, column = divmod(slot, columns)
            above = {(row - 1) * columns + other for other in range(min(column + ahead, columns))} if row else set()
            assert above <= written and set(range(row * columns, slot)) <= written
        assert not written & set(now)
        written |= set(now)
    assert written == set(range(rows * columns))


def test_a_token_is_given_as_soon_as_it_is_known_and_before_that_one_stands_for_it():
    rows, columns = 3, 4
    passes = zipar.plan(rows, columns, 2)
    # The last token of row 0 is written in pass 3 and given in pass 4; in pass 2 that of slot 1 stood for it.
    assert passes[2] == ([2, 4], [1, 1], [True, True])
    assert passes[4] == ([4, 6, 8], [3, 5, 5], [False, True, True])
    written, given = set(), set()
    for slots, sources, write in passes:
        given |= {source for slot, source in zip(slots, sources, strict=True) if source == slot - 1 and source >= 0}
        assert given == written - {rows * columns - 1}
        written |= {slot for slot, new in zip(slots, write, strict=True) if new}


def test_a_whole_row_ahead_is_autoregressive_sampling():
    network = ToyNetwork(length=6).like(200)
    decoded = zipar.decode(network, RowRandom(range(200)), ahead=3, columns=3)
    expected = autoregressive.decode(network.like(200), RowRandom(range(200)))
    assert torch.equal(decoded.tokens, expected.tokens)
    check_cost(network, decoded)


def test_rows_that_overlap_are_lossy():
    network = ToyNetwork()
    distance = assert_not_its_law(network, partial(zipar.decode, ahead=1), 3000)
    print(f"total variation of ZipAR: {distance}")


def test_what_is_not_written_has_no_part():
    """Whatever an earlier picture left in the cache changes nothing."""
    network = ToyNetwork(length=9).like(8)
    first = zipar.decode(network, RowRandom(range(8)), ahead=1)
    zipar.decode(network, RowRandom(range(8, 16)), ahead=1)
    again = zipar.decode(network, RowRandom(range(8)), ahead=1)
    assert torch.equal(first.tokens, again.tokens)
    check_cost(network, first)
    assert first.passes.tolist() == [5] * 8 and first.accepted[0].tolist() == [1, 2, 3, 2, 1]
    assert_rows_do_not_depend_on_their_batch(ToyNetwork(length=9, codes=2), partial(zipar.decode, ahead=2), 8)


def test_what_does_not_fit_is_refused():
    network = ToyNetwork(length=6)
    with pytest.raises(EaselError, match="6 slots does not have 4 columns"):
        zipar.decode(network, RowRandom([0]), ahead=1, columns=4)
    with pytest.raises(EaselError, match="1 … 3 tokens ahead of the next one, not 4"):
        zipar.decode(network, RowRandom([0]), ahead=4, columns=3)
    with pytest.raises(EaselError, match="1 pictures need a seed each, got 2"):
        zipar.decode(network, RowRandom([0, 1]), ahead=1, columns=3)
