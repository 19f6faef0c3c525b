"""Copies of an autoregressive model: for larger pictures, and for another temperature."""

import numpy as np
import pytest
import torch

from lib.errors import EaselError
from lib.models.autoregressive import nats
from lib.models.autoregressive_copies import enlarged, tempered
from tests.models.test_autoregressive import network


@pytest.fixture(scope="module")
def model():
    return network()


def test_a_larger_picture_begins_with_the_positions_of_the_smaller_one(model):
    rows, columns = model.config.rows, model.config.columns
    large = enlarged(model, 2 * rows, 3 * columns)
    small_table = model.output_positions.weight.reshape(rows, columns, -1)
    table = large.output_positions.weight.reshape(2 * rows, 3 * columns, -1)
    for row in range(2 * rows):
        for column in range(3 * columns):
            assert torch.equal(table[row, column], small_table[row // 2, column // 3])
    others = {name for name, _ in model.named_parameters()} - {"output_positions.weight"}
    assert all(torch.equal(large.get_parameter(name), model.get_parameter(name)) for name in others)
    text_ids = torch.ones(1, 3, dtype=torch.int64)
    assert large(text_ids, torch.zeros(1, 6 * rows * columns, dtype=torch.int64)).isfinite().all()
    with pytest.raises(EaselError, match="cannot grow"):
        enlarged(model, rows + 1, columns)


def test_nats_of_tempered_draws_are_those_of_the_tempered_network(model):
    tokens = np.zeros((1, model.config.length), np.int64)
    text_ids = np.ones((1, 3), np.int64)
    with torch.no_grad():
        logits = model(torch.from_numpy(text_ids), torch.from_numpy(tokens)) / 2
    expected = -logits.log_softmax(dim=-1)[..., 0]
    before = model.head.weight.clone()
    np.testing.assert_allclose(nats(tempered(model, 2.0), text_ids, tokens), expected, rtol=1e-5)
    assert torch.equal(model.head.weight, before)
