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
    ordered = jnp.flip(jnp.sort(logits, axis=-1), axis=-1)
    probabilities = jax.nn.softmax(ordered, axis=-1)
    before = jnp.cumsum(probabilities, axis=-1) - probabilities  # what the tokens ahead of each one reach
    # The sum of many float32 may come to 1 before the last token, hence the second condition.
    inside = (before < p) | (p >= 1)
    least = jnp.min(jnp.where(inside, ordered, jnp.inf), axis=-1, keepdims=True)  # [..., V] → [..., 1]
    return jnp.where(logits >= least, logits, -jnp.inf)
