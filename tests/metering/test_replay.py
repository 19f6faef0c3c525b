"""Recorded functions. Without a GPU nothing is recorded, but arguments take the same way through buffers."""

from typing import NamedTuple

import pytest
import torch

from lib.metering.replay import Replayed


class Pair(NamedTuple):
    keys: torch.Tensor
    turns: torch.Tensor | None


def test_results_are_those_of_the_function_and_stay():
    cache, seen = torch.zeros(4), []

    def work(x, place, pairs):
        seen.append((x.data_ptr(), place.data_ptr(), pairs[0].keys.data_ptr()))
        cache.index_copy_(0, place, x)
        return cache * pairs[0].keys

    replayed = Replayed(work)
    first = replayed(torch.tensor([1.0]), torch.tensor([2]), [Pair(torch.tensor(3.0), None)])
    second = replayed(torch.tensor([5.0]), torch.tensor([0]), [Pair(torch.tensor(7.0), None)])
    assert first.tolist() == [0, 0, 3, 0]  # not written over by the second call
    assert second.tolist() == [35, 0, 7, 0]
    assert replayed.records == 1 and len(set(seen)) == 1  # the same buffers every time


def test_other_shapes_and_values_are_other_records():
    replayed = Replayed(lambda x, factor=1: factor * x)
    for given in ((torch.ones(2),), (torch.ones(3),), (torch.ones(2), 2), (torch.ones(2), 3)):
        assert torch.equal(replayed(*given), torch.full_like(given[0], given[1] if given[1:] else 1))
    replayed(torch.zeros(3))
    assert replayed.records == 4


def test_arguments_are_not_changed():
    x = torch.ones(2)
    Replayed(lambda y: y.mul_(3))(x)
    assert x.tolist() == [1, 1]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_kernels_are_replayed():
    calls = []

    def work(x):
        calls.append(1)
        return x * 2

    replayed = Replayed(work)
    for value in range(5):
        assert replayed(torch.full((2,), float(value), device="cuda")).tolist() == [2 * value] * 2
    assert len(calls) == 4  # three to warm up, one to record
