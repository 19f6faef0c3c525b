from itertools import pairwise

import numpy as np
import pytest
import torch

from lib.training.corruption import corrupt
from lib.training.supervised import Supervised, schedule


def test_schedule_rises_to_one_and_falls_to_almost_zero():
    rates = [schedule(step, 100) for step in range(100)]
    assert rates[0] == pytest.approx(1 / 6) and max(rates) == rates[5] == 1.0
    assert all(a > b for a, b in pairwise(rates[5:])) and 0 < rates[-1] < 0.01


def test_descends_and_spares_vectors_from_decay():
    model = torch.nn.Linear(2, 1)
    bias = model.bias.detach().clone()
    before = model.weight.detach().abs().sum()
    learner = Supervised(model, lambda step, rows: 0 * model(torch.ones(1, 2)).sum(), 10, 0.1, weight_decay=0.5)
    learner.step(5, np.arange(1))
    assert torch.equal(model.bias, bias) and model.weight.abs().sum() < before

    target = torch.tensor([[3.0]])
    learner = Supervised(model, lambda step, rows: (model(torch.ones(1, 2)) - target).square().mean(), 100, 0.1)
    losses = [learner.step(step, np.arange(1))["loss"] for step in range(100)]
    assert losses[-1] < 0.01 * losses[0]


def test_corruption_is_light_keeps_the_range_and_spares_about_half():
    images = torch.rand(200, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    images = torch.nn.functional.avg_pool2d(images, 5, 1, 2)
    damaged = corrupt(images, torch.Generator().manual_seed(1))
    assert damaged.shape == images.shape and damaged.min() >= 0 and damaged.max() <= 1
    touched = (damaged != images).flatten(1).any(dim=1)
    assert 70 < int(touched.sum()) < 130
    error = (damaged - images)[touched].square().mean(dim=(1, 2, 3)).sqrt()
    assert 0.005 < error.mean() < 0.1


def test_corruption_follows_from_its_generator_alone():
    images = torch.rand(4, 3, 8, 8)
    torch.manual_seed(1)
    first = corrupt(images, torch.Generator().manual_seed(5))
    torch.manual_seed(2)
    assert torch.equal(first, corrupt(images, torch.Generator().manual_seed(5)))
