"""DALL·E Mini: a BART-shaped encoder–decoder from caption to image tokens (Dayma et al. 2021–2022), in Flax.

The layout is the default one of the authors' repository: separate text and image vocabularies, learned absolute
positions, LayerNorm on the embeddings, NormFormer placement (Shleifer et al., arXiv:2110.09456), gated feed-forward
with the exact GELU on its first branch (Shazeer, arXiv:2002.05202), no biases in dense layers, a final LayerNorm in
encoder and decoder. A LayerNorm that feeds a Dense has no scale (the Dense would absorb it), only a bias.

Modules carry the names of the original's parameter tree (`model/encoder/layers/FlaxBartEncoderLayer_0/...`).
Everything is float32. Teacher-forced training and cached one-token steps share the same layers: with a cache, a
layer's keys and values come from the cache, without one, from its input.
"""

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from lib.errors import EaselError
from lib.training import checkpoint, jax_state

INIT_STD = 0.02  # of every weight matrix, as in the original
NEVER = -1e9  # a logit or score that softmax turns into exactly 0; finite, so that guidance cannot make NaN of it


@dataclass(frozen=True)
class DalleMiniConfig:
    """Shape of the network; the BOS id of the image side is `codes`."""

    text_vocabulary: int
    text_length: int
    text_padding: int  # id that fills captions up to text_length
    codes: int
    image_length: int
    width: int
    encoder_layers: int
    decoder_layers: int
    heads: int
    feed_forward: int

    def __post_init__(self):
        if self.width % self.heads:
            raise EaselError(f"DALL·E Mini: {self.heads} heads do not divide a width of {self.width}.")


class Cache(NamedTuple):
    """What one-token steps remember, for B rows, T image and S text positions, H heads of width D.

    One pair (keys, values) of arrays for each decoder layer. Heads lie before positions and layers are apart, so that
    a step reads the cache as it lies: [L, B, T, H, D] in one array costs a copy a step, and three times the time.
    """

    own: tuple[tuple[jax.Array, jax.Array], ...]  # [B, H, T, D], of the image tokens read so far
    text: tuple[tuple[jax.Array, jax.Array], ...]  # [B, H, S, D], of the caption, computed once
    text_mask: jax.Array  # bool [B, 1, 1, S], True where the caption has a token


class Dense(nn.Dense):
    """Dense over the last axis, computed as one product of two matrices.

    XLA's CPU backend runs the products of the backward pass of a [B, T, width] input at about half the speed of those
    of the same numbers as [B · T, width].
    """

    def __call__(self, x: jax.Array) -> jax.Array:
        return super().__call__(x.reshape(-1, x.shape[-1])).reshape(*x.shape[:-1], self.features)


def dense(features: int) -> Dense:
    return Dense(features, use_bias=False, kernel_init=nn.initializers.normal(INIT_STD))


def norm(scale: bool) -> nn.LayerNorm:
    return nn.LayerNorm(epsilon=1e-5, use_scale=scale)


