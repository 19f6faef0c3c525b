"""Bugs of other masked samplers, planted in ours: each is found by what the sampler is asked."""

import pytest
import torch

from lib.decoding import masked, schedules
from lib.decoding.masked import decode
from lib.decoding.noise import RowRandom
from tests.decoding.toy_masked import SmoothMasked, ToyMasked, assert_sound

HALF_KNOWN = torch.tensor([[-1] * 8 + [2] * 8] * 3)


def check():
    network = SmoothMasked(rows=3, length=16, codes=7)
    decoded = decode(network, RowRandom(range(3)), steps=6, known=HALF_KNOWN, trace=True)
    assert_sound(network, HALF_KNOWN, 6, decoded)


def test_nothing_planted_nothing_found():
    check()


def test_a_token_that_is_still_masked_after_the_last_pass_is_found(monkeypatch):
    """MaskGIT's loop masks one token again in its last pass; ports that return the loop's state have a hole."""
    table = schedules.masked_table
    monkeypatch.setattr(masked, "masked_table", lambda *arguments: table(*arguments).clamp(min=1))
    with pytest.raises(AssertionError, match="a mask is left"):
        check()


def test_a_schedule_of_the_whole_picture_is_found(monkeypatch):
    """open-muse counts by the size of the picture, where half of it may be known."""
    table = schedules.masked_table

    def of_all_slots(schedule, unknown, steps):
        return table(schedule, torch.full_like(unknown, 16), steps).minimum(unknown[:, None])

    monkeypatch.setattr(masked, "masked_table", of_all_slots)
    with pytest.raises(AssertionError, match="another number of passes"):
        check()


def test_known_tokens_that_are_ignored_are_found(monkeypatch):
    """open-muse's first sampler begins with nothing but masks whatever it is given."""
    start = masked.initial
    monkeypatch.setattr(masked, "initial", lambda predictor, known, device: start(predictor, None, device))
    with pytest.raises(AssertionError, match="a known token was lost"):
        check()


def test_a_cut_through_equal_confidence_is_found(monkeypatch):
    """A threshold on sorted confidence fixes too many, or too few, where confidences are equal."""
    network = ToyMasked(rows=3, joint=torch.full((81,), 1 / 81, dtype=torch.float64))  # all are equally likely
    known = torch.full((3, 4), -1)

    def run():
        decoded = decode(network, RowRandom(range(3)), steps=4, known=known, noise=0.0, trace=True)
        assert_sound(network, known, 4, decoded)

    def cut(priority, where, count):
        ordered = priority.masked_fill(~where, -torch.inf).sort(dim=1, descending=True).values
        return where & (priority >= ordered.gather(1, (count - 1).clamp(min=0)[:, None])) & (count > 0)[:, None]

    run()
    monkeypatch.setattr(masked, "highest", cut)
    with pytest.raises(AssertionError, match="another number of masks"):
        run()
