"""Every layout: cached generation, causality, padding; and what each switch of `Layout` changes.

Mostly not jitted: XLA would compile each of thirty networks for seconds, while single operations are compiled once
for all of them. (The jitted default network has its tests in test_dalle_mini.py.)
"""

import dataclasses
import math
import zlib
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lib.config_tree import replace
from lib.errors import EaselError
from lib.models import dalle_mini
from lib.models.bart_attention import FlaxBartAttention, sinkhorn
from lib.models.dalle_mini import DalleMini
from lib.models.layout import Layout
from tests.models.tiny_dalle_mini import NETWORK

CONFIG = dataclasses.replace(NETWORK, image_length=4)
PLACEMENTS = ("normformer", "preln", "postln", "cogview", "subln", "swinv2")
SWITCHES = {
    "head scale": Layout(head_scale=True),
    "cosine attention": Layout(cosine_attention=True),
    "temperature of cosine attention": Layout(cosine_attention=True, tau_init=0.5),
    "rmsnorm": Layout(norm="rmsnorm", norm_placement="cogview"),
    "forced norm scale": Layout(force_norm_scale=True),
    "deepnet": Layout(deepnet_scaling=True, norm_placement="postln"),
    "subln_init": Layout(subln_init=True, norm_placement="subln"),
    "sinkhorn": Layout(sinkhorn_iterations=3),
    "sinkhorn with padding": Layout(sinkhorn_iterations=3, sinkhorn_padding=True),
    "scaled embeddings": Layout(scale_embedding=True),
    "bias": Layout(bias=True),
    "swin positions": Layout(swin_positions=True),
    "no absolute positions": Layout(absolute_positions=False),
    "no final norm of the encoder": Layout(final_norm_encoder=False),
    "no final norm of the decoder": Layout(final_norm_decoder=False),
    "smelu": Layout(activation="smelu"),
    "remat": Layout(remat=True),
    "scan": Layout(scan=True),
    "scan, postln": Layout(scan=True, norm_placement="postln"),
    "bfloat16": Layout(compute_dtype="bfloat16"),
}
LAYOUTS = {
    f"{placement}, {'glu' if gated else 'ffn'}": Layout(gated=gated, norm_placement=placement)
    for placement in PLACEMENTS
    for gated in (True, False)
} | SWITCHES


def batch():
    """Row 1 is row 0 with another image token at position 1; row 2 is a caption without padding."""
    generator = np.random.default_rng(2)
    text = generator.integers(1, 20, (3, 6)).astype(np.int32)
    text[:2] = [5, 3, 7, 0, 0, 0]
    image = generator.integers(0, 11, (3, 4)).astype(np.int32)
    image[1] = image[0]
    image[1, 1] = (image[0, 1] + 1) % CONFIG.codes
    return text, image


def config_of(layout):
    return dataclasses.replace(CONFIG, layout=layout)


def random_params(layout):
    """Weights far enough from 0 for every part to matter; a name gets the same values in every layout that has it."""
    if layout.scan:
        return stacked(random_params(replace(layout, scan=False)), layout)

    def draw(path, leaf):
        name = jax.tree_util.keystr(path)
        generator = np.random.default_rng(zlib.crc32(name.encode()))
        noise = 0.3 * generator.standard_normal(leaf.shape, np.float32)
        return jnp.asarray(1 + noise if name.endswith("scale']") else noise)

    return jax.tree_util.tree_map_with_path(draw, dalle_mini.shapes(config_of(layout)))


def stacked(params, layout):
    """The same weights in the scanned layout; a norm without scale becomes one with scale 1."""
    template = dalle_mini.shapes(config_of(layout))["params"]["model"]
    model = {}
    for side, kind in (("encoder", "Encoder"), ("decoder", "Decoder")):
        tree = params["params"]["model"][side]
        layers = [tree["layers"][f"FlaxBart{kind}Layer_{i}"] for i in range(len(tree["layers"]))]

        def stack(path, leaf, layers=layers):
            parts = []
            for layer in layers:
                for key in path:
                    layer = layer.get(key.key, np.ones(leaf.shape[1:], np.float32) if key.key == "scale" else None)
                parts.append(layer)
            return jnp.stack(parts)

        name = f"FlaxBart{kind}Layers"
        one = jax.tree_util.tree_map_with_path(stack, template[side]["layers"][name])
        model[side] = tree | {"layers": {name: one}}
    return {"params": params["params"] | {"model": model}}