class FlaxBartAttention(nn.Module):
    """Multi-head attention; keys and values are computed apart from the queries, so that they can be cached."""

    heads: int
    width: int

    def setup(self):
        self.q_proj, self.k_proj, self.v_proj, self.out_proj = (dense(self.width) for _ in range(4))

    def keys_values(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        """[B, T, width] → keys and values, both [B, H, T, D]."""
        return self._split(self.k_proj(x)), self._split(self.v_proj(x))

    def __call__(self, x: jax.Array, keys: jax.Array, values: jax.Array, mask: jax.Array) -> jax.Array:
        """Reads `values` where bool `mask`, broadcast to [B, H, Q, K], is True. [B, Q, width] → [B, Q, width]."""
        queries = self._split(self.q_proj(x)) / math.sqrt(self.width // self.heads)
        scores = jnp.einsum("bhqd,bhkd->bhqk", queries, keys)
        weights = nn.softmax(jnp.where(mask, scores, NEVER))
        out = jnp.einsum("bhqk,bhkd->bhqd", weights, values)
        return self.out_proj(out.swapaxes(1, 2).reshape(x.shape))  # [B, H, Q, D] → [B, Q, width]

    def _split(self, x: jax.Array) -> jax.Array:
        return x.reshape(*x.shape[:-1], self.heads, -1).swapaxes(1, 2)  # [B, T, width] → [B, H, T, D]


class GLU(nn.Module):
    """LayerNorm → gelu(x W0) * (x W1) → LayerNorm (NormFormer) → W2, all without biases in the products."""

    width: int
    inner: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        x = norm(scale=False)(x)
        gate = nn.gelu(dense(self.inner)(x), approximate=False)
        x = gate * dense(self.inner)(x)
        x = norm(scale=False)(x)
        return dense(self.width)(x)


class FlaxBartEncoderLayer(nn.Module):
    """Self-attention over the caption, then GLU."""

    config: DalleMiniConfig

    @nn.compact
    def __call__(self, x: jax.Array, mask: jax.Array) -> jax.Array:
        attention = FlaxBartAttention(self.config.heads, self.config.width)
        normed = norm(scale=False)(x)
        x = x + norm(scale=True)(attention(normed, *attention.keys_values(normed), mask))
        return x + GLU(self.config.width, self.config.feed_forward)(x)


class FlaxBartDecoderLayer(nn.Module):
    """Causal self-attention, attention to the caption, then GLU."""

    config: DalleMiniConfig

    def setup(self):
        self.FlaxBartAttention_0 = FlaxBartAttention(self.config.heads, self.config.width)
        self.FlaxBartAttention_1 = FlaxBartAttention(self.config.heads, self.config.width)
        self.LayerNorm_0, self.LayerNorm_1 = norm(scale=False), norm(scale=True)
        self.LayerNorm_2, self.LayerNorm_3 = norm(scale=False), norm(scale=True)
        self.GLU_0 = GLU(self.config.width, self.config.feed_forward)

    def text_keys_values(self, text: jax.Array) -> tuple[jax.Array, jax.Array]:
        """The encoder's output [B, S, width] → keys and values [B, H, S, D] of the attention to the caption."""
        return self.FlaxBartAttention_1.keys_values(text)

    def own_keys_values(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        """The layer's input [B, T, width] → keys and values [B, H, T, D] of its self-attention."""
        return self.FlaxBartAttention_0.keys_values(self.LayerNorm_0(x))

    def __call__(self, x, own, mask, text, text_mask) -> jax.Array:
        """One layer. `own` and `text` are pairs (keys, values) of the two attentions. [B, T, width] → the same."""
        x = x + self.LayerNorm_1(self.FlaxBartAttention_0(self.LayerNorm_0(x), *own, mask))
        x = x + self.LayerNorm_3(self.FlaxBartAttention_1(self.LayerNorm_2(x), *text, text_mask))
        return x + self.GLU_0(x)


class FlaxBartEncoderLayerCollection(nn.Module):
    config: DalleMiniConfig

    @nn.compact
    def __call__(self, x: jax.Array, mask: jax.Array) -> jax.Array:
        for _ in range(self.config.encoder_layers):
            x = FlaxBartEncoderLayer(self.config)(x, mask)
        return x


class FlaxBartDecoderLayerCollection(nn.Module):
    config: DalleMiniConfig

    def setup(self):
        self.names = tuple(f"FlaxBartDecoderLayer_{index}" for index in range(self.config.decoder_layers))
        for name in self.names:
            setattr(self, name, FlaxBartDecoderLayer(self.config))

    def text_keys_values(self, text: jax.Array) -> tuple[tuple[jax.Array, jax.Array], ...]:
        """[B, S, width] → for every layer, keys and values [B, H, S, D]."""
        return tuple(getattr(self, name).text_keys_values(text) for name in self.names)

    def __call__(self, x: jax.Array, text: jax.Array, text_mask: jax.Array) -> jax.Array:
        """All positions at once: x [B, T, width], text [B, S, width]."""
        length = x.shape[1]
        mask = jnp.tril(jnp.ones((1, 1, length, length), bool))
        for name in self.names:
            layer = getattr(self, name)
            x = layer(x, layer.own_keys_values(x), mask, layer.text_keys_values(text), text_mask)
        return x

    def step(self, x: jax.Array, position: jax.Array, cache: Cache) -> tuple[jax.Array, Cache]:
        """One position: x [B, 1, width]; `cache` holds the positions before it and is returned with this one."""
        mask = jnp.arange(cache.own[0][0].shape[2]) <= position  # [T]
        grown = []
        for name, own, text in zip(self.names, cache.own, cache.text, strict=True):
            layer = getattr(self, name)
            new = layer.own_keys_values(x)  # two of [B, H, 1, D]
            own = tuple(
                jax.lax.dynamic_update_slice_in_dim(*pair, position, axis=2) for pair in zip(own, new, strict=True)
            )
            x = layer(x, own, mask, text, cache.text_mask)
            grown.append(own)
        return x, cache._replace(own=tuple(grown))


class FlaxBartEncoder(nn.Module):
    config: DalleMiniConfig

    def setup(self):
        self.embed_tokens = embedding(self.config.text_vocabulary, self.config.width)
        self.embed_positions = embedding(self.config.text_length, self.config.width)
        self.layernorm_embedding = norm(scale=True)
        self.layers = FlaxBartEncoderLayerCollection(self.config)
        self.final_ln = norm(scale=False)

    def __call__(self, text_ids: jax.Array, mask: jax.Array) -> jax.Array:
        """[B, S] → [B, S, width]."""
        x = self.embed_tokens(text_ids) + self.embed_positions(jnp.arange(text_ids.shape[1]))
        return self.final_ln(self.layers(self.layernorm_embedding(x), mask))


class FlaxBartDecoder(nn.Module):
    config: DalleMiniConfig

    def setup(self):
        self.embed_tokens = embedding(self.config.codes + 1, self.config.width)
        self.embed_positions = embedding(self.config.image_length, self.config.width)
        self.layernorm_embedding = norm(scale=True)
        self.layers = FlaxBartDecoderLayerCollection(self.config)
        self.final_ln = norm(scale=False)

    def __call__(self, ids: jax.Array, text: jax.Array, text_mask: jax.Array) -> jax.Array:
        """Ids already shifted right, [B, T], and the encoder's output [B, S, width] → [B, T, width]."""
        x = self.embed_tokens(ids) + self.embed_positions(jnp.arange(ids.shape[1]))
        return self.final_ln(self.layers(self.layernorm_embedding(x), text, text_mask))

    def step(self, ids: jax.Array, position: jax.Array, cache: Cache) -> tuple[jax.Array, Cache]:
        """Ids [B] that stand at input `position` → [B, 1, width] and the grown cache."""
        x = (self.embed_tokens(ids) + self.embed_positions(position))[:, None]  # [B, width] → [B, 1, width]
        x, cache = self.layers.step(self.layernorm_embedding(x), position, cache)
        return self.final_ln(x), cache


class FlaxBartModule(nn.Module):
    config: DalleMiniConfig

    def setup(self):
        self.encoder = FlaxBartEncoder(self.config)
        self.decoder = FlaxBartDecoder(self.config)


class DalleMini(nn.Module):
    """Caption → logits of image tokens.

    `apply(params, text_ids, image_ids)` is the teacher-forced pass; `apply(params, text_ids, method="start")` and
    `apply(params, ids, position, cache, method="decode_step")` are cached generation.
    """

    config: DalleMiniConfig

    def setup(self):
        self.model = FlaxBartModule(self.config)
        self.lm_head = dense(self.config.codes + 1)  # untied; the extra row is BOS, as in the original

    def __call__(self, text_ids: jax.Array, image_ids: jax.Array) -> jax.Array:
        """Logits of every image token given the caption and the tokens before it.

        Args:
            text_ids: int [B, S ≤ text_length], padded with `text_padding`.
            image_ids: int [B, T ≤ image_length], codes in reading order, not shifted.

        Returns:
            float32 [B, T, codes + 1]; the last logit (BOS) is `NEVER`.

        Raises:
            EaselError: a caption or picture of the wrong shape.
        """
        config = self.config
        if image_ids.ndim != 2 or not 0 < image_ids.shape[1] <= config.image_length:
            raise EaselError(
                f"DALL·E Mini: image tokens must be [pictures, 1 to {config.image_length}], not {image_ids.shape}."
            )
        if len(image_ids) != len(text_ids):
            raise EaselError(f"DALL·E Mini: {len(text_ids)} captions but {len(image_ids)} pictures.")
        text, text_mask = self.encode(text_ids)
        bos = jnp.full((len(image_ids), 1), config.codes, image_ids.dtype)
        shifted = jnp.concatenate([bos, image_ids[:, :-1]], axis=1)  # [B, T]
        return self._logits(self.model.decoder(shifted, text, text_mask))

    def encode(self, text_ids: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Captions [B, S] → the encoder's output [B, S, width] and the mask bool [B, 1, 1, S] of its real tokens."""
        if text_ids.ndim != 2 or not 0 < text_ids.shape[1] <= self.config.text_length:
            raise EaselError(
                f"DALL·E Mini: captions must be [captions, 1 to {self.config.text_length} tokens], "
                f"not {text_ids.shape}."
            )
        mask = (text_ids != self.config.text_padding)[:, None, None]  # [B, S] → [B, 1, 1, S]
        return self.model.encoder(text_ids, mask), mask

    def start(self, text_ids: jax.Array) -> Cache:
        """Captions [B, S] → the cache before the first step; all of the text side is computed here, once."""
        text, mask = self.encode(text_ids)
        shape = len(text_ids), self.config.heads, self.config.image_length, self.config.width // self.config.heads
        own = tuple((jnp.zeros(shape), jnp.zeros(shape)) for _ in range(self.config.decoder_layers))
        return Cache(own, self.model.decoder.layers.text_keys_values(text), mask)

    def decode_step(self, ids: jax.Array, position: jax.Array, cache: Cache) -> tuple[jax.Array, Cache]:
        """Logits of the image token at `position` given the one before it.

        Args:
            ids: int [B], the token at `position` − 1, or BOS (= `codes`) for position 0.
            position: int scalar, 0 to image_length − 1; positions must come in order.

        Returns:
            float32 [B, codes + 1] (BOS is `NEVER`) and the cache with this position read.
        """
        x, cache = self.model.decoder.step(ids, position, cache)
        return self._logits(x)[:, 0], cache

    def _logits(self, x: jax.Array) -> jax.Array:
        is_bos = jnp.arange(self.config.codes + 1) == self.config.codes
        return jnp.where(is_bos, NEVER, self.lm_head(x))


def embedding(rows: int, width: int) -> nn.Embed:
    return nn.Embed(rows, width, embedding_init=nn.initializers.normal(INIT_STD))


def create(config: DalleMiniConfig, seed: int) -> tuple[DalleMini, dict]:
    """A model and its initial parameters, a function of `seed` alone."""
    model = DalleMini(config)
    ids = np.zeros((1, 1), np.int32)
    return model, jax.jit(model.init)(jax.random.key(seed), ids, ids)


def sampling_functions(model: DalleMini) -> tuple[Callable, Callable]:
    """What `lib.decoding.autoregressive_jax.sample` needs of this model.

    Returns:
        start(params, text_ids) → cache, jitted, and predict(params, cache, ids, position) → (logits, cache).
    """
    start = jax.jit(lambda params, text_ids: model.apply(params, text_ids, method="start"))

    def predict(params, cache, ids, position):
        return model.apply(params, ids, position, cache, method="decode_step")

    return start, predict


def parameter_count(params: dict) -> int:
    """Number of trained numbers."""
    return sum(leaf.size for leaf in jax.tree.leaves(params))


def save(path: Path, config: DalleMiniConfig, params: dict) -> None:
    """Writes parameters, with the configuration as metadata, to a safetensors file."""
    checkpoint.save(path, jax_state.flatten(params), {"config": dataclasses.asdict(config)})


def load(folder: Path) -> tuple[DalleMini, dict]:
    """The model in `folder`/model.safetensors and its parameters.

    Raises:
        EaselError: no such file, or names or shapes that do not belong to its configuration.
    """
    arrays, meta = checkpoint.load(Path(folder) / "model.safetensors")
    model = DalleMini(DalleMiniConfig(**meta["config"]))
    ids = np.zeros((1, 1), np.int32)
    template = jax.eval_shape(model.init, jax.random.key(0), ids, ids)
    return model, jax_state.restore(template, arrays)
