"""Autoregressive sampling, one token of every row a step, in one jitted loop (JAX).

The loop knows the network only as a function from tokens to logits. What it does to the logits follows the original
DALL·E Mini (Dayma et al. 2021–2022) and the order of Hugging Face's samplers, which that inherits:

1. super-conditioning (Crowson, 2022), which is classifier-free guidance on logits: uncond + guidance · (cond − uncond);
2. division by the temperature;
3. top-k;
4. top-p, of what top-k left.

So temperature changes which tokens are in the nucleus, but not which are among the k most likely.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lib.decoding.filters_jax import keep_top_k, keep_top_p
from lib.errors import EaselError

# What no network may draw, as BOS, has a logit of −10⁹: finite, so that a higher temperature would let it be drawn.
MOST_TEMPERATURE = 1e6

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
    top_k: int = 0,
    top_p: float = 1.0,
) -> np.ndarray:
    """Draws `steps` tokens for every row.

    A row's tokens depend on its key and on what `predict` says of it, not on the rows beside it. What is switched off
    costs nothing; another value of temperature, guidance or top_p does not compile anew, another top_k does.

    Args:
        carry: state of `predict` for B rows; where guidance ≠ 1 for 2B rows, each conditional one followed by its
            unconditional one. (Neighbours stay on one device when rows are split between devices.)
        first: the token before the first one (BOS).
        keys: one per row, [B], from `row_keys`.
        temperature: of the softmax, at most 10⁶; 0 takes the most likely token.
        guidance: 1 reads the conditional logits alone.
        top_k: how many of the most likely tokens may be drawn; 0 switches it off.
        top_p: what share of the probability the tokens that may be drawn reach together; 1 switches it off.

    Returns:
        int32 [B, steps].

    Raises:
        EaselError: a setting outside its range, or no step.
    """
    check_settings(temperature, guidance, top_k, top_p)
    if steps < 1:
        raise EaselError(f"sampling needs at least one step, not {steps}.")
    # float() because numpy's and Python's numbers, integers among them, would each compile a program of their own.
    numbers = float(temperature), float(guidance), float(top_p)
    kind = Kind(int(top_k), greedy=temperature == 0, guided=guidance != 1, nucleus=top_p != 1)
    return np.asarray(_loop(predict, context, carry, first, steps, keys, *numbers, kind))


class Kind(NamedTuple):
    """What the loop is compiled for."""

    top_k: int
    greedy: bool
    guided: bool
    nucleus: bool


def check_settings(temperature: float, guidance: float, top_k: int, top_p: float) -> None:
    """Refuses settings that `sample` could not use: EaselError that names the range of each."""
    # NaN fails every comparison; top_k = inf has no int().
    finite = 0 <= guidance < math.inf and 0 <= top_k < math.inf and top_k == int(top_k)
    if not (0 <= temperature <= MOST_TEMPERATURE and finite and 0 < top_p <= 1):
        raise EaselError(
            "sampling needs 0 ≤ temperature ≤ 10⁶, a finite guidance ≥ 0, a whole top_k ≥ 0 (0: off) and "
            f"0 < top_p ≤ 1 (1: off), not {temperature}, {guidance}, {top_k} and {top_p}."
        )


@partial(jax.jit, static_argnames=("predict", "steps", "kind"))
def _loop(predict, context, carry, first, steps, keys, temperature, guidance, top_p, kind):
    def draw(logits, position):
        if kind.greedy:  # no filter removes the most likely token
            return jnp.argmax(logits, axis=-1)
        logits = logits / temperature
        if kind.top_k:
            logits = keep_top_k(logits, kind.top_k)
        if kind.nucleus:
            logits = keep_top_p(logits, top_p)
        now = jax.vmap(jax.random.fold_in, (0, None))(keys, position)
        return jax.vmap(jax.random.categorical)(now, logits)

    def one(state, position):
        carry, previous = state
        rows = jnp.repeat(previous, 2) if kind.guided else previous  # [B] → [2B]
        logits, carry = predict(context, carry, rows, position)  # [R, V]
        if kind.guided:
            conditional, unconditional = logits.reshape(-1, 2, logits.shape[-1]).swapaxes(0, 1)  # [2B, V] → [2, B, V]
            logits = unconditional + guidance * (conditional - unconditional)  # [B, V]
        token = draw(logits, position).astype(jnp.int32)
        return (carry, token), token

    start = jnp.full(keys.shape, first, jnp.int32)
    _, tokens = jax.lax.scan(one, (carry, start), jnp.arange(steps))  # [steps, B]
    return tokens.T
