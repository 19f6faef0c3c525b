"""Multi-head attention of DALL·E Mini, with keys and values apart from queries so that they can be cached."""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp

from lib.models.bart_parts import dense, embedding, norm
from lib.models.layout import DalleMiniConfig, Side

BLOCK = 64  # queries, at least, that causal attention takes at a time: below that, products lose what blocks save
BLOCKS = 4  # parts, at most, of causal attention, each of which is compiled apart
NEVER = -1e9  # a logit or score that softmax turns into exactly 0; finite, so that guidance cannot make NaN of it


class FlaxBartAttention(nn.Module):
    """Attention of `side` to itself or, with `cross`, of the decoder to the encoder's output.

    B rows, Q query and K key positions, H heads of width D.
    """

    config: DalleMiniConfig
    side: Side
    cross: bool = False

    def setup(self):
        config, layout = self.config, self.config.layout
        gain = config.initial_gain(self.side, self.cross)
        self.q_proj, self.k_proj = dense(layout, config.width), dense(layout, config.width)
        self.v_proj, self.out_proj = dense(layout, config.width, gain), dense(layout, config.width, gain)
        self.dropout = nn.Dropout(layout.attention_dropout)
        if layout.head_scale:
            self.head_scale = self.param("head_scale", nn.initializers.ones, (1, 1, config.heads, 1))
        if layout.swin_positions:
            own = config.text_length if self.side == "encoder" else config.image_length
            keys = config.text_length if self.cross else own
            self.rel_bias = embedding(layout, own, keys * config.heads)
        if layout.norm_placement == "subln" and not self.cross:
            self.mid_layernorm = norm(layout, feeds_product=False)  # has a scale in the original, product or not

    def keys_values(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        """[B, K, width] → keys and values, both [B, H, K, D]."""
        keys = self._split(self.k_proj(x))
        return unit(keys) if self.config.layout.cosine_attention else keys, self._split(self.v_proj(x))

    def __call__(
        self,
        x: jax.Array,
        keys: jax.Array,
        values: jax.Array,
        mask: jax.Array | None,
        positions: jax.Array,
        deterministic: bool = True,
    ) -> jax.Array:
        """Reads `values` where `mask` is True.

        Args:
            x: [B, Q, width], which the queries are made from.
            keys, values: [B, H, K, D], from `keys_values`.
            mask: bool, broadcast to [B, H, Q, K]; None for causal attention of a whole sequence to itself.
            positions: int [Q], where the queries stand in their sequence.

        Returns:
            [B, Q, width].
        """
        layout = self.config.layout
        queries = self._split(self.q_proj(x))
        if layout.cosine_attention:
            queries = unit(queries) / layout.tau_init
        else:
            queries = queries / math.sqrt(self.config.width // self.config.heads)
        if mask is None:
            out = self._read_causally(queries, keys, values, positions, deterministic)
        else:
            out = self._read(queries, keys, values, mask, positions, deterministic)
        if layout.head_scale:
            out = out * self.head_scale.astype(out.dtype).swapaxes(1, 2)  # [1, 1, H, 1] → [1, H, 1, 1]
        out = out.swapaxes(1, 2).reshape(x.shape)  # [B, H, Q, D] → [B, Q, width]
        if layout.norm_placement == "subln" and not self.cross:
            out = self.mid_layernorm(out)
        return self.out_proj(out)

    def _read_causally(self, queries, keys, values, positions, deterministic: bool) -> jax.Array:
        """`_read` where query i sees the keys 0 to i, without most of the scores that the mask would remove.

        The queries are taken in blocks, and each block reads the keys up to its own end only.
        """
        length = len(positions)
        size = max(BLOCK, -(-length // BLOCKS))
        parts = []
        for start in range(0, length, size):
            own, seen = slice(start, start + size), slice(start + size)
            mask = positions[seen] <= positions[own, None]  # [block, keys]
            read = queries[:, :, own], keys[:, :, seen], values[:, :, seen]
            parts.append(self._read(*read, mask, positions[own], deterministic))
        return jnp.concatenate(parts, axis=2)

    def _read(self, queries, keys, values, mask, positions, deterministic: bool) -> jax.Array:
        """Queries [B, H, Q, D] → weighted sums of the values, [B, H, Q, D]."""
        layout = self.config.layout
        scores = jnp.einsum("bhqd,bhkd->bhqk", queries, keys).astype(jnp.float32)
        if layout.swin_positions:
            table = self.rel_bias(positions).reshape(len(positions), -1, self.config.heads)  # [Q, K_max, H]
            scores = scores + table[:, : keys.shape[2]].transpose(2, 0, 1)  # [H, Q, K]
        if self.side == "encoder" and layout.sinkhorn_iterations > 1:
            read = mask if layout.sinkhorn_padding else mask & mask.swapaxes(-1, -2)
            weights = sinkhorn(scores, read, layout.sinkhorn_iterations)
            return self._sum(weights, values, deterministic)
        # Softmax, with the division left to the end, where there are D numbers a query instead of K.
        scores = jnp.where(mask, scores, NEVER)
        weights = jnp.exp(scores - jax.lax.stop_gradient(scores.max(axis=-1, keepdims=True)))
        total = weights.sum(axis=-1, keepdims=True)  # [B, H, Q, 1]
        return (self._sum(weights, values, deterministic) / total).astype(values.dtype)

    def _sum(self, weights: jax.Array, values: jax.Array, deterministic: bool) -> jax.Array:
        weights = self.dropout(weights.astype(values.dtype), deterministic)
        return jnp.einsum("bhqk,bhkd->bhqd", weights, values)

    def _split(self, x: jax.Array) -> jax.Array:
        return x.reshape(*x.shape[:-1], self.config.heads, -1).swapaxes(1, 2)  # [B, T, width] → [B, H, T, D]


def unit(x: jax.Array) -> jax.Array:
    """x / (|x| + 1e-8) along the last axis, as in the original; a zero vector stays zero, with a finite gradient."""
    squares = jnp.square(x).sum(axis=-1, keepdims=True)
    length = jnp.where(squares > 0, jnp.sqrt(jnp.where(squares > 0, squares, 1)), 0)  # √ has no gradient at 0
    return x / (length + 1e-8)


def sinkhorn(scores: jax.Array, mask: jax.Array, iterations: int) -> jax.Array:
    """Attention weights whose rows and columns have been normalised in turn, rows first (arXiv:2110.11773).

    What lies outside `mask` gets weight 0. A mask of keys alone leaves rows to padding, which take their share of every
    column; so it is in the original. In a mask of queries as well, words share the columns among themselves.

    Args:
        scores: float32 [B, H, T, T].
        mask: bool, broadcast to the same.
    """
    log_weights = jnp.where(mask, scores, NEVER)
    for iteration in range(iterations):
        axis = -1 if iteration % 2 == 0 else -2
        log_weights = log_weights - jax.nn.logsumexp(log_weights, axis=axis, keepdims=True)
        log_weights = jnp.where(mask, log_weights, NEVER)
    return jnp.exp(log_weights)
