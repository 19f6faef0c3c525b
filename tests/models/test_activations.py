from typing import get_args

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import erf

from lib.models.activations import ACTIVATIONS
from lib.models.layout import Activation

GRID = np.linspace(-4.013, 4.007, 161)  # misses the kinks at 0 and ±1


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


CLOSED_FORMS = {
    "relu": lambda x: np.maximum(x, 0),
    "gelu": lambda x: x * (1 + erf(x / np.sqrt(2))) / 2,
    "gelu_tanh": lambda x: x / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))),
    "quick_gelu": lambda x: x * sigmoid(1.702 * x),
    "swish": lambda x: x * sigmoid(x),
    "sigmoid": sigmoid,
    "identity": lambda x: x,
    "smelu": lambda x: np.select([x <= -1, x >= 1], [0 * x, x], (x + 1) ** 2 / 4),
}


def values_and_gradients(name):
    function, step = ACTIVATIONS[name], 1e-6

    @jax.jit
    def compute(x):
        differences = (function(x + step) - function(x - step)) / (2 * step)
        return function(x), jax.grad(lambda x: function(x).sum())(x), differences

    with jax.enable_x64(True):
        return jax.tree.map(np.asarray, compute(GRID))


def gradients_at(name, points):
    return jax.jit(jax.grad(lambda x: ACTIVATIONS[name](x).sum()))(jnp.array(points))


def test_every_activation_of_the_layout_is_there():
    assert set(ACTIVATIONS) == set(get_args(Activation)) == {*CLOSED_FORMS, "smelu_original"}


@pytest.mark.parametrize("name", CLOSED_FORMS)
def test_values_and_gradients_are_those_of_the_closed_form(name):
    values, gradients, differences = values_and_gradients(name)
    np.testing.assert_allclose(values, CLOSED_FORMS[name](GRID), atol=1e-12)
    np.testing.assert_allclose(gradients, differences, atol=1e-8)


def test_the_original_smelu_is_wrong_where_it_is_said_to_be():
    values, gradients, differences = values_and_gradients("smelu_original")
    below, within = GRID <= -1, np.abs(GRID) < 1
    np.testing.assert_allclose(values[below], 0.25)
    np.testing.assert_allclose(values[~below], CLOSED_FORMS["smelu"](GRID[~below]))
    np.testing.assert_array_equal(gradients, 1)
    assert np.abs(gradients - differences)[below].min() > 0.9  # the function is constant there
    assert np.abs(gradients - differences)[within].max() > 0.9
    np.testing.assert_array_equal(gradients_at("smelu_original", [-1.0, 1.0]), 0)


def test_smelu_is_smooth_at_its_edges():
    gradients = gradients_at("smelu", [-1.001, -1.0, -0.999, 0.999, 1.0, 1.001])
    np.testing.assert_allclose(gradients, [0, 0, 0, 1, 1, 1], atol=1e-3)
