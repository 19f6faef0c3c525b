"""Filters of next-token logits: top-k (Fan et al. 2018, arXiv:1805.04833) and nucleus sampling, top-p (Holtzman et al.
2020, arXiv:1904.09751), in JAX.

A token that is filtered out gets −∞, one that stays keeps its logit. Both filters decide by a threshold: tokens exactly
as likely as the least likely one that stays, stay too, so that the numbering of the vocabulary decides nothing.
"""

import jax
import jax.numpy as jnp


def keep_top_k(logits: jax.Array, k: int) -> jax.Array:
    """The k most likely tokens stay; all of them where k is at least the size of the vocabulary.

    Args:
        logits: float [..., V].
        k: at least 1; a Python number, since XLA compiles for it.
    """
    if k >= logits.shape[-1]:
        return logits
    least = jax.lax.top_k(logits, k)[0][..., -1:]  # [..., V] → [..., k] → [..., 1]
    return jnp.where(logits >= least, logits, -jnp.inf)


def keep_top_p(logits: jax.Array, p: jax.Array | float) -> jax.Array:
    """The nucleus stays: the fewest most likely tokens whose probabilities reach p together, never none.

    Args:
        logits: float [..., V]; −∞ is a token of probability 0.
        p: 0 < p ≤ 1, may be traced; 1 keeps every token.
    """
    # By bisection and not by sorting, which XLA does slowly on CPUs. Floats from 0 to 1 are ordered as their bits are.
    probabilities = jax.nn.softmax(logits, axis=-1)
    bits = jax.lax.bitcast_convert_type(probabilities.astype(jnp.float32), jnp.int32)

    def halve(number, least):
        higher = least | (1 << (29 - number))
        reached = jnp.where(bits >= higher, probabilities, 0).sum(axis=-1, keepdims=True)  # [..., V] → [..., 1]
        return jnp.where(reached >= p, higher, least)

    least = jax.lax.fori_loop(0, 30, halve, jnp.zeros((*logits.shape[:-1], 1), jnp.int32))
    # The sum of many float32 may come to 1 before the last token, hence the second condition.
    return jnp.where((bits >= least) | (p >= 1), logits, -jnp.inf)