@cache
def run(layout):
    """(teacher-forced logits, those of cached steps, teacher-forced ones with another vector for padding)."""
    model, params = DalleMini(config_of(layout)), random_params(layout)
    text, image = batch()

    full, steps = model.apply(params, text, image), []
    previous, state = np.full(3, CONFIG.codes), model.apply(params, text, method="start")
    for position in range(CONFIG.image_length):
        logits, state = model.apply(params, previous, np.int32(position), state, method="decode_step")
        steps.append(logits)
        previous = image[:, position]
    table = params["params"]["model"]["encoder"]["embed_tokens"]
    # (Not one that differs by a constant, which a norm takes out again.)
    table["embedding"] = table["embedding"].at[CONFIG.text_padding].set(table["embedding"][5])
    return np.asarray(full), np.stack(steps, axis=1), np.asarray(model.apply(params, text, image))


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_cached_steps_equal_the_teacher_forced_pass_which_is_causal_and_ignores_padding(layout):
    full, steps, other_padding = run(layout)
    single = layout.compute_dtype == "float32"
    assert full.dtype == np.float32 and np.ptp(full[..., :-1]) > 1  # the comparisons are not of zeros
    np.testing.assert_allclose(steps, full, atol=1e-4 if single else 0.1)
    np.testing.assert_array_equal(full[1, :2], full[0, :2])  # token 1 is first read at position 2
    assert (np.abs(full[1] - full[0])[2:].max(axis=-1) > 1e-3).all()
    # Padding is read by nothing, but for the original's Sinkhorn attention, where its rows take part.
    padded = other_padding - full
    if layout.sinkhorn_padding:
        assert np.abs(padded[:2]).max() > 1e-3
        padded = padded[2]  # a caption without padding
    np.testing.assert_allclose(padded, 0, atol=1e-5 if single else 0.1)
    assert (full[..., -1] < -1e8).all()  # BOS


@pytest.mark.parametrize("name", [name for name in SWITCHES if name not in ("remat", "bfloat16")])
def test_every_switch_changes_the_network(name):
    layout = SWITCHES[name]
    without = Layout(norm_placement=layout.norm_placement)
    if name == "temperature of cosine attention":
        without = Layout(cosine_attention=True)
    if name == "sinkhorn with padding":
        without = SWITCHES["sinkhorn"]
    if name.startswith("subln"):  # changes the initial weights alone
        assert config_of(layout).initial_gain("decoder") != config_of(without).initial_gain("decoder")
    elif name.startswith("scan"):
        assert jax.tree.structure(random_params(layout)) != jax.tree.structure(random_params(without))
    else:
        assert np.abs(run(layout)[0] - run(without)[0]).max() > 1e-2


def test_scan_remat_and_bfloat16_compute_the_same():
    expected = run(Layout())[0]
    np.testing.assert_allclose(run(Layout(scan=True))[0], expected, atol=1e-5)
    np.testing.assert_allclose(run(Layout(remat=True))[0], expected, atol=1e-5)
    single, half = expected[..., :-1], run(Layout(compute_dtype="bfloat16"))[0][..., :-1]
    assert 1e-4 < np.abs(half - single).max() < 0.05 * np.ptp(single)


def test_scanned_postln_is_the_unscanned_one_with_a_scale_of_1_at_the_end():
    scanned = run(Layout(scan=True, norm_placement="postln"))[0]
    np.testing.assert_allclose(scanned, run(Layout(norm_placement="postln"))[0], atol=1e-5)


def test_gradients_are_the_same_with_remat_and_scan():
    text, image = batch()

    def gradients(layout):
        model = DalleMini(config_of(layout))

        def loss(params):
            logits = model.apply(params, text, image)
            return -jnp.take_along_axis(jax.nn.log_softmax(logits), image[..., None], axis=-1).mean()

        # Compiled once, run once: not worth optimising.
        gradient = jax.jit(jax.grad(loss), compiler_options={"xla_backend_optimization_level": 0})
        return gradient(random_params(layout))

    def close(actual, desired):
        np.testing.assert_allclose(actual, desired, atol=1e-5)

    plain = gradients(Layout())
    jax.tree.map(close, gradients(Layout(remat=True)), plain)
    jax.tree.map(close, gradients(Layout(remat=True, scan=True)), stacked(plain, Layout(scan=True)))
    assert max(np.abs(leaf).max() for leaf in jax.tree.leaves(plain)) > 0.1


@pytest.mark.parametrize("scan", [False, True])
def test_remat_computes_layers_again_in_the_backward_pass(scan):
    def gradient(remat):
        model = DalleMini(config_of(Layout(remat=remat, scan=scan)))
        shapes = dalle_mini.shapes(model.config)
        return str(jax.make_jaxpr(jax.grad(lambda params: model.apply(params, *batch()).mean()))(shapes))

    layers = 2 if scan else CONFIG.encoder_layers + CONFIG.decoder_layers  # scanned, each side is one
    assert gradient(remat=True).count("remat") == layers
    assert "remat" not in gradient(remat=False)


