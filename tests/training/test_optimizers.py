from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from lib.errors import EaselError
from lib.training.optimizers import muon_matrices, optimizer, per_layer, schedule

GENERATOR = np.random.default_rng(0)


def normal(*shape):
    return GENERATOR.normal(size=shape).astype(np.float32)


# The names of a DALL·E Mini with two stacked encoder layers and one decoder layer that stands alone.
PARAMS = {
    "model": {
        "encoder": {
            "embed_tokens": {"embedding": normal(5, 4)},
            "FlaxBartEncoderLayers": {"q_proj": {"kernel": normal(2, 4, 6)}, "LayerNorm_0": {"scale": normal(2, 4)}},
        },
        "decoder": {"FlaxBartDecoderLayer_0": {"GLU_0": {"Dense_0": {"kernel": normal(6, 4), "bias": normal(4)}}}},
    },
    "lm_head": {"kernel": normal(4, 5)},
}
GRADIENTS = jax.tree.map(lambda leaf: normal(*leaf.shape), PARAMS)
RATES = {"adamw": (0.1, None), "adafactor": (0.3, None), "muon": (0.1, 0.1)}


def updated(rule, params=PARAMS, gradients=GRADIENTS):
    # Jitted as a whole: one by one, compiling the operations takes far longer.
    return jax.jit(lambda params, gradients: rule.update(gradients, rule.init(params), params)[0])(params, gradients)


@pytest.mark.parametrize("name", RATES)
def test_each_optimizer_lowers_the_loss(name):
    rate, adam_rate = RATES[name]
    rule = optimizer(name, rate, warmup=5, steps=60, decay=0.5, adam_learning_rate=adam_rate)

    def loss(params):
        return sum(((leaf - 1) ** 2).mean() for leaf in jax.tree.leaves(params))

    @jax.jit
    def train(params):
        def one(state, _):
            params, optimizer_state = state
            value, gradients = jax.value_and_grad(loss)(params)
            changes, optimizer_state = rule.update(gradients, optimizer_state, params)
            return (optax.apply_updates(params, changes), optimizer_state), value

        return jax.lax.scan(one, (params, rule.init(params)), length=60)[1]

    losses = train(PARAMS)
    assert losses[1] == losses[0]  # the warm-up starts from 0
    assert losses[-1] < 0.3 * losses[0]


def test_muon_takes_hidden_kernels_and_nothing_else():
    assert sorted(jax.tree.leaves(muon_matrices(PARAMS))) == ["adamw"] * 4 + ["muon"] * 2
    rule = optimizer("muon", 1.0, 0, 10, 0.0, adam_learning_rate=1e-3)
    changes = updated(rule)
    layers = changes["model"]["encoder"]["FlaxBartEncoderLayers"]
    dense = changes["model"]["decoder"]["FlaxBartDecoderLayer_0"]["GLU_0"]["Dense_0"]
    # Muon: every singular value about 1 (times the root of a matrix's width over its height, if above 1), layer by
    # layer. AdamW's first step: every element is the learning rate times 1 + 0.9 · 0.1 / 0.19 (Nesterov, β₁ 0.9).
    for layer in layers["q_proj"]["kernel"]:
        values = np.linalg.svd(layer, compute_uv=False) / (6 / 4) ** 0.5
        assert (values > 0.6).all() and (values < 1.3).all()
    values = np.linalg.svd(dense["kernel"], compute_uv=False)
    assert (values > 0.6).all() and (values < 1.3).all()
    others = (changes["lm_head"], changes["model"]["encoder"]["embed_tokens"], layers["LayerNorm_0"], dense["bias"])
    for leaf in jax.tree.leaves(others):
        np.testing.assert_allclose(abs(leaf), 1e-3 * (1 + 0.9 * 0.1 / 0.19), rtol=1e-3)


def test_stacked_layers_are_updated_like_single_ones():
    def single(tree):
        encoder = tree["model"]["encoder"]
        parts = {
            f"layer_{i}": jax.tree.map(lambda leaf, i=i: leaf[i], encoder["FlaxBartEncoderLayers"]) for i in (0, 1)
        }
        return {"embed_tokens": encoder["embed_tokens"], **parts}

    factored = optax.adafactor(0.1, min_dim_size_to_factor=2)
    rules = [per_layer(factored), optimizer("adamw", 0.1, 0, 10, 0.0), optimizer("muon", 0.1, 0, 10, 0.0, 0.1)]
    for rule in rules:
        encoder_only = [{"model": {"encoder": tree["model"]["encoder"]}} for tree in (PARAMS, GRADIENTS)]
        stacked = single(updated(rule, *encoder_only))
        alone = updated(rule, *map(single, (PARAMS, GRADIENTS)))
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), stacked, alone)
    # Without it Adafactor reads the stack as a whole, which is something else.
    wrong = single(updated(factored, *encoder_only))["layer_0"]["q_proj"]["kernel"]
    assert not np.allclose(wrong, single(updated(rules[0], *encoder_only))["layer_0"]["q_proj"]["kernel"], rtol=1e-2)


def test_gradients_are_clipped_to_a_global_norm_of_one():
    @partial(jax.jit, static_argnums=0)
    def second(name, size):
        rate, adam_rate = RATES[name]
        rule = optimizer(name, rate, 0, 10, 0.0, adam_rate)
        first = jax.tree.map(lambda leaf: size * leaf, GRADIENTS)
        _, state = rule.update(first, rule.init(PARAMS), PARAMS)
        return rule.update(GRADIENTS, state, PARAMS)[0]

    # A gradient 10 times as large is the same after clipping, and so is all that follows.
    for name in ("adamw", "muon"):
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4), second(name, 1.0), second(name, 10.0))


@pytest.mark.parametrize(
    ("warmup", "decay", "steps", "rates"),
    [
        (10, 0.5, (0, 5, 10, 50, 75, 100), (0, 0.5, 1, 1, 0.5, 0)),
        (10, 0.0, (0, 5, 10, 50, 99, 1000), (0, 0.5, 1, 1, 1, 1)),  # DALL·E Mega's: constant
        (0, 0.2, (0, 1, 80, 90, 100), (1, 1, 1, 0.5, 0)),
        (20, 1.0, (10, 20, 60, 100), (0.5, 1, 0.5, 0)),  # the fall waits for the warm-up
    ],
)
def test_learning_rate_warms_up_stays_and_falls(warmup, decay, steps, rates):
    rate = schedule(2.0, warmup, 100, decay)
    np.testing.assert_allclose([rate(step) for step in steps], 2 * np.array(rates), atol=1e-6)
    np.testing.assert_allclose(jax.vmap(rate)(jnp.array(steps)), 2 * np.array(rates), atol=1e-6)


def test_wrong_settings_are_refused():
    with pytest.raises(EaselError, match="no optimizer 'sgd'; choose one of adamw, adafactor, muon"):
        optimizer("sgd", 0.1, 0, 10, 0.0)
    with pytest.raises(EaselError, match="adam_learning_rate belongs to the optimizer muon"):
        optimizer("muon", 0.1, 0, 10, 0.0)
    with pytest.raises(EaselError, match="adam_learning_rate belongs to the optimizer muon"):
        optimizer("adamw", 0.1, 0, 10, 0.0, adam_learning_rate=0.1)
    with pytest.raises(EaselError, match="warm-up of 10 steps does not fit a training of 10"):
        schedule(1.0, 10, 10, 0.0)
    with pytest.raises(EaselError, match=r"share of 1\.5"):
        schedule(1.0, 1, 10, 1.5)
