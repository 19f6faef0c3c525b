"""Decoders by name, their options, and what their passes did."""

import inspect
import math
import sys
from typing import Literal, get_args, get_origin, get_type_hints

import numpy as np
import pytest
import torch

from lib.decoding import decoders, jacobi, options
from lib.decoding.history import accepted_lengths, added, changes
from lib.decoding.noise import RowRandom
from lib.decoding.predictor import Decoded
from lib.decoding.toy_chain import ToyNetwork
from lib.errors import EaselError
from lib.imports import imports
from studies.sjd2.code.settings import DecoderName
from tests.house import REPOSITORY


def test_the_configuration_names_all_decoders():
    assert set(get_args(DecoderName)) == set(decoders.DECODERS)


@pytest.mark.parametrize(
    ("decoder", "given", "steps"),
    [
        ("autoregressive", {}, 0),
        ("jacobi", {"window": 5, "noise": "shared", "initial": "above", "trace_slots": 2}, 0),
        ("sjd", {"initial": "sample_left", "coupling": "maximal"}, 0),
        ("sjd", {"coupling": "gumbel"}, 0),
        ("sjdpp", {"threshold": 1}, 0),
        ("sjd2", {"keep": math.inf, "accept": "any"}, 3),
        ("sjd2", {"accept": "denoised", "trace_slots": 1}, 7),
        ("sjd2", {"test": "match", "coupling": "gumbel"}, 1),
        ("zipar", {"ahead": 3}, 0),
        ("lantern", {"near": 5, "budget": 1.0, "drafts": 2}, 0),
        ("eagle", {"drafts": 3}, 0),
        ("medusa", {}, 0),
    ],
)
def test_what_a_decoder_takes_is_let_through(decoder, given, steps):
    decoders.check(decoder, given, 12, 4, steps)


@pytest.mark.parametrize(
    ("decoder", "given", "message"),
    [
        ("autoregressive", {"window": 1}, "decoder autoregressive: unknown key 'window'; known here: none"),
        ("jacobi", {"widow": 1}, "unknown key 'widow'; did you mean 'window'?"),
        ("eagle", {"acceptance": "exact"}, "unknown key 'acceptance'; known here: drafts"),
        ("zipar", {"columns": 4}, "unknown key 'columns'"),
        ("zipar", {}, "missing ahead"),
        ("zipar", {"ahead": 5}, "1 … 4 tokens ahead"),
        ("lantern", {"budget": 0.5}, "missing near"),
        ("lantern", {"near": 2, "budget": 1.5}, "budget is 1.5, must be at most 1"),
        ("jacobi", {"noise": "fixed"}, "noise is 'fixed', must be one of fresh, shared"),
        ("sjd", {"window": 16.5}, r"window is 16.5 \(float\), must be int"),
        ("sjd", {"window": True}, r"window is True \(bool\), must be int"),
        ("sjd", {"window": 0}, "window is 0, must be at least 1"),
        ("sjdpp", {"threshold": "high"}, r"threshold is 'high' \(str\), must be float"),
        ("sjd2", {"keep": -0.5}, "keep is -0.5, must be at least 0"),
        ("sjd2", {"keep": float("nan")}, "keep is nan, must be at least 0"),
        ("eagle", {"drafts": 0}, "drafts is 0, must be at least 1"),
    ],
)
def test_what_it_would_stumble_over_is_refused(decoder, given, message):
    with pytest.raises(EaselError, match=message):
        decoders.check(decoder, given, 12, 4, 3)


@pytest.mark.parametrize("decoder", decoders.DECODERS)
def test_options_with_bounds_are_those_that_the_decoder_has(decoder):
    decode, fields = decoders.load(decoder), options.OPTIONS[decoder].model_fields
    hints, parameters = get_type_hints(decode), inspect.signature(decode).parameters
    known = {name: one for name, one in parameters.items() if one.kind is one.KEYWORD_ONLY}
    assert set(fields) == set(known) - decoders.UNSET
    for name, field in fields.items():
        assert field.is_required() == (known[name].default is inspect.Parameter.empty)
        kind = int if hints[name] is torch.Tensor else hints[name]
        if get_origin(kind) is Literal:
            assert set(get_args(field.annotation)) == set(get_args(kind))
        else:
            assert field.annotation is kind


def test_decoders_are_found_by_name_and_imported_by_nobody(monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    for decoder, module in decoders.DECODERS.items():
        assert decoders.load(decoder) is sys.modules[module].decode
        for user in ("lib.decoding.decoders", "lib.painter.autoregressive"):
            assert module not in imports(user, by_name=False) and module in imports(user)
    assert set(decoders.DRAFTERS) < set(decoders.DECODERS)


def test_a_decoder_called_by_name_is_the_decoder():
    network, given = ToyNetwork(length=6), {"window": 4, "initial": "above"}
    found = decoders.run("jacobi", network.like(3), RowRandom(range(3)), given, columns=3)
    expected = jacobi.decode(network.like(3), RowRandom(range(3)), **given, columns=3)
    assert torch.equal(found.tokens, expected.tokens) and torch.equal(found.passes, expected.passes)


def decoded(passes, accepted, trace=None):
    passes, accepted = torch.tensor(passes), torch.tensor(accepted)
    return Decoded(torch.zeros(len(passes), 1), passes, accepted, trace)


def test_accepted_lengths_leave_out_complete_rows():
    found = accepted_lengths(decoded([3, 1], [[1, 0, 3], [4, 0, 0]]))
    assert found.tolist() == [1, 1, 0, 1, 1]
    assert added([found, np.array([1, 0])]).tolist() == [2, 1, 0, 1, 1]


def test_changes_are_those_of_the_same_slot():
    # One row of six slots; the three at the front of the window, which moves by 1 and then by 2.
    trace = torch.tensor([[5, 6, 7], [6, 8, 9], [9, 1, -1], [-1, -1, -1]]).unsqueeze(1)
    found, looked_at = changes(decoded([4], [[1, 1, 2, 2]], trace))
    # Pass 2: slot at place 1 stays 6, that at place 2 goes from 7 to 8. Pass 3: place 2 stays 9. Pass 4: all are fixed.
    assert found.tolist() == [0, 0, 1] and looked_at.tolist() == [0, 1, 2]


def test_a_slot_that_no_pass_fixes_is_looked_at_where_it_is():
    trace = torch.tensor([[5, 6], [3, 6], [3, 4]]).unsqueeze(1)
    found, looked_at = changes(decoded([3], [[0, 0, 0]], trace))
    assert found.tolist() == [1, 1] and looked_at.tolist() == [2, 2]


def test_with_shared_noise_drafts_change_less_often():
    network, totals = ToyNetwork(length=6, codes=3), []
    for noise in ("fresh", "shared"):
        found = jacobi.decode(network.like(300), RowRandom(range(300)), window=6, noise=noise, trace_slots=6)
        count, looked_at = changes(found)
        assert (count <= looked_at).all() and looked_at[0] == 0
        totals.append(count.sum())
    assert totals[1] < 0.8 * totals[0]