@pytest.mark.parametrize(
    ("rate", "scan"),
    [("dropout", False), ("attention_dropout", False), ("activation_dropout", False), ("attention_dropout", True)],
)
def test_each_dropout_rate_alone_acts(rate, scan):
    layout = Layout(**{rate: 0.3}, scan=scan)
    model, params = DalleMini(config_of(layout)), random_params(layout)
    first, second = (
        np.asarray(model.apply(params, *batch(), False, rngs={"dropout": jax.random.key(seed)})) for seed in (0, 1)
    )
    still = run(Layout(scan=scan))[0]
    for one, other in ((first, second), (first, still), (second, still)):
        assert np.abs(one - other).max() > 1e-2


def test_dropout_rates_of_0_leave_the_network_as_it_is_and_ask_for_no_randomness():
    out = DalleMini(CONFIG).apply(random_params(Layout()), *batch(), False)
    np.testing.assert_allclose(out, run(Layout())[0], atol=1e-5)


@pytest.mark.parametrize(
    ("side", "place"),
    [
        ("encoder", "layernorm_embedding"),
        ("encoder", "FlaxBartAttention_0"),
        ("decoder", "layernorm_embedding"),
        ("decoder", "FlaxBartAttention_0"),
        ("decoder", "FlaxBartAttention_1"),
    ],
)
def test_dropout_acts_in_embeddings_and_in_every_attention_alone(side, place):
    rate = "dropout" if place == "layernorm_embedding" else "attention_dropout"
    layout = Layout(norm_placement="preln", **{rate: 0.5})
    model, (text, image) = DalleMini(config_of(layout)), batch()

    def silence(path, leaf):  # what other places, and feed-forward blocks, add to the residual stream
        name = jax.tree_util.keystr(path, simple=True, separator="/")
        alone = side in name and place in name
        return leaf if alone or not name.endswith(("out_proj/kernel", "Dense_2/kernel")) else 0 * leaf

    params = jax.tree_util.tree_map_with_path(silence, random_params(layout))

    def output(seed):
        rngs = {"dropout": jax.random.key(seed)}
        if side == "encoder":  # nothing reads it: the decoder's attention to it is silent
            return model.apply(params, text, False, method="encode", rngs=rngs)[0]
        return model.apply(params, text, image, False, rngs=rngs)

    assert np.abs(output(0) - output(1)).max() > 1e-2


def test_residual_scales_and_gains_are_those_of_the_papers():
    deep = dataclasses.replace(CONFIG, encoder_layers=6, decoder_layers=18, layout=Layout(deepnet_scaling=True))
    assert deep.residual_scale("encoder") == pytest.approx(0.81 * (6**4 * 18) ** (1 / 16))
    assert deep.residual_scale("decoder") == pytest.approx(54**0.25)
    assert deep.initial_gain("encoder") == pytest.approx(0.87 / (6**4 * 18) ** (1 / 16))
    assert deep.initial_gain("decoder", cross_attention=True) == pytest.approx(216**-0.25)
    magneto = dataclasses.replace(deep, layout=Layout(subln_init=True))
    assert magneto.initial_gain("encoder") == pytest.approx(math.sqrt(math.log(54) * math.log(12) / 3))
    assert magneto.initial_gain("decoder") == pytest.approx(math.sqrt(math.log(54)))
    assert magneto.initial_gain("decoder", cross_attention=True) == magneto.residual_scale("decoder") == 1
    assert CONFIG.initial_gain("encoder") == CONFIG.residual_scale("encoder") == 1


def test_initial_weights_have_the_standard_deviation_and_gain_of_the_layout():
    layout = Layout(deepnet_scaling=True, init_std=0.1, bias=True)
    config = dataclasses.replace(config_of(layout), width=64, text_vocabulary=90)
    attention = FlaxBartAttention(config, "decoder")
    x, mask, positions = jnp.zeros((1, 3, 64)), jnp.ones((3, 3), bool), jnp.arange(3)

    def call(module, x):
        return module(x, *module.keys_values(x), mask, positions)

    weights = jax.jit(lambda key: attention.init(key, x, method=call))(jax.random.key(0))["params"]
    gain = config.initial_gain("decoder")
    assert gain < 0.5
    for name, factor in (("q_proj", 1), ("k_proj", 1), ("v_proj", gain), ("out_proj", gain)):
        np.testing.assert_allclose(np.std(weights[name]["kernel"]), 0.1 * factor, rtol=0.06)
        assert not weights[name]["bias"].any()


