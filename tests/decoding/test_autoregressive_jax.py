"""The loop against toy predictors: it must know nothing of networks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lib.decoding.autoregressive_jax import row_keys, sample
from lib.errors import EaselError

CODES, STEPS = 5, 7


def chain(table, carry, previous, position):
    """A Markov chain; `carry` counts the steps and holds one vector of extra logits per row."""
    count, extra = carry
    return table[previous] + extra, (count + 1, extra)


@pytest.fixture(scope="module")
def table():
    return jnp.asarray(np.random.default_rng(0).standard_normal((CODES + 1, CODES)), jnp.float32)


def state(rows, generator_seed=1):
    extra = np.random.default_rng(generator_seed).standard_normal((rows, CODES)).astype(np.float32)
    return jnp.zeros((), jnp.int32), jnp.asarray(extra)


def test_a_row_does_not_depend_on_its_batch(table):
    _, extra = state(12)
    keys = row_keys(np.full(12, 3), np.arange(12))
    whole = sample(chain, table, (0, extra), CODES, STEPS, keys)
    for rows in (np.array([4]), np.array([11, 0, 4, 7])):
        alone = sample(chain, table, (0, extra[rows]), CODES, STEPS, keys[rows])
        np.testing.assert_array_equal(alone, whole[rows])
    assert len({row.tobytes() for row in whole}) == 12


def test_same_keys_same_tokens_and_other_seeds_other_tokens(table):
    _, extra = state(12)
    draws = [sample(chain, table, (0, extra), CODES, STEPS, row_keys(np.full(12, s), np.arange(12))) for s in (0, 0, 1)]
    np.testing.assert_array_equal(draws[0], draws[1])
    assert (draws[0] != draws[2]).mean() > 0.3


def test_tokens_follow_the_chain_at_the_given_temperature(table):
    rows, temperature = 4000, 1.7
    keys = row_keys(np.zeros(rows), np.arange(rows))
    drawn = sample(chain, table, (0, jnp.zeros((rows, CODES))), CODES, 2, keys, temperature=temperature)
    law = np.asarray(jax.nn.softmax(table / temperature, axis=-1))
    first = np.bincount(drawn[:, 0], minlength=CODES) / rows
    np.testing.assert_allclose(first, law[CODES], atol=0.03)  # 4 standard errors
    second = np.bincount(drawn[:, 1], minlength=CODES) / rows
    np.testing.assert_allclose(second, law[CODES] @ law[:CODES], atol=0.03)


def test_guidance_one_reads_the_conditional_half_only_and_others_mix(table):
    _, conditional = state(6, 1)
    _, unconditional = state(6, 2)
    both = jnp.stack([conditional, unconditional], axis=1).reshape(12, CODES)
    keys = row_keys(np.zeros(6), np.arange(6))
    plain = sample(chain, table, (0, conditional), CODES, STEPS, keys, guidance=1.0)
    near = sample(chain, table, (0, both), CODES, STEPS, keys, guidance=1.0 + 1e-6)  # through the doubled batch
    np.testing.assert_array_equal(plain, near)
    none = sample(chain, table, (0, both), CODES, STEPS, keys, guidance=0.0)
    np.testing.assert_array_equal(none, sample(chain, table, (0, unconditional), CODES, STEPS, keys))
    for scale in (3.0, 0.5):
        mixed = unconditional + scale * (conditional - unconditional)
        # The chain's own logits are the same in both halves, so they pass through the mixture unchanged.
        expected = sample(chain, table, (0, mixed), CODES, STEPS, keys)
        np.testing.assert_array_equal(sample(chain, table, (0, both), CODES, STEPS, keys, guidance=scale), expected)


def test_greedy_follows_the_argmax(table):
    drawn = sample(
        chain, table, (0, jnp.zeros((2, CODES))), CODES, STEPS, row_keys(np.zeros(2), np.arange(2)), temperature=0.0
    )
    expected, token = [], CODES
    for _ in range(STEPS):
        token = int(np.argmax(table[token]))
        expected.append(token)
    np.testing.assert_array_equal(drawn, [expected, expected])
    assert drawn.dtype == np.int32


def test_positions_arrive_in_order():
    def teller(context, carry, previous, position):
        return jax.nn.one_hot(jnp.full(previous.shape, position), STEPS) * 100, carry

    drawn = sample(teller, None, None, 0, STEPS, row_keys(np.zeros(2), np.arange(2)))
    np.testing.assert_array_equal(drawn, [np.arange(STEPS)] * 2)


@pytest.mark.parametrize("wrong", [{"temperature": -1.0}, {"guidance": -2.0}, {"steps": 0}])
def test_nonsense_is_refused(table, wrong):
    arguments = {"steps": STEPS, "temperature": 1.0, "guidance": 1.0} | wrong
    with pytest.raises(EaselError, match="sampling needs temperature ≥ 0"):
        sample(chain, table, state(2), CODES, keys=row_keys(np.zeros(2), np.arange(2)), **arguments)
