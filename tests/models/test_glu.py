import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_activations import CLOSED_FORMS

from lib.config_tree import replace
from lib.errors import EaselError
from lib.models.glu import BLOCKS, FFN, GLU, matched_width
from lib.models.layout import Layout

PLAIN = Layout(norm_placement="postln")  # no norms inside the block


def built(layout, width=8, inner=12):
    """A block with random parameters of size about 1, and an input."""
    block = (GLU if layout.gated else FFN)(layout, width, inner)
    generator = np.random.default_rng(0)
    x = generator.standard_normal((2, 5, width)).astype(np.float32)
    leaves, structure = jax.tree.flatten(jax.eval_shape(block.init, jax.random.key(0), x))
    leaves = [generator.standard_normal(leaf.shape).astype(np.float32) for leaf in leaves]
    return block, jax.tree.unflatten(structure, leaves), x


def applied(layout):
    """The block's output, and its weights and input."""
    block, params, x = built(layout)
    return jax.jit(block.apply)(params, x), params["params"], x


def closed_form(layout, weights, x):
    """The block in numpy, for layouts without biases in the products."""

    def norm(values, name):
        centred = values - values.mean(-1, keepdims=True)
        normed = centred / np.sqrt(centred.var(-1, keepdims=True) + 1e-5)
        return normed * weights[name].get("scale", 1.0) + weights[name]["bias"]

    names = iter(f"LayerNorm_{number}" for number in range(2))
    x = x.astype(np.float64)
    if layout.norm_placement in ("normformer", "preln", "cogview", "subln"):
        x = norm(x, next(names))
    inner = CLOSED_FORMS[layout.activation](x @ weights["Dense_0"]["kernel"])
    if layout.gated:
        inner = inner * (x @ weights["Dense_1"]["kernel"])
    if layout.norm_placement in ("normformer", "subln"):
        inner = norm(inner, next(names))
    x = inner @ weights[f"Dense_{1 + layout.gated}"]["kernel"]
    if layout.norm_placement in ("cogview", "swinv2"):
        x = norm(x, next(names))
    return x


@pytest.mark.parametrize("name", BLOCKS)
def test_the_eight_blocks_of_the_paper_are_their_equations(name):
    gated, activation = BLOCKS[name]
    layout = replace(PLAIN, gated=gated, activation=activation)
    out, weights, x = applied(layout)
    assert set(weights) == {f"Dense_{number}" for number in range(3 if gated else 2)}
    np.testing.assert_allclose(out, closed_form(layout, weights, x), atol=1e-4)


@pytest.mark.parametrize("gated", [True, False])
@pytest.mark.parametrize("placement", ["normformer", "preln", "cogview", "subln", "swinv2"])
def test_norms_stand_where_the_placement_puts_them(placement, gated):
    layout = Layout(gated=gated, norm_placement=placement)
    out, weights, x = applied(layout)
    np.testing.assert_allclose(out, closed_form(layout, weights, x), atol=2e-4)


def test_only_norms_that_feed_no_product_have_a_scale_unless_forced():
    def scales(layout):
        return {
            name: set(leaves) for name, leaves in built(layout)[1]["params"].items() if not name.startswith("Dense")
        }

    assert scales(Layout()) == {"LayerNorm_0": {"bias"}, "LayerNorm_1": {"bias"}}
    assert scales(Layout(norm_placement="cogview"))["LayerNorm_1"] == {"bias", "scale"}
    assert scales(Layout(force_norm_scale=True))["LayerNorm_1"] == {"bias", "scale"}
    assert scales(Layout(norm="rmsnorm")) == {}  # RMSNorm has no bias, and here no scale
    assert scales(Layout(norm="rmsnorm", norm_placement="cogview")) == {"RMSNorm_1": {"scale"}}


def test_biases_are_added_to_every_product():
    layout = replace(PLAIN, bias=True, activation="identity")
    out, weights, x = applied(layout)
    first, second, last = (weights[f"Dense_{number}"] for number in range(3))
    inner = (x @ first["kernel"] + first["bias"]) * (x @ second["kernel"] + second["bias"])
    np.testing.assert_allclose(out, inner @ last["kernel"] + last["bias"], atol=1e-4)


@pytest.mark.parametrize("rate", ["dropout", "activation_dropout"])
def test_each_dropout_rate_alone_acts(rate):
    block, params, x = built(replace(PLAIN, **{rate: 0.5}))
    drop = jax.jit(lambda key: (block.apply(params, x), block.apply(params, x, False, rngs={"dropout": key})))
    (still, first), (_, second) = drop(jax.random.key(0)), drop(jax.random.key(1))
    assert np.abs(first - still).max() > 1e-2 and np.abs(first - second).max() > 1e-2
    if rate == "dropout":  # of the output: half of it is gone, the rest doubled
        kept = np.asarray(first) != 0
        assert 0.2 < kept.mean() < 0.8
        np.testing.assert_allclose(first[kept], 2 * still[kept], rtol=1e-5)


def test_without_dropout_no_randomness_is_asked_for():
    block, params, x = built(PLAIN)
    np.testing.assert_array_equal(*jax.jit(lambda: (block.apply(params, x, False), block.apply(params, x)))())


def test_initial_weights_have_the_gain():
    block = GLU(PLAIN, 64, 96, gain=0.25)
    for leaf in jax.tree.leaves(jax.jit(block.init)(jax.random.key(0), jnp.zeros((1, 64)))):
        np.testing.assert_allclose(np.std(leaf), 0.02 * 0.25, rtol=0.05)


def test_matched_gated_blocks_have_the_parameters_of_plain_ones():
    def count(layout, width, inner):
        block = (GLU if layout.gated else FFN)(layout, width, inner)
        shapes = jax.eval_shape(block.init, jax.random.key(0), jnp.zeros((1, width)))
        return sum(leaf.size for leaf in jax.tree.leaves(shapes))

    for width, inner in ((96, 384), (1024, 4096)):
        plain = count(Layout(gated=False), width, inner)
        for gated, activation in BLOCKS.values():
            layout = Layout(gated=gated, activation=activation)
            matched = count(layout, width, matched_width(inner) if gated else inner)
            assert 0.99 * plain <= matched <= plain
        assert count(Layout(), width, inner) > 1.45 * plain  # the trap: "mini" with gates at full width


def test_matched_width_is_two_thirds_rounded_down():
    assert matched_width(3072) == 2048  # Shazeer
    assert matched_width(4096) == 2730  # DALL·E Mini
    assert matched_width(384, multiple=32) == 256 and matched_width(512, multiple=32) == 320
    with pytest.raises(EaselError, match="width of 16 has no matched gated width in multiples of 32"):
        matched_width(16, multiple=32)
