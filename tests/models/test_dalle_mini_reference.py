"""DALL·E Mini against a second forward pass, written here in plain numpy from the definition of the original.

That definition is `modeling.py` of dalle-mini 0.1.5, its last release. The pass takes one caption with one picture, one
head at a time, in float64, and reads parameters by the original's names. The networks are not jitted, as in
test_dalle_mini_layouts.py.
"""

import dataclasses
import itertools
import math
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict

from lib.models import bart_attention, bart_layers, dalle_mini, glu
from lib.models.dalle_mini import DalleMini, DalleMiniConfig
from lib.models.layout import Layout
from tests.models.tiny_dalle_mini import NETWORK

CONFIG = dataclasses.replace(NETWORK, encoder_layers=2, decoder_layers=3, padded_codes=2)
LAYOUTS = {
    **{name: Layout(norm_placement=name) for name in ("preln", "postln", "normformer", "cogview", "subln", "swinv2")},
    "deepnet": Layout(norm_placement="postln", deepnet_scaling=True),
    "ungated": Layout(gated=False),
    "ungated, cogview": Layout(gated=False, norm_placement="cogview"),
    "rmsnorm": Layout(norm="rmsnorm"),
    "rmsnorm, cogview": Layout(norm="rmsnorm", norm_placement="cogview"),
    "bias": Layout(bias=True),
    "head scale": Layout(head_scale=True),
    "cosine attention": Layout(cosine_attention=True, tau_init=0.15),
    "swin positions": Layout(swin_positions=True),
    "no absolute positions": Layout(absolute_positions=False),
    "forced norm scale": Layout(force_norm_scale=True),
    "no final norms": Layout(norm_placement="preln", final_norm_encoder=False, final_norm_decoder=False),
    "all of Swin v2": Layout(norm_placement="swinv2", cosine_attention=True, swin_positions=True, bias=True),
    "scaled embeddings": Layout(scale_embedding=True),
    **{
        f"sinkhorn, {count}": Layout(sinkhorn_iterations=count, sinkhorn_padding=True, norm_placement="preln")
        for count in (2, 3, 4)
    },
    "sinkhorn of cosines": Layout(
        sinkhorn_iterations=5, sinkhorn_padding=True, cosine_attention=True, tau_init=0.15, swin_positions=True
    ),
    **{name: Layout(activation=name) for name in ("relu", "gelu_tanh", "quick_gelu", "swish", "smelu_original")},
}
ACTIVATIONS = {
    "gelu": lambda x: x * (1 + np.vectorize(math.erf)(x / math.sqrt(2))) / 2,
    "gelu_tanh": lambda x: x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))) / 2,
    "quick_gelu": lambda x: x / (1 + np.exp(-1.702 * x)),
    "relu": lambda x: np.where(x > 0, x, 0),
    "swish": lambda x: x / (1 + np.exp(-x)),
    "smelu_original": lambda x: np.where(x >= 1, x, (np.where(x <= -1, 0, x) + 1) ** 2 / 4),
}
UNIT, SINKHORN = bart_attention.unit, bart_attention.sinkhorn
TOLERANCE = 1e-4  # of the logits' standard deviation