def test_sinkhorn_weights_become_doubly_stochastic_over_the_words():
    scores = np.random.default_rng(0).standard_normal((1, 2, 5, 5)).astype(np.float32)
    mask = np.array([True, True, True, False, False])
    weights = np.asarray(jax.jit(lambda: sinkhorn(scores, mask & mask[:, None], 41))())
    np.testing.assert_allclose(weights.sum(axis=-1), np.broadcast_to(mask, (1, 2, 5)), atol=1e-5)
    np.testing.assert_allclose(weights.sum(axis=-2), np.broadcast_to(mask, (1, 2, 5)), atol=1e-4)
    once = np.asarray(jax.jit(lambda: sinkhorn(scores, np.ones((5, 5), bool), 1))())
    np.testing.assert_allclose(once, jax.nn.softmax(scores), atol=1e-6)


def names(layout, side="decoder", layers=2, index=0):
    config = dataclasses.replace(config_of(layout), encoder_layers=layers, decoder_layers=layers)
    tree = dalle_mini.shapes(config)["params"]["model"][side]["layers"]
    layer = tree[f"FlaxBart{side.title()}Layer_{index}"]
    return {name: set(leaves) for name, leaves in layer.items() if name.startswith(("LayerNorm", "RMSNorm"))}


def test_norms_are_numbered_and_scaled_as_in_the_original():
    bias, both = {"bias"}, {"bias", "scale"}

    def of(placement, side="decoder", **more):
        return list(names(Layout(norm_placement=placement), side, **more).values())

    assert of("preln") == [bias, bias] and of("preln", "encoder") == [bias]
    assert of("normformer") == of("cogview") == [bias, both, bias, both]
    assert of("postln", index=0) == [both, both, both] and of("postln", index=1) == [both, both, bias]
    assert of("subln") == [] and of("subln", "encoder") == [bias]
    assert of("swinv2", "encoder") == [both] and of("swinv2") == [both, both]
    sixth = {"layers": 7, "index": 5}
    assert of("swinv2", "encoder", **sixth) == [both, both] and of("swinv2", "encoder", layers=6, index=5) == [both]
    assert names(Layout(force_norm_scale=True))["LayerNorm_0"] == both
    assert names(Layout(norm="rmsnorm")) == {"RMSNorm_1": {"scale"}, "RMSNorm_3": {"scale"}}


def test_parameters_of_the_switches_have_the_names_of_the_original():
    layout = Layout(norm_placement="subln", head_scale=True, swin_positions=True, bias=True, gated=False)
    layer = dalle_mini.shapes(config_of(layout))["params"]["model"]["decoder"]["layers"]["FlaxBartDecoderLayer_1"]
    own, text = layer["FlaxBartAttention_0"], layer["FlaxBartAttention_1"]
    assert own["head_scale"].shape == (1, 1, 2, 1)
    assert own["rel_bias"]["embedding"].shape == (4, 8) and set(own["mid_layernorm"]) == {"bias", "scale"}
    assert text["rel_bias"]["embedding"].shape == (4, 12)
    assert set(text) == {"q_proj", "k_proj", "v_proj", "out_proj", "rel_bias", "head_scale"}
    assert set(layer["FFN_0"]) == {"LayerNorm_0", "LayerNorm_1", "Dense_0", "Dense_1"}
    assert set(text["q_proj"]) == set(layer["FFN_0"]["Dense_1"]) == {"kernel", "bias"}
    scanned = dalle_mini.shapes(config_of(Layout(scan=True)))["params"]["model"]["decoder"]
    assert set(scanned["layers"]) == {"FlaxBartDecoderLayers"}
    kernel = scanned["layers"]["FlaxBartDecoderLayers"]["FlaxBartAttention_0"]["q_proj"]["kernel"]
    assert kernel.shape == (2, 16, 16)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"activation": "tanh"}, "activation is 'tanh', must be one of relu, gelu"),
        ({"norm_placement": "deepnet"}, "norm_placement is 'deepnet', must be one of normformer"),
        ({"norm": "batchnorm"}, "must be one of layernorm, rmsnorm"),
        ({"compute_dtype": "float16"}, "must be one of float32, bfloat16"),
        ({"attention_dropout": 1.0}, r"attention_dropout is 1\.0, must be below 1"),
        ({"tau_init": 0.0}, r"tau_init is 0\.0, must be at least 1e-06"),
        ({"sinkhorn_iterations": 0}, "sinkhorn_iterations is 0, must be at least 1"),
        ({"sinkhorn_padding": True}, "sinkhorn_padding needs sinkhorn_iterations above 1"),
        ({"scan": True, "norm_placement": "swinv2"}, "scan needs layers that are all alike, but swinv2"),
        ({"norm_placement": "postln", "final_norm_decoder": False}, "final_norm_decoder cannot be switched off"),
        ({"deepnet_scaling": True, "subln_init": True}, "choose one"),
    ],
)
def test_impossible_layouts_are_refused_by_name(fields, message):
    with pytest.raises(EaselError, match=message):
        Layout(**fields)
