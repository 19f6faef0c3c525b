"""Orders of unmasking."""

from collections import Counter

import numpy as np
import pytest
import torch
from scipy import stats

from lib.decoding.noise import RowRandom
from lib.decoding.orders import confidence, fixed_priority, halton_order, highest, radical_inverse
from lib.errors import EaselError


def test_radical_inverses():
    assert [radical_inverse(k, 2) for k in (1, 2, 3, 6)] == [(1, 2), (1, 4), (3, 4), (3, 8)]
    assert [radical_inverse(k, 3) for k in (1, 2, 3, 5)] == [(1, 3), (2, 3), (1, 9), (7, 9)]


def test_haltons_first_points():
    cells = [divmod(slot, 9) for slot in halton_order(8, 9)[:5]]
    assert cells == [(4, 3), (2, 6), (6, 1), (1, 4), (5, 7)]


@pytest.mark.parametrize("rows, columns", [(8, 8), (16, 16), (5, 7), (12, 3)])
def test_haltons_order_is_scipys(rows, columns):
    points = stats.qmc.Halton(d=2, scramble=False).random(20000)[1:]  # without the corner
    cells = np.floor(points * [rows, columns] + 1e-9).astype(int)
    expected = list(dict.fromkeys(int(slot) for slot in cells @ [columns, 1]))
    assert list(halton_order(rows, columns)) == expected


def test_haltons_order_has_every_slot_once():
    for rows in range(1, 18):
        for columns in (1, 2, 3, 8, 11, 16):
            assert sorted(halton_order(rows, columns)) == list(range(rows * columns))


def unevenness(order, side):
    """Largest difference between a quarter's share of the first slots and a quarter, over all prefixes, in slots."""
    row, column = np.divmod(np.array(order), side)
    quarter = 2 * (row >= side // 2) + (column >= side // 2)
    inside = (quarter[:, None] == np.arange(4)).cumsum(0)
    return np.abs(inside - np.arange(1, len(order) + 1)[:, None] / 4).max()


@pytest.mark.parametrize("side", [8, 16])
def test_haltons_prefixes_are_spread_over_the_quarters(side):
    rng = np.random.default_rng(0)
    by_chance = [unevenness(rng.permutation(side * side), side) for _ in range(300)]
    assert unevenness(halton_order(side, side), side) < np.quantile(by_chance, 0.05)
    assert unevenness(range(side * side), side) > max(by_chance)


def test_priorities_follow_haltons_order():
    priority = fixed_priority("halton", RowRandom([1, 2]), 12, 4)
    assert priority.shape == (2, 12)
    for row in priority:
        assert tuple(row.argsort(descending=True).tolist()) == halton_order(3, 4)
    square, grid = (fixed_priority("halton", RowRandom([1]), 9, columns) for columns in (None, 3))
    assert torch.equal(square, grid)
    assert fixed_priority("confidence", RowRandom([1]), 12, None) is None


def test_random_orders_are_all_equally_likely():
    orders = fixed_priority("random", RowRandom(range(6000)), 3, None).argsort(dim=1)
    found = Counter(map(tuple, orders.tolist()))
    assert len(found) == 6 and stats.chisquare(list(found.values())).pvalue > 1e-3


def test_as_many_as_asked_for_and_none_that_is_not_masked():
    generator = torch.Generator().manual_seed(0)
    priority = torch.rand(200, 9, generator=generator)
    masked = torch.rand(200, 9, generator=generator) < 0.6
    count = (masked.sum(1) * torch.rand(200, generator=generator)).long()
    fixed = highest(priority, masked, count)
    assert torch.equal(fixed.sum(1), count) and not (fixed & ~masked).any()
    for row in range(200):
        left = priority[row][masked[row] & ~fixed[row]]
        assert not len(left) or not count[row] or priority[row][fixed[row]].min() > left.max()


def test_of_equals_the_first_are_taken():
    masked = torch.tensor([[False, True, True, True, True]])
    fixed = highest(torch.zeros(1, 5), masked, torch.tensor([2]))
    assert fixed.tolist() == [[False, True, True, False, False]]


def test_noise_is_scaled_and_the_log_probability_is_not():
    noisy = confidence(torch.tensor([[-1.0, -2.0]] * 2), torch.tensor([[3.0, 5.0]] * 2), torch.tensor([0.5, 0.0]))
    assert noisy.tolist() == [[0.5, 0.5], [-1.0, -2.0]]


@pytest.mark.parametrize("columns", [0, 5, -3])
def test_a_grid_that_is_none_is_refused(columns):
    with pytest.raises(EaselError, match=f"of 12 slots does not have {columns} columns; set columns"):
        fixed_priority("halton", RowRandom([1]), 12, columns)