class Original:
    """The original's logits; `unread` holds the parameters not needed so far, `peaks` the last queries' top weights."""

    def __init__(self, params, config):
        self.config, self.layout, self.placement = config, config.layout, config.layout.norm_placement
        flat = flatten_dict(params["params"], sep="/")
        self.leaves = {name: np.asarray(leaf, np.float64) for name, leaf in flat.items()}
        self.unread, self.peaks = set(self.leaves), []

    def leaf(self, name):
        self.unread.discard(name)
        return self.leaves[name]

    def dense(self, name, x):
        return x @ self.leaf(f"{name}/kernel") + (self.leaf(f"{name}/bias") if self.layout.bias else 0)

    def norm(self, name, x, scale=True):
        centred = x if self.layout.norm == "rmsnorm" else x - x.mean(axis=-1, keepdims=True)
        x = centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + 1e-5)
        if scale or self.layout.force_norm_scale:
            x = x * self.leaf(f"{name}/scale")
        return x if self.layout.norm == "rmsnorm" else x + self.leaf(f"{name}/bias")

    def norms(self, name):
        kind = {"layernorm": "LayerNorm", "rmsnorm": "RMSNorm"}[self.layout.norm]
        return (f"{name}/{kind}_{number}" for number in itertools.count())

    def attention(self, name, x, source, visible, lengths):
        """x [Q, width] reads `source` [K, width] where `visible`, [K] or [Q, K]; `lengths` are the largest Q and K."""
        size = self.config.width // self.config.heads
        queries, keys = self.dense(f"{name}/q_proj", x), self.dense(f"{name}/k_proj", source)
        values, heads = self.dense(f"{name}/v_proj", source), []
        for head in range(self.config.heads):
            q, k, v = (product[:, head * size : (head + 1) * size] for product in (queries, keys, values))
            if self.layout.cosine_attention:
                q, k = (x / (np.linalg.norm(x, axis=1, keepdims=True) + 1e-8) for x in (q, k))
                scores = q @ k.T / self.layout.tau_init
            else:
                scores = q @ k.T / math.sqrt(size)
            if self.layout.swin_positions:
                table = self.leaf(f"{name}/rel_bias/embedding").reshape(*lengths, self.config.heads)
                scores = scores + table[: len(x), : len(source), head]
            weights = np.where(visible, np.exp(scores), 0)  # rows of padding too: only keys are hidden
            for iteration in range(self.layout.sinkhorn_iterations if "encoder" in name else 1):
                totals = weights.sum(axis=1 - iteration % 2, keepdims=True)  # rows and columns by turns
                weights = np.divide(weights, totals, out=np.zeros_like(weights), where=totals > 0)
            self.peaks.append(weights[-1].max())
            heads.append(weights @ v * (self.leaf(f"{name}/head_scale")[0, 0, head] if self.layout.head_scale else 1))
        out = np.concatenate(heads, axis=1)
        if self.placement == "subln" and "Attention_1" not in name:
            out = self.norm(f"{name}/mid_layernorm", out)
        return self.dense(f"{name}/out_proj", out)

    def feed_forward(self, layer, x):
        name = f"{layer}/{'GLU' if self.layout.gated else 'FFN'}_0"
        products, norms = (f"{name}/Dense_{number}" for number in itertools.count()), self.norms(name)
        if self.placement in ("preln", "normformer", "cogview", "subln"):
            x = self.norm(next(norms), x, scale=False)
        inner = self.dense(next(products), x)
        inner = ACTIVATIONS[self.layout.activation](inner)
        if self.layout.gated:
            inner = inner * self.dense(next(products), x)
        if self.placement in ("normformer", "subln"):
            inner = self.norm(next(norms), inner, scale=False)
        x = self.dense(next(products), inner)
        return self.norm(next(norms), x) if self.placement in ("cogview", "swinv2") else x

    def side(self, side, ids, *sources):
        """One stack; its attentions each read one of `sources`: (None for x itself, `visible`, largest length)."""
        count = self.config.encoder_layers if side == "encoder" else self.config.decoder_layers
        before = self.placement in ("preln", "normformer", "cogview") or (
            self.placement == "subln" and side == "encoder"
        )
        x = self.leaf(f"model/{side}/embed_tokens/embedding")[ids]
        if self.layout.scale_embedding:
            x = x * math.sqrt(self.config.width)
        if self.layout.absolute_positions:
            x = x + self.leaf(f"model/{side}/embed_positions/embedding")[: len(ids)]
        x = self.norm(f"model/{side}/layernorm_embedding", x)
        for index in range(count):
            name, last = f"model/{side}/layers/FlaxBart{side.title()}Layer_{index}", index == count - 1
            norms, alpha = self.norms(name), self.alpha(side)
            for number, (source, visible, source_length) in enumerate(sources):
                y = self.norm(next(norms), x, scale=False) if before else x
                read, lengths = y if source is None else source, (sources[0][2], source_length)
                y = self.attention(f"{name}/FlaxBartAttention_{number}", y, read, visible, lengths)
                if self.placement in ("normformer", "cogview", "swinv2"):
                    y = self.norm(next(norms), y)
                x = alpha * x + y
                if self.placement == "postln":
                    x = self.norm(next(norms), x)
            x = alpha * x + self.feed_forward(name, x)
            if self.placement == "postln" or (self.placement == "swinv2" and (index + 1) % 6 == 0 and not last):
                x = self.norm(next(norms), x, scale=not last)
        if self.placement != "postln" and getattr(self.layout, f"final_norm_{side}"):
            x = self.norm(f"model/{side}/final_ln", x, scale=False)
        return x

    def alpha(self, side):
        """The residual's factor in DeepNet (arXiv:2203.00555, figure 2)."""
        n, m = self.config.encoder_layers, self.config.decoder_layers
        if not self.layout.deepnet_scaling:
            return 1
        return 0.81 * (n**4 * m) ** (1 / 16) if side == "encoder" else (3 * m) ** (1 / 4)

    def logits(self, text_ids, image_ids):
        """Ids [S] and [T] → [T, codes]; the first input is BOS, the last token is never read."""
        words, past = text_ids != self.config.text_padding, np.tri(len(image_ids), dtype=bool)
        text = self.side("encoder", text_ids, (None, words, self.config.text_length))
        sources = (None, past, self.config.image_length), (text, words, self.config.text_length)
        x = self.side("decoder", np.append(self.config.codes, image_ids[:-1]), *sources)
        return (x @ self.leaf("lm_head/kernel"))[:, : self.config.codes]


