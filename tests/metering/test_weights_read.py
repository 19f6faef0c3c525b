"""Bytes of weights that a computation reads."""

import pytest
import torch
from torch import nn

from lib.metering.weights_read import weights_read


def test_every_call_reads_a_layer_anew_and_a_table_where_it_is_looked_up():
    table, layer = nn.Embedding(10, 4), nn.Linear(4, 3)
    work = nn.Sequential(table, layer, nn.ReLU())
    few, many = torch.zeros(2, dtype=torch.int64), torch.zeros(5, 4, dtype=torch.int64)
    assert weights_read(lambda: work(few)) == 4 * (2 * 4 + 15)
    assert weights_read(lambda: (work(few), layer(torch.zeros(1, 4)))) == 4 * (2 * 4 + 2 * 15)
    assert weights_read(lambda: work(many)) == 4 * (10 * 4 + 15)  # no row twice
    assert weights_read(lambda: work.double()(few)) == 8 * (2 * 4 + 15)


def test_nothing_is_counted_afterwards_nor_after_an_error():
    layer = nn.Linear(4, 3)
    with pytest.raises(RuntimeError, match="shapes"):
        weights_read(lambda: layer(torch.zeros(1, 5)))
    assert weights_read(lambda: None) == 0 and not torch.nn.modules.module._global_forward_pre_hooks
