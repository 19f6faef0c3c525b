"""Layers of DALL·E Mini and their stacks, in every norm placement of `Layout`, with the original's parameter names.

Teacher-forced passes and cached one-token steps share the same layers: with a cache, a layer's keys and values come
from the cache, without one, from its input.
"""

import itertools
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from lib.models.bart_attention import FlaxBartAttention
from lib.models.bart_parts import NORMS, norm
from lib.models.glu import FFN, GLU
from lib.models.layout import DalleMiniConfig, Layout, Side


class Cache(NamedTuple):
    """What one-token steps remember, for B rows, T image and S text positions, H heads of width D.

    One pair (keys, values) of arrays for each decoder layer. Heads lie before positions and layers are apart, so that
    a step reads the cache as it lies: [L, B, T, H, D] in one array costs a copy a step, and more time for it.
    """

    own: tuple[tuple[jax.Array, jax.Array], ...]  # [B, H, T, D], of the image tokens read so far
    text: tuple[tuple[jax.Array, jax.Array], ...]  # [B, H, S, D], of the caption, computed once
    text_mask: jax.Array  # bool [B, 1, 1, S], True where the caption has a token


def identity(x: jax.Array) -> jax.Array:
    return x


class Norms(NamedTuple):
    """Norms around one attention f of residual stream x: last(x + after(f(before(x)))); `identity` where none."""

    before: Callable = identity
    after: Callable = identity
    last: Callable = identity


def norm_names(layout: Layout) -> Iterator[str]:
    """LayerNorm_0, LayerNorm_1, …: the original numbers the norms of a layer in the order in which they act."""
    return (f"{NORMS[layout.norm].__name__}_{number}" for number in itertools.count())


def attention_norms(layout: Layout, side: Side, names: Iterator[str]) -> Norms:
    """The norms that the layout's placement puts around an attention of `side`."""
    placement, norms = layout.norm_placement, Norms()
    if layout.norm_before and not (placement == "subln" and side == "decoder"):
        norms = norms._replace(before=norm(layout, feeds_product=True, name=next(names)))
    if placement in ("normformer", "cogview", "swinv2"):
        norms = norms._replace(after=norm(layout, feeds_product=False, name=next(names)))
    if placement == "postln":
        norms = norms._replace(last=norm(layout, feeds_product=False, name=next(names)))
    return norms


class Layer(nn.Module):
    """What encoder and decoder layers have in common: the feed-forward block and the closing norm.

    Attributes:
        index: of the layer in its stack; the last one, and every sixth, may end differently.
    """

    config: DalleMiniConfig
    index: int
    side: ClassVar[Side]

    def setup_common(self, names: Iterator[str]) -> None:
        config, layout = self.config, self.config.layout
        block = GLU if layout.gated else FFN
        gain = config.initial_gain(self.side)
        self.block = block(layout, config.width, config.feed_forward, gain, name=f"{block.__name__}_0")
        scale = config.closing_norm(self.side, self.index)
        self.closing = identity if scale is None else norm(layout, feeds_product=not scale, name=next(names))
        self.dropout = nn.Dropout(layout.dropout)

    def join(self, x: jax.Array, y: jax.Array, norms: Norms, deterministic: bool) -> jax.Array:
        """Residual stream x and an attention's output y, both [B, T, width] → the new stream."""
        y = self.dropout(norms.after(y), deterministic)
        return norms.last(x * self.config.residual_scale(self.side) + y)

    def feed_forward(self, x: jax.Array, deterministic: bool) -> jax.Array:
        return self.closing(x * self.config.residual_scale(self.side) + self.block(x, deterministic))


class FlaxBartEncoderLayer(Layer):
    """Self-attention over the caption, then the feed-forward block."""

    side = "encoder"

    def setup(self):
        names = norm_names(self.config.layout)
        self.own_norms = attention_norms(self.config.layout, self.side, names)
        self.FlaxBartAttention_0 = FlaxBartAttention(self.config, self.side)
        self.setup_common(names)

    def __call__(self, x: jax.Array, mask: jax.Array, deterministic: bool = True) -> jax.Array:
        """[B, S, width] → the same; `mask` bool [B, 1, 1, S] is True where the caption has a token."""
        attention, normed = self.FlaxBartAttention_0, self.own_norms.before(x)
        positions = jnp.arange(x.shape[1])
        y = attention(normed, *attention.keys_values(normed), mask, positions, deterministic)
        return self.feed_forward(self.join(x, y, self.own_norms, deterministic), deterministic)