def config_of(layout):
    layers = 7 if layout.norm_placement == "swinv2" else CONFIG.encoder_layers  # the sixth closes with a norm
    return dataclasses.replace(CONFIG, encoder_layers=layers, layout=layout)


def random_params(config, sharpness=1.0):
    """Far from any initialisation, so that attention is sharp and that every scale and bias matters.

    Queries and keys are multiplied by `sharpness`.
    """
    generator = np.random.default_rng(0)

    def draw(path, leaf):
        noise = 0.5 * generator.standard_normal(leaf.shape, np.float32)
        if path[-2].key in ("q_proj", "k_proj"):
            noise *= sharpness
        return jnp.asarray(1 + noise if path[-1].key in ("scale", "head_scale") else noise)

    return jax.tree_util.tree_map_with_path(draw, dalle_mini.shapes(config))


def batch():
    """Row 0 is a caption without padding, the others have some."""
    generator = np.random.default_rng(1)
    text = generator.integers(1, 20, (3, 6)).astype(np.int32)
    text[1, 2:] = text[2, 5:] = CONFIG.text_padding
    return text, generator.integers(0, CONFIG.codes, (3, 9)).astype(np.int32)


def compare(layout, text, image, jit=False, sharpness=1.0):
    """Largest error of the model's logits, as a share of their standard deviation, and the `Original` of the others."""
    config = config_of(layout)
    model, params = DalleMini(config), random_params(config, sharpness)
    original = Original(params, config)
    expected = np.stack([original.logits(*row) for row in zip(text, image, strict=True)])
    actual = (jax.jit(model.apply) if jit else model.apply)(params, text, image)[..., : CONFIG.codes]
    return np.abs(actual - expected).max() / expected.std(), original


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_logits_are_those_of_the_original(layout):
    error, original = compare(layout, *batch())
    assert error < TOLERANCE
    assert not original.unread
    assert np.mean(original.peaks) > 0.5  # attention is far from uniform


@pytest.mark.parametrize("length", [1e-9, 1e-8, 1e-7])
def test_cosines_of_short_vectors_are_those_of_the_original(length):
    """Around the 1e-8 that the original adds to the length, which is then all that makes attention sharp or not."""
    assert compare(LAYOUTS["cosine attention"], *batch(), sharpness=length)[0] < TOLERANCE


