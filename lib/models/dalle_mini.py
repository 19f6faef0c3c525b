"""DALL·E Mini: a BART-shaped encoder–decoder from caption to image tokens (Dayma et al. 2021–2022), in Flax.

Separate text and image vocabularies, learned absolute positions, LayerNorm on the embeddings; what the layers look
like is the choice of `Layout`, whose defaults are those of the authors' repository: NormFormer placement, gated
feed-forward with the exact GELU, no biases in products, a final norm in encoder and decoder.

Modules carry the names of the original's parameter tree (`model/encoder/layers/FlaxBartEncoderLayer_0/...`, with
`scan` `model/encoder/layers/FlaxBartEncoderLayers/...`). Parameters and softmax are float32.
"""

import math
from collections.abc import Callable
from pathlib import Path

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from lib.errors import EaselError
from lib.models.bart_attention import NEVER
from lib.models.bart_layers import (
    Cache,
    FlaxBartDecoderLayerCollection,
    FlaxBartEncoderLayerCollection,
    LayerCollection,
)
from lib.models.bart_parts import dense, embedding, norm
from lib.models.layout import DalleMiniConfig, Layout
from lib.weights import checkpoint, jax_state

__all__ = ["Cache", "DalleMini", "DalleMiniConfig", "Layout"]


class Stack(nn.Module):
    """Embeddings, layers and final norm of one side."""

    config: DalleMiniConfig

    def setup_side(self, rows: int, length: int, layers: LayerCollection, final_norm: bool) -> None:
        layout, width = self.config.layout, self.config.width
        self.embed_tokens = embedding(layout, rows, width)
        if layout.absolute_positions:
            self.embed_positions = embedding(layout, length, width)
        self.layernorm_embedding = norm(layout, feeds_product=False)
        self.dropout = nn.Dropout(layout.dropout)
        self.layers = layers
        if final_norm and layout.norm_placement != "postln":  # whose layers end with a norm
            self.final_ln = norm(layout, feeds_product=True)
        else:
            self.final_ln = lambda x: x

    def embed(self, ids: jax.Array, positions: jax.Array, deterministic: bool = True) -> jax.Array:
        """Ids [..., T] at `positions` int [T] → [..., T, width]."""
        x = self.embed_tokens(ids)
        if self.config.layout.scale_embedding:
            x = x * math.sqrt(self.config.width)
        if self.config.layout.absolute_positions:
            x = x + self.embed_positions(positions)
        return self.dropout(self.layernorm_embedding(x), deterministic)


class FlaxBartEncoder(Stack):
    def setup(self):
        config = self.config
        layers = FlaxBartEncoderLayerCollection(config)
        self.setup_side(config.text_vocabulary, config.text_length, layers, config.layout.final_norm_encoder)

    def __call__(self, text_ids: jax.Array, mask: jax.Array, deterministic: bool = True) -> jax.Array:
        """[B, S] → [B, S, width]."""
        x = self.embed(text_ids, jnp.arange(text_ids.shape[1]), deterministic)
        return self.final_ln(self.layers(x, mask, deterministic=deterministic))