class FlaxBartDecoderLayer(Layer):
    """Causal self-attention, attention to the caption, then the feed-forward block."""

    side = "decoder"

    def setup(self):
        names = norm_names(self.config.layout)
        self.own_norms = attention_norms(self.config.layout, self.side, names)
        self.text_norms = attention_norms(self.config.layout, self.side, names)
        self.FlaxBartAttention_0 = FlaxBartAttention(self.config, self.side)
        self.FlaxBartAttention_1 = FlaxBartAttention(self.config, self.side, cross=True)
        self.setup_common(names)

    def __call__(self, x: jax.Array, text: jax.Array, text_mask: jax.Array, deterministic: bool = True) -> jax.Array:
        """All positions at once: x [B, T, width], the encoder's output [B, S, width] → [B, T, width]."""
        positions = jnp.arange(x.shape[1])
        own, text = self.own_keys_values(x), self.text_keys_values(text)
        return self._attend(x, own, None, text, text_mask, positions, deterministic)

    def step(self, x: jax.Array, position: jax.Array, own, text, text_mask) -> tuple[jax.Array, tuple]:
        """One position, x [B, 1, width], with `own` and `text` pairs (keys, values) of this layer from a `Cache`.

        Returns:
            [B, 1, width] and `own` with this position in it.
        """
        new = self.own_keys_values(x)  # two of [B, H, 1, D]
        own = tuple(jax.lax.dynamic_update_slice_in_dim(*pair, position, axis=2) for pair in zip(own, new, strict=True))
        mask = jnp.arange(own[0].shape[2]) <= position  # [T]
        return self._attend(x, own, mask, text, text_mask, jnp.reshape(position, 1), deterministic=True), own

    def text_keys_values(self, text: jax.Array) -> tuple[jax.Array, jax.Array]:
        """The encoder's output [B, S, width] → keys and values [B, H, S, D] of the attention to the caption."""
        return self.FlaxBartAttention_1.keys_values(text)

    def own_keys_values(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        """The layer's input [B, T, width] → keys and values [B, H, T, D] of its self-attention."""
        return self.FlaxBartAttention_0.keys_values(self.own_norms.before(x))

    def _attend(self, x, own, mask, text, text_mask, positions, deterministic: bool) -> jax.Array:
        y = self.FlaxBartAttention_0(self.own_norms.before(x), *own, mask, positions, deterministic)
        x = self.join(x, y, self.own_norms, deterministic)
        y = self.FlaxBartAttention_1(self.text_norms.before(x), *text, text_mask, positions, deterministic)
        return self.feed_forward(self.join(x, y, self.text_norms, deterministic), deterministic)


class LayerCollection(nn.Module):
    """A stack of layers: one after the other, or one layer scanned over stacked parameters."""

    config: DalleMiniConfig
    layer: ClassVar[type[Layer]]

    def setup(self):
        name = self.layer.__name__
        if self.config.layout.scan:
            self.layers = (self.layer(self.config, 0, name=f"{name}s"),)
        else:
            count = self.config.layers(self.layer.side)
            self.layers = tuple(self.layer(self.config, index, name=f"{name}_{index}") for index in range(count))

    def __call__(self, x: jax.Array, *context: jax.Array, deterministic: bool = True) -> jax.Array:
        """Runs all layers on x [B, T, width]; `context` goes to every layer."""
        layout = self.config.layout

        def one(layer, x, *context):
            return layer(x, *context, deterministic)

        if layout.remat:
            one = nn.remat(one, prevent_cse=not layout.scan)
        if layout.scan:
            scanned = nn.scan(
                lambda layer, x, *context: (one(layer, x, *context), None),
                variable_axes={"params": 0},
                split_rngs={"params": True, "dropout": True},
                in_axes=nn.broadcast,
                length=self.config.layers(self.layer.side),
            )
            return scanned(self.layers[0], x, *context)[0]
        for layer in self.layers:
            x = one(layer, x, *context)
        return x


class FlaxBartEncoderLayerCollection(LayerCollection):
    layer = FlaxBartEncoderLayer


class FlaxBartDecoderLayerCollection(LayerCollection):
    layer = FlaxBartDecoderLayer

    def text_keys_values(self, text: jax.Array) -> tuple[tuple[jax.Array, jax.Array], ...]:
        """[B, S, width] → for every layer, keys and values [B, H, S, D]."""
        return tuple(layer.text_keys_values(text) for layer in self._apart())

    def step(self, x: jax.Array, position: jax.Array, cache: Cache) -> tuple[jax.Array, Cache]:
        """One position: x [B, 1, width]; `cache` holds the positions before it and is returned with this one."""
        grown = []
        for layer, own, text in zip(self._apart(), cache.own, cache.text, strict=True):
            x, own = layer.step(x, position, own, text, cache.text_mask)
            grown.append(own)
        return x, cache._replace(own=tuple(grown))

    def _apart(self) -> tuple[Any, ...]:
        """The layers one by one, also where their parameters are stacked."""
        if not self.config.layout.scan:
            return self.layers
        stacked = self.variables["params"][self.layers[0].name]
        layer = FlaxBartDecoderLayer(self.config, 0, parent=None)
        return tuple(
            layer.bind({"params": jax.tree.map(lambda leaf, index=index: leaf[index], stacked)})
            for index in range(self.config.decoder_layers)
        )
