"""Activation functions of feed-forward blocks, each as its closed form."""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp

from lib.models.layout import Activation

SMELU_BETA = 1.0  # half-width of the quadratic part, as in the original


def relu(x: jax.Array) -> jax.Array:
    """max(x, 0); the gradient at 0 is 0."""
    return jax.nn.relu(x)


def gelu(x: jax.Array) -> jax.Array:
    """x Φ(x) with the normal distribution function Φ, exactly (arXiv:1606.08415).

    With erf, where JAX's own takes erfc: on a CPU that is the cheaper one of the two, and equal but for rounding.
    """
    return x * 0.5 * (1 + jax.lax.erf(x * math.sqrt(0.5)))


def gelu_tanh(x: jax.Array) -> jax.Array:
    """The approximation x/2 (1 + tanh(√(2/π) (x + 0.044715 x³))) of `gelu` (arXiv:1606.08415)."""
    return jax.nn.gelu(x, approximate=True)


def quick_gelu(x: jax.Array) -> jax.Array:
    """The approximation x σ(1.702 x) of `gelu` (arXiv:1606.08415)."""
    return x * jax.nn.sigmoid(1.702 * x)


def swish(x: jax.Array) -> jax.Array:
    """x σ(x) (arXiv:1710.05941 with β = 1)."""
    return x * jax.nn.sigmoid(x)


def sigmoid(x: jax.Array) -> jax.Array:
    """σ(x) = 1 / (1 + exp(−x)); gates the first GLU (arXiv:1612.08083)."""
    return jax.nn.sigmoid(x)


def identity(x: jax.Array) -> jax.Array:
    """x; with a gate it makes the bilinear block."""
    return x


def smelu(x: jax.Array) -> jax.Array:
    """Smooth ReLU: 0 below −β, (x + β)²/(4β) between, x above β (arXiv:2202.06499)."""
    quadratic = jnp.square(x + SMELU_BETA) / (4 * SMELU_BETA)
    return jnp.where(x <= -SMELU_BETA, 0.0, jnp.where(x >= SMELU_BETA, x, quadratic))


@jax.custom_jvp
def smelu_original(x: jax.Array) -> jax.Array:
    """SmeLU as the original DALL·E Mini computed it, wrong in value and gradient; kept to repeat its ablation.

    Inputs up to −β are first set to 0 and then go through the quadratic, which makes them β/4. The gradient is 1
    everywhere, except 0 at exactly −β and β.
    """
    x = jnp.where(x <= -SMELU_BETA, 0.0, x)
    return jnp.where(x >= SMELU_BETA, x, jnp.square(x + SMELU_BETA) / (4 * SMELU_BETA))


@smelu_original.defjvp
def _smelu_original_jvp(primals, tangents):
    (x,), (tangent,) = primals, tangents
    return smelu_original(x), jnp.where(jnp.abs(x) == SMELU_BETA, 0.0, tangent)


ACTIVATIONS: dict[Activation, Callable[[jax.Array], jax.Array]] = {
    function.__name__: function
    for function in (relu, gelu, gelu_tanh, quick_gelu, swish, sigmoid, identity, smelu, smelu_original)
}
