"""Planned memory against what autograd is known to keep."""

import jax.numpy as jnp
import pytest
import torch
from torch import nn

from lib.errors import EaselError
from lib.metering.memory import decoding, of_jax, of_torch
from lib.models.autoregressive import Autoregressive, AutoregressiveConfig
from lib.models.autoregressive_predictor import AutoregressivePredictor, Sampling
from lib.weights.torch_state import generator


def test_two_layers_keep_their_inputs():
    """Input, and the hidden vectors once, although two operations read them."""
    with torch.device("meta"):
        network = nn.Sequential(nn.Linear(10, 20), nn.Tanh(), nn.Linear(20, 1, bias=False))
        x = torch.empty(7, 10)
    found = of_torch(network, lambda: network(x).sum())
    assert found.weights == found.gradients == 4 * (10 * 20 + 20 + 20) and found.moments == 2 * found.weights
    assert found.activations == 4 * (7 * 10 + 7 * 20)
    assert found.total == found.weights + found.gradients + found.moments + found.activations
    twice = of_torch(network, lambda: network(torch.cat([x, x])).sum(), moments=1)
    assert twice.activations == 2 * found.activations and twice.moments == found.weights


def test_a_network_that_would_compute_is_refused():
    with pytest.raises(EaselError, match="on the meta device"):
        of_torch(nn.Linear(1, 1), lambda: torch.zeros(()))


def test_jax_keeps_the_same():
    weights = {"a": jnp.zeros((10, 20)), "b": jnp.zeros((20, 1))}
    x = jnp.zeros((7, 10))

    def loss(given):
        return (jnp.tanh(x @ given["a"]) @ given["b"]).sum()

    found = of_jax(weights, loss, (weights, weights))
    size = 4 * (10 * 20 + 20)
    assert (found.weights, found.gradients, found.moments) == (size, size, 2 * size)
    # The input may be a constant of the program; tanh keeps its result or its derivative, or both.
    assert 4 * 7 * 20 <= found.activations <= 4 * (7 * 10 + 2 * 7 * 20 + 7)


def test_decoding_keeps_what_the_predictor_has():
    config = AutoregressiveConfig(12, 4, 0, 8, 2, 3, 16, 2, 2, 24, "token")
    model = Autoregressive(config, generator(0))
    text = torch.ones(3, 4, dtype=torch.int64)
    predictor = AutoregressivePredictor(model, text, text[0], Sampling(2.0), torch.linspace(0.2, 1, 5))
    cache = sum(cache.keys.nbytes + cache.values.nbytes for cache in predictor.caches)
    tables = 4 * 3 * ((6 + 6 + 2 * 5) * 8 + (1 + 6 + 2 * 5) * 16)
    assert decoding(config, 3, levels=5, copies=2, window=5) == cache + tables