def test_short_captions_and_pictures_and_causal_attention_in_blocks_change_nothing(monkeypatch):
    monkeypatch.setattr(bart_attention, "BLOCK", 2)
    text, image = batch()
    assert compare(Layout(swin_positions=True), text[:, :5], image[:, :7], jit=True)[0] < TOLERANCE


def join_with_the_scale_on_the_wrong_term(self, x, y, norms, deterministic):
    return norms.last(x + self.config.residual_scale(self.side) * norms.after(y))


def unit_for_a_temperature_that_multiplies(x):
    return LAYOUTS["cosine attention"].tau_init * UNIT(x)  # of queries and keys: cos * tau**2 / tau


def read_one_token_ahead(self, queries, keys, values, positions, deterministic):
    return self._read(queries, keys, values, positions <= positions[:, None] + 1, positions, deterministic)


def scale_the_positions_too(self, ids, positions, deterministic=True):
    x = math.sqrt(self.config.width) * (self.embed_tokens(ids) + self.embed_positions(positions))
    return self.dropout(self.layernorm_embedding(x), deterministic)


def hide_the_rows_of_padding(scores, mask, count):
    return SINKHORN(scores, mask & mask.swapaxes(-1, -2), count)


def columns_first(scores, mask, count):
    square = jnp.broadcast_to(mask, scores.shape)
    return SINKHORN(scores.swapaxes(-1, -2), square.swapaxes(-1, -2), count).swapaxes(-1, -2)


def unit_of_a_square_root(x):
    return x * jax.lax.rsqrt(jnp.square(x).sum(axis=-1, keepdims=True) + 1e-12)


def test_another_norm_of_short_vectors_is_found(monkeypatch):
    monkeypatch.setattr(bart_attention, "unit", unit_of_a_square_root)
    assert compare(LAYOUTS["cosine attention"], *batch())[0] < TOLERANCE  # of long vectors it is the same
    assert compare(LAYOUTS["cosine attention"], *batch(), sharpness=1e-7)[0] > 100 * TOLERANCE


@pytest.mark.parametrize(
    ("layout", "target", "name", "planted"),
    [
        ("scaled embeddings", dalle_mini, "math", SimpleNamespace(sqrt=lambda width: 1.0)),
        ("scaled embeddings", dalle_mini.Stack, "embed", scale_the_positions_too),
        ("sinkhorn, 3", bart_attention, "sinkhorn", hide_the_rows_of_padding),
        ("sinkhorn, 3", bart_attention, "sinkhorn", lambda scores, mask, count: SINKHORN(scores, mask, count + 1)),
        ("sinkhorn, 3", bart_attention, "sinkhorn", columns_first),
        ("quick_gelu", glu, "ACTIVATIONS", glu.ACTIVATIONS | {"quick_gelu": glu.ACTIVATIONS["gelu"]}),
        ("deepnet", bart_layers.Layer, "join", join_with_the_scale_on_the_wrong_term),
        ("deepnet", DalleMiniConfig, "residual_scale", lambda self, side: (3 * self.decoder_layers) ** 0.25),
        ("preln", bart_attention, "math", SimpleNamespace(sqrt=lambda size: 1.0)),
        ("preln", bart_attention.FlaxBartAttention, "_read_causally", read_one_token_ahead),
        ("cosine attention", bart_attention, "unit", lambda x: x),
        ("cosine attention", bart_attention, "unit", unit_for_a_temperature_that_multiplies),
    ],
    ids=[
        "embedding scale",
        "position scale",
        "sinkhorn's padding",
        "sinkhorn's count",
        "sinkhorn's order",
        "quick gelu",
        "residual scale",
        "encoder's scale",
        "head size",
        "causal mask",
        "cosine",
        "temperature",
    ],
)
def test_planted_bugs_are_found(monkeypatch, layout, target, name, planted):
    monkeypatch.setattr(target, name, planted)
    assert compare(LAYOUTS[layout], *batch())[0] > 100 * TOLERANCE
