"""Muon for optax against optax's own, which takes one matrix at a time."""

import jax
import jax.numpy as jnp
import numpy as np
import optax

from lib.training.muon_jax import newton_schulz, scale_by_muon

# Alike, alike but for a transposition, stacked, square.
SHAPES = {"wide": (3, 5), "again": (3, 5), "tall": (5, 3), "layers": (2, 5, 3), "square": (4, 4)}


def test_it_is_optaxs_muon_but_for_rounding():
    generator = np.random.default_rng(0)
    gradients = [{name: generator.standard_normal(shape, np.float32) for name, shape in SHAPES.items()} for _ in "123"]
    whole = optax.contrib.MuonDimensionNumbers(-2, -1)
    theirs = optax.contrib.muon(-1.0, beta=0.9, muon_weight_dimension_numbers=lambda tree: dict.fromkeys(tree, whole))

    def updates(rule):
        state, found = rule.init(gradients[0]), []
        for gradient in gradients:
            update, state = rule.update(gradient, state, gradients[0])
            found.append(update)
        return found

    ours, theirs = jax.jit(lambda: (updates(scale_by_muon(0.9)), updates(theirs)))()
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), ours, theirs)
    assert np.abs(ours[1]["wide"] - ours[2]["wide"]).max() > 0.1


def test_the_state_is_a_tree_like_the_parameters():
    params = {name: np.ones(shape, np.float32) for name, shape in SHAPES.items()}
    state = scale_by_muon(0.9).init(params)
    assert jax.tree.map(np.shape, state.momentum) == SHAPES


def test_a_matrix_of_zeros_stays_one_among_others():
    stack = jnp.stack([jnp.zeros((2, 3)), jnp.eye(2, 3)])
    first, second = jax.jit(newton_schulz)(stack)
    assert not first.any() and (np.linalg.svd(second, compute_uv=False) > 0.6).all()
