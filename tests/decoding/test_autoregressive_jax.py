"""The loop against toy predictors: it must know nothing of networks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lib.decoding.autoregressive_jax import _loop, row_keys, sample
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


def test_filters_follow_guidance_and_temperature():
    """Each of the four in another place would leave other tokens to draw from."""
    rows = 400
    conditional = np.log(np.array([0.50, 0.24, 0.16, 0.07, 0.03]))
    unconditional = np.log(np.array([0.70, 0.10, 0.10, 0.09, 0.01]))
    both = jnp.asarray(np.tile(np.stack([conditional, unconditional]), (rows, 1)), jnp.float32)
    keys = row_keys(np.zeros(rows), np.arange(rows))

    def drawn(**settings):
        tokens = sample(constant, None, both, CODES, 3, keys, guidance=2.0, **settings)
        return np.bincount(tokens.ravel(), minlength=CODES) / tokens.size

    mixed = np.exp(2 * conditional - unconditional)  # guided: 0.27, 0.43, 0.19, 0.04, 0.07 – another order
    mixed /= mixed.sum()
    assert mixed.argsort()[::-1].tolist() == [1, 0, 2, 4, 3]
    np.testing.assert_allclose(drawn(), mixed, atol=0.06)
    kept = np.where([1, 1, 1, 0, 0], mixed, 0)
    np.testing.assert_allclose(drawn(top_k=3), kept / kept.sum(), atol=0.06)
    np.testing.assert_array_equal(drawn(top_p=0.65) > 0, [1, 1, 0, 0, 0])
    # A temperature of 3 flattens: 0.24, 0.28, 0.21, 0.13, 0.15 reach 0.65 with three tokens, not with two.
    np.testing.assert_array_equal(drawn(top_p=0.65, temperature=3.0) > 0, [1, 1, 1, 0, 0])
    # top-p of what top-k left: token 1 has 0.62 of tokens 0 and 1, but 0.43 of all.
    np.testing.assert_array_equal(drawn(top_k=2, top_p=0.55) > 0, [0, 1, 0, 0, 0])
    np.testing.assert_array_equal(drawn(top_p=0.55) > 0, [1, 1, 0, 0, 0])


def constant(context, carry, previous, position):
    return carry, carry


def test_tight_filters_are_greedy_and_loose_ones_change_nothing(table):
    _, extra = state(6)
    keys = row_keys(np.zeros(6), np.arange(6))
    greedy = sample(chain, table, (0, extra), CODES, STEPS, keys, temperature=0.0)
    free = sample(chain, table, (0, extra), CODES, STEPS, keys)
    assert (greedy != free).any()
    for tight in ({"top_k": 1}, {"top_p": 1e-6}, {"top_k": 1, "top_p": 1e-6, "temperature": 5.0}):
        np.testing.assert_array_equal(sample(chain, table, (0, extra), CODES, STEPS, keys, **tight), greedy)
    for loose in ({"top_k": CODES}, {"top_k": 0}, {"top_p": 1.0 - 1e-7}):
        np.testing.assert_array_equal(sample(chain, table, (0, extra), CODES, STEPS, keys, **loose), free)


def test_other_values_do_not_compile_anew(table):
    _, extra = state(12)
    keys = row_keys(np.zeros(6), np.arange(6))
    calls = [
        {"temperature": 0.7, "guidance": 2.0, "top_k": 3, "top_p": 0.9},
        {"temperature": 1, "guidance": 3, "top_k": 3, "top_p": np.float64(0.5)},
        {"temperature": np.float32(2.0), "guidance": np.float32(0.5), "top_k": np.int64(3), "top_p": 0.1},
    ]
    compiled = []
    for settings in calls:
        sample(chain, table, (0, extra), CODES, STEPS, keys, **settings)
        compiled.append(_loop._cache_size())
    assert compiled[0] == compiled[1] == compiled[2]


@pytest.mark.parametrize(
    "wrong",
    [
        {"temperature": -1.0},
        {"temperature": float("nan")},
        {"temperature": float("inf")},
        {"temperature": 1.1e6},
        {"guidance": -2.0},
        {"guidance": float("nan")},
        {"guidance": float("inf")},
        {"top_k": -1},
        {"top_k": 2.5},
        {"top_k": float("inf")},
        {"top_p": 0.0},
        {"top_p": 1.2},
        {"top_p": float("nan")},
    ],
)
def test_nonsense_is_refused(table, wrong):
    with pytest.raises(EaselError, match=r"sampling needs 0 ≤ temperature ≤ 10⁶, .* 0 < top_p ≤ 1"):
        sample(chain, table, state(2), CODES, STEPS, row_keys(np.zeros(2), np.arange(2)), **wrong)


def test_no_step_is_refused(table):
    with pytest.raises(EaselError, match="at least one step, not 0"):
        sample(chain, table, state(2), CODES, 0, row_keys(np.zeros(2), np.arange(2)))
