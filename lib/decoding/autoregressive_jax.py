"""Autoregressive sampling, one token of every row a step, in one jitted loop (JAX).

The loop knows the network only as a function from tokens to logits. Super-conditioning (Crowson, 2022), which is
classifier-free guidance on logits, is part of the loop: logits = uncond + guidance · (cond − uncond).
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lib.errors import EaselError

# predict(context, carry, previous int [R], position int) -> (logits float [R, V], carry). `context` is what it only
# reads (parameters), `carry` what it changes (a cache). It must be the same function object from call to call, or
# every call compiles anew.
Predict = Callable[[Any, Any, jax.Array, jax.Array], tuple[jax.Array, Any]]


def row_keys(seeds: np.ndarray, items: np.ndarray) -> jax.Array:
    """One random key per row, a function of that row's seed and item alone: int [B], int [B] → keys [B]."""
    key = jax.vmap(lambda seed, item: jax.random.fold_in(jax.random.key(seed), item))
    return key(np.asarray(seeds, np.uint32), np.asarray(items, np.uint32))


def sample(
    predict: Predict,
    context: Any,
    carry: Any,
    first: int,
    steps: int,
    keys: jax.Array,
    temperature: float = 1.0,
    guidance: float = 1.0,
) -> np.ndarray:
    """Draws `steps` tokens for every row.

    A row's tokens depend on its key and on what `predict` says of it, not on the rows beside it.

    Args:
        carry: state of `predict` for B rows; where guidance ≠ 1 for 2B rows, each conditional one followed by its
            unconditional one. (Neighbours stay on one device when rows are split between devices.)
        first: the token before the first one (BOS).
        keys: one per row, [B], from `row_keys`.
        temperature: of the softmax; 0 takes the most likely token.
        guidance: 1 reads the conditional logits alone.

    Returns:
        int32 [B, steps].

    Raises:
        EaselError: a temperature or guidance that is negative, or no step.
    """
    if not (temperature >= 0 and guidance >= 0 and steps > 0):
        raise EaselError(
            "sampling needs temperature ≥ 0, guidance ≥ 0 and at least one step, "
            f"not {temperature}, {guidance} and {steps}."
        )
    tokens = _loop(predict, context, carry, first, steps, keys, temperature, guidance, temperature == 0, guidance != 1)
    return np.asarray(tokens)


@partial(jax.jit, static_argnames=("predict", "steps", "greedy", "guided"))
def _loop(predict, context, carry, first, steps, keys, temperature, guidance, greedy, guided):
    def one(state, position):
        carry, previous = state
        rows = jnp.repeat(previous, 2) if guided else previous  # [B] → [2B]
        logits, carry = predict(context, carry, rows, position)  # [R, V]
        if guided:
            conditional, unconditional = logits.reshape(-1, 2, logits.shape[-1]).swapaxes(0, 1)  # [2B, V] → [2, B, V]
            logits = unconditional + guidance * (conditional - unconditional)  # [B, V]
        if greedy:
            token = jnp.argmax(logits, axis=-1)
        else:
            now = jax.vmap(jax.random.fold_in, (0, None))(keys, position)
            token = jax.vmap(jax.random.categorical)(now, logits / temperature)
        token = token.astype(jnp.int32)
        return (carry, token), token

    start = jnp.full(keys.shape, first, jnp.int32)
    _, tokens = jax.lax.scan(one, (carry, start), jnp.arange(steps))  # [steps, B]
    return tokens.T
