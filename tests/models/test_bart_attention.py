"""Causal attention by blocks against the plain form with an explicit mask; the length of vectors."""

import dataclasses
from functools import partial

import jax
import numpy as np
import pytest

from lib.models.bart_attention import BLOCK, FlaxBartAttention, unit
from lib.models.layout import DalleMiniConfig, Layout

LENGTH = 2 * BLOCK + 7  # three blocks, the last one short
CONFIG = DalleMiniConfig(
    text_vocabulary=5,
    text_length=4,
    text_padding=0,
    codes=3,
    image_length=LENGTH,
    width=8,
    encoder_layers=1,
    decoder_layers=1,
    heads=2,
    feed_forward=8,
)


@pytest.mark.parametrize("changes", [{}, {"swin_positions": True, "cosine_attention": True}])
def test_blocks_of_causal_attention_change_nothing(changes):
    attention = FlaxBartAttention(dataclasses.replace(CONFIG, layout=Layout(init_std=0.5, **changes)), "decoder")
    x = np.random.default_rng(0).normal(size=(2, LENGTH, 8)).astype(np.float32)
    positions = np.arange(LENGTH)

    def read(params, x, mask):
        def whole(module):
            return module(x, *module.keys_values(x), mask, positions)

        return attention.apply(params, method=whole)

    params = jax.jit(partial(attention.init, method=lambda m: m(x, *m.keys_values(x), None, positions)))(
        jax.random.key(0)
    )

    @jax.jit
    def blocks_and_plain(params, x):
        return [read(params, x, mask) for mask in (None, positions <= positions[:, None])]

    blocks, plain = blocks_and_plain(params, x)
    np.testing.assert_allclose(blocks, plain, rtol=1e-4, atol=2e-5)
    later = x.copy()
    later[:, BLOCK + 3 :] += 1.0
    changed, _ = blocks_and_plain(params, later)
    np.testing.assert_array_equal(changed[:, : BLOCK + 3], blocks[:, : BLOCK + 3])
    assert not np.allclose(changed[:, BLOCK + 3], blocks[:, BLOCK + 3])


@pytest.mark.parametrize("length", [0.0, 1e-12, 1e-9, 1e-8, 1e-7, 1e-3, 1.0, 1e9])
def test_vectors_of_any_length_have_a_direction_and_a_finite_gradient(length):
    x = np.random.default_rng(0).normal(size=(3, 5))
    x = (length * x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)
    wanted = x.astype(np.float64) / (np.linalg.norm(x.astype(np.float64), axis=1, keepdims=True) + 1e-8)
    found, gradients = jax.jit(lambda x: (unit(x), jax.jacobian(unit)(x)))(x)
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-7)
    assert np.isfinite(gradients).all()
