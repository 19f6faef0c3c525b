"""First drafts, without a network."""

from types import SimpleNamespace

import pytest
import torch

from lib.decoding.initial import Drafts
from lib.decoding.noise import RowRandom
from lib.decoding.window import Window
from lib.errors import EaselError

CODES = 4


def start(kind, width=4, length=12, columns=3, rows=2):
    random = RowRandom(range(rows))
    view = Window(SimpleNamespace(rows=rows, length=length, codes=CODES), random, width)
    return view, Drafts(kind, view, random, CODES, columns)


@pytest.mark.parametrize("kind", ["one_hot", "uniform", "left", "above", "sample_left"])
def test_drafts_could_have_come_from_their_proposals(kind):
    view, first = start(kind)
    proposals = first.proposals()
    assert proposals.shape == (2, view.capacity, CODES)
    log_p = torch.randn(2, 4, CODES, generator=torch.Generator().manual_seed(0)).log_softmax(-1)
    for count in (torch.tensor([1, 3]), torch.tensor([4, 2]), torch.tensor([2, 4])):
        log_q = view.at(proposals)
        assert torch.allclose(log_q.logsumexp(-1), torch.zeros(2, 4), atol=1e-6)
        drawn = log_q.gather(-1, view.drafts[..., None])
        assert (drawn == 0).all() if kind in ("one_hot", "left", "above") else torch.isfinite(drawn).all()
        first.enter(log_p, proposals)
        view.advance(count)


def test_left_repeats_the_last_token_of_the_window():
    view, first = start("left")
    view.write(torch.tensor([[0, 1, 2, 3], [3, 2, 1, 0]]))
    first.enter(torch.zeros(2, 4, CODES))
    view.advance(torch.tensor([1, 3]))
    assert view.drafts.tolist() == [[1, 2, 3, 3], [0, 0, 0, 0]]


def test_above_repeats_the_row_above_as_far_as_it_is_known():
    view, first = start("above", width=5, length=12, columns=3)
    view.write(torch.tensor([[0, 1, 2, 3, 0], [1, 1, 2, 2, 3]]))
    first.enter(torch.zeros(2, 5, CODES))
    view.advance(torch.tensor([5, 5]))
    # Slots 5 … 9: above slot 5 is slot 2; above 6 is 3, above 7 is 4; 8 and 9 enter too, with the row above slots 5, 6.
    assert view.drafts.tolist() == [[2, 3, 0, 2, 3], [2, 2, 3, 2, 2]]


def test_above_in_the_first_row_is_left():
    view, first = start("above", width=2, length=12, columns=6)
    view.write(torch.tensor([[0, 1], [2, 3]]))
    first.enter(torch.zeros(2, 2, CODES))
    view.advance(torch.tensor([2, 1]))
    assert view.drafts.tolist() == [[1, 1], [3, 3]]


def test_sample_left_draws_from_the_last_distribution():
    view, first = start("sample_left", rows=2)
    proposals = first.proposals()
    log_p = torch.full((2, 4, CODES), -torch.inf)
    log_p[0, :, 0] = log_p[1, :3, 0] = 0
    log_p[1, 3, 2] = 0  # the second row's last slot is certain of code 2
    first.enter(log_p, proposals)
    view.advance(torch.tensor([4, 4]))
    assert view.drafts.tolist() == [[0] * 4, [2] * 4]
    assert torch.equal(view.at(proposals), log_p[:, 3:].expand(-1, 4, -1))


def test_what_is_unknown_is_refused():
    with pytest.raises(EaselError, match="no initialisation 'below'; choose one of one_hot, uniform, left"):
        start("below")
    with pytest.raises(EaselError, match="12 slots does not have 5 columns"):
        start("above", columns=5)
