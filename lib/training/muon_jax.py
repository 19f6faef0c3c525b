"""Muon (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/) for optax, all matrices of one shape at a time.

optax's own takes matrix by matrix, and all of them on every device: in a small network, where these products are small,
that is a good part of a step.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # of the quintic iteration; they trade exactness for speed
ROUNDS = 5
EPSILON = 1e-8


class MuonState(NamedTuple):
    """Number of updates so far, and the mean gradients: a tree like that of the kernels."""

    count: jax.Array
    momentum: optax.Params


def scale_by_muon(beta: float, mesh: Mesh | None = None) -> optax.GradientTransformation:
    """Nesterov momentum, made nearly orthogonal, of kernels [in, out] or [layers, in, out].

    But for rounding it is what `optax.contrib.muon` multiplies by the learning rate.

    Args:
        beta: of the momentum, a moving average whose bias towards 0 is taken out.
        mesh: its devices share the matrices; None has every device compute all of them.
    """

    def init(params: optax.Params) -> MuonState:
        return MuonState(jnp.zeros((), jnp.int32), jax.tree.map(jnp.zeros_like, params))

    def update(
        gradients: optax.Updates, state: MuonState, params: optax.Params | None = None
    ) -> tuple[optax.Updates, MuonState]:
        count = state.count + 1
        momentum = jax.tree.map(lambda mean, new: beta * mean + (1 - beta) * new, state.momentum, gradients)
        # Nesterov: the mean as the next update would have it if its gradient were this one's.
        old, new = beta / (1 - beta ** (count + 1)), (1 - beta) / (1 - beta**count)
        ahead = jax.tree.map(lambda mean, gradient: old * mean + new * gradient, momentum, gradients)
        kernels, structure = jax.tree.flatten(ahead)
        return jax.tree.unflatten(structure, orthogonalise(kernels, mesh)), MuonState(count, momentum)

    return optax.GradientTransformation(init, update)


def orthogonalise(kernels: Sequence[jax.Array], mesh: Mesh | None = None) -> list[jax.Array]:
    """Every matrix of kernels [..., in, out] with singular values near 1, times √(out / in) where that is above 1.

    With the root, an update changes a layer's outputs by the same amount whatever the layer's shape.

    Args:
        mesh: its devices share the matrices of one shape; None has every device compute all of them.
    """
    alike = defaultdict(list)  # (short side, long side) → which kernels
    for number, kernel in enumerate(kernels):
        alike[tuple(sorted(kernel.shape[-2:]))].append(number)
    results = list(kernels)
    for sides, numbers in alike.items():
        parts = [lying(kernels[number]).reshape(-1, *sides) for number in numbers]
        together = jnp.concatenate(parts)  # [matrices, short, long]
        done = _split(newton_schulz, together, mesh) if mesh else newton_schulz(together)
        ends = np.cumsum([len(part) for part in parts])
        for number, matrices in zip(numbers, jnp.split(done, ends[:-1]), strict=True):
            *layers, rows, columns = kernels[number].shape
            matrices = max(1.0, columns / rows) ** 0.5 * matrices.reshape(*layers, *sides)
            results[number] = matrices if rows <= columns else matrices.mT
    return results


def newton_schulz(x: jax.Array) -> jax.Array:
    """Matrices [n, short, long] → U·V of their singular value decompositions U·S·V, roughly.

    The singular values come to lie between 0.7 and 1.2; a zero matrix stays zero.
    """
    a, b, c = COEFFICIENTS
    x = x / (jnp.linalg.norm(x, axis=(-2, -1), keepdims=True) + EPSILON)
    for _ in range(ROUNDS):
        square = x @ x.mT  # [n, short, short]
        x = a * x + (b * square + c * square @ square) @ x
    return x


def _split(function: Callable[[jax.Array], jax.Array], matrices: jax.Array, mesh: Mesh) -> jax.Array:
    """`function` of matrices [n, ...], of which every device computes its part; the result is on all of them."""
    missing = -len(matrices) % mesh.size
    filled = jnp.concatenate([matrices, jnp.zeros((missing, *matrices.shape[1:]), matrices.dtype)])
    own = NamedSharding(mesh, PartitionSpec(mesh.axis_names))
    done = function(jax.lax.with_sharding_constraint(filled, own))
    return jax.lax.with_sharding_constraint(done, NamedSharding(mesh, PartitionSpec()))[: len(matrices)]


def lying(kernel: jax.Array) -> jax.Array:
    """The kernel, or its transpose if it has more rows than columns."""
    return kernel.mT if kernel.shape[-2] > kernel.shape[-1] else kernel