class FlaxBartDecoder(Stack):
    def setup(self):
        config = self.config
        layers = FlaxBartDecoderLayerCollection(config)
        self.setup_side(config.image_ids, config.image_length, layers, config.layout.final_norm_decoder)

    def __call__(self, ids: jax.Array, text: jax.Array, text_mask: jax.Array, deterministic: bool = True) -> jax.Array:
        """Ids already shifted right, [B, T], and the encoder's output [B, S, width] → [B, T, width]."""
        x = self.embed(ids, jnp.arange(ids.shape[1]), deterministic)
        return self.final_ln(self.layers(x, text, text_mask, deterministic=deterministic))

    def step(self, ids: jax.Array, position: jax.Array, cache: Cache) -> tuple[jax.Array, Cache]:
        """Ids [B] that stand at input `position` → [B, 1, width] and the grown cache."""
        x = self.embed(ids, position)[:, None]  # [B, width] → [B, 1, width]
        x, cache = self.layers.step(x, position, cache)
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
        # Untied, never with a bias; BOS has a logit as in the original.
        self.lm_head = dense(self.config.layout, self.config.image_ids, bias=False)

    def __call__(self, text_ids: jax.Array, image_ids: jax.Array, deterministic: bool = True) -> jax.Array:
        """Logits of every image token given the caption and the tokens before it.

        Args:
            text_ids: int [B, S ≤ text_length], padded with `text_padding`.
            image_ids: int [B, T ≤ image_length], codes in reading order, not shifted.
            deterministic: False lets the layout's dropout act, on the random stream `dropout`
                (`apply(..., False, rngs={"dropout": key})`).

        Returns:
            float32 [B, T, codes + 1 + padded_codes]; what is not a code (BOS, padding) has the logit `NEVER`.

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
        text, text_mask = self.encode(text_ids, deterministic)
        bos = jnp.full((len(image_ids), 1), config.codes, image_ids.dtype)
        shifted = jnp.concatenate([bos, image_ids[:, :-1]], axis=1)  # [B, T]
        return self._logits(self.model.decoder(shifted, text, text_mask, deterministic))

    def encode(self, text_ids: jax.Array, deterministic: bool = True) -> tuple[jax.Array, jax.Array]:
        """Captions [B, S] → the encoder's output [B, S, width] and the mask bool [B, 1, 1, S] of its real tokens."""
        if text_ids.ndim != 2 or not 0 < text_ids.shape[1] <= self.config.text_length:
            raise EaselError(
                f"DALL·E Mini: captions must be [captions, 1 to {self.config.text_length} tokens], "
                f"not {text_ids.shape}."
            )
        mask = (text_ids != self.config.text_padding)[:, None, None]  # [B, S] → [B, 1, 1, S]
        return self.model.encoder(text_ids, mask, deterministic), mask

    def start(self, text_ids: jax.Array) -> Cache:
        """Captions [B, S] → the cache before the first step; all of the text side is computed here, once."""
        config = self.config
        text, mask = self.encode(text_ids)
        shape = len(text_ids), config.heads, config.image_length, config.width // config.heads
        empty = jnp.zeros(shape, config.layout.compute_dtype)
        own = tuple((empty, empty) for _ in range(config.decoder_layers))
        return Cache(own, self.model.decoder.layers.text_keys_values(text), mask)

    def decode_step(self, ids: jax.Array, position: jax.Array, cache: Cache) -> tuple[jax.Array, Cache]:
        """Logits of the image token at `position` given the one before it.

        Args:
            ids: int [B], the token at `position` − 1, or BOS (= `codes`) for position 0.
            position: int scalar, 0 to image_length − 1; positions must come in order.

        Returns:
            float32 [B, codes + 1 + padded_codes], as of `__call__`, and the cache with this position read.
        """
        x, cache = self.model.decoder.step(ids, position, cache)
        return self._logits(x)[:, 0], cache

    def _logits(self, x: jax.Array) -> jax.Array:
        is_code = jnp.arange(self.config.image_ids) < self.config.codes
        return jnp.where(is_code, self.lm_head(x).astype(jnp.float32), NEVER)


def create(config: DalleMiniConfig, seed: int) -> tuple[DalleMini, dict]:
    """A model and its initial parameters, a function of `seed` alone."""
    model = DalleMini(config)
    ids = np.zeros((1, 1), np.int32)
    return model, jax.jit(model.init)(jax.random.key(seed), ids, ids)


def shapes(config: DalleMiniConfig) -> dict:
    """The parameter tree as `jax.ShapeDtypeStruct`s, without computing a number."""
    ids = np.zeros((1, 1), np.int32)
    return jax.eval_shape(DalleMini(config).init, jax.random.key(0), ids, ids)


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
    """Number of trained numbers; takes arrays or their shapes."""
    return sum(leaf.size for leaf in jax.tree.leaves(params))


def save(path: Path, config: DalleMiniConfig, params: dict) -> None:
    """Writes parameters, with the configuration as metadata, to a safetensors file."""
    checkpoint.save(path, jax_state.flatten(params), {"config": config.as_dict()})


def load(folder: Path) -> tuple[DalleMini, dict]:
    """The model in `folder`/model.safetensors and its parameters.

    Raises:
        EaselError: no such file, or names or shapes that do not belong to its configuration.
    """
    arrays, meta = checkpoint.load_network(folder)
    config = DalleMiniConfig.from_dict(meta["config"])
    return DalleMini(config), jax_state.restore(shapes(config), arrays)
