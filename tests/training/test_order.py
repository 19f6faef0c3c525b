"""Data order: every epoch sees everything once, and any batch can be had without the ones before."""

import numpy as np
import pytest

from lib.errors import EaselError
from lib.training.order import BatchOrder


def test_an_epoch_is_a_permutation_and_epochs_differ():
    order = BatchOrder(12, 4, seed=1)
    epochs = [np.concatenate([order.indices(3 * epoch + batch) for batch in range(3)]) for epoch in range(2)]
    for epoch in epochs:
        assert sorted(epoch) == list(range(12))
    assert list(epochs[0]) != list(epochs[1])


def test_batches_do_not_depend_on_what_was_asked_before():
    forwards, backwards = BatchOrder(10, 3, 5), BatchOrder(10, 3, 5)
    one = [forwards.indices(step) for step in range(9)]
    other = [backwards.indices(step) for step in reversed(range(9))]
    np.testing.assert_array_equal(one, other[::-1])


def test_seeds_differ():
    assert list(BatchOrder(100, 10, 0).indices(0)) != list(BatchOrder(100, 10, 1).indices(0))


@pytest.mark.parametrize("batch", [0, 11])
def test_impossible_batch(batch):
    with pytest.raises(EaselError, match="cannot be drawn from 10 items"):
        BatchOrder(10, batch, 0)
