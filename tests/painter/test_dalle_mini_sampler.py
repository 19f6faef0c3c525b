"""Captions → tokens with an untrained network: what a row depends on, and what it never holds."""

import jax
import numpy as np
import pytest

from lib.decoding.autoregressive_jax import row_keys, sample
from lib.errors import EaselError
from lib.models import dalle_mini
from lib.painter.dalle_mini import Sampler

CODES, LENGTH, TEXT = 11, 6, 5
CAPTIONS = np.array([[1, 7, 2, 0, 0], [1, 8, 9, 10, 2], [1, 5, 5, 2, 0]], np.int32)
EMPTY = np.array([1, 2, 0, 0, 0], np.int32)


@pytest.fixture(scope="module")
def network():
    config = dalle_mini.DalleMiniConfig(
        text_vocabulary=12,
        text_length=TEXT,
        text_padding=0,
        codes=CODES,
        image_length=LENGTH,
        width=16,
        encoder_layers=1,
        decoder_layers=1,
        heads=2,
        feed_forward=16,
    )
    model, weights = dalle_mini.create(config, 0)
    return model, jax.tree.map(lambda leaf: leaf * 12 if leaf.ndim > 1 else leaf, weights)  # captions must matter


@pytest.fixture(scope="module")
def draw(network):
    return Sampler(*network, EMPTY, batch_size=4)


def keys(prompts, candidates):
    return row_keys(np.repeat(np.arange(prompts), candidates), np.tile(np.arange(candidates), prompts)).reshape(
        prompts, candidates
    )


def test_every_row_is_what_the_plain_loop_draws_for_it(network, draw):
    """Batches that cut a caption's candidates apart, wrap around and read each caption once change nothing."""
    model, weights = network
    start, predict = dalle_mini.sampling_functions(model)
    for guidance in (1.0, 2.5):
        rows = np.repeat(CAPTIONS, 3, axis=0)  # [9, S]: batches of 4, 4 and 1
        if guidance != 1:
            rows = np.stack([rows, np.broadcast_to(EMPTY, rows.shape)], axis=1).reshape(-1, TEXT)
        plain = sample(predict, weights, start(weights, rows), CODES, LENGTH, keys(3, 3).reshape(-1), guidance=guidance)
        np.testing.assert_array_equal(draw(CAPTIONS, keys(3, 3), guidance).reshape(9, -1), plain)
    assert len({row.tobytes() for row in plain}) > 5


def test_other_captions_and_other_keys_give_other_tokens(draw):
    same = jax.numpy.broadcast_to(row_keys(np.zeros(8), np.arange(8)), (3, 8))
    assert len({prompt.tobytes() for prompt in draw(CAPTIONS, same)}) == 3
    assert len({row.tobytes() for row in draw(CAPTIONS[:1], keys(1, 8))[0]}) > 4


def test_a_row_does_not_depend_on_what_else_is_drawn(draw):
    whole = draw(CAPTIONS, keys(3, 3), 2.5)
    np.testing.assert_array_equal(draw(CAPTIONS[1:2], keys(3, 3)[1:2], 2.5), whole[1:2])
    np.testing.assert_array_equal(draw(CAPTIONS[::-1], keys(3, 3)[::-1, :1], 2.5), whole[::-1, :1])


def test_tokens_are_codes_only_even_when_all_are_equally_likely(draw):
    tokens = draw(CAPTIONS, keys(3, 40), guidance=2.5, temperature=1e6)
    assert tokens.shape == (3, 40, LENGTH)
    assert set(np.unique(tokens)) == set(range(CODES))  # the BOS, id 11, is not among them


def test_progress_is_told_in_rows(draw):
    told = []
    draw(CAPTIONS, keys(3, 3), 2.5, report=told.append)
    assert told == [4, 8, 9]


def test_mistakes_are_refused(network, draw):
    with pytest.raises(EaselError, match=r"captions \[P, S\] and keys \[P, n\], not \[3, 5\] and \[2, 3\]"):
        draw(CAPTIONS, keys(2, 3))
    with pytest.raises(EaselError, match="0 < top_p ≤ 1"):
        draw(CAPTIONS, keys(3, 3), top_p=0.0)
    with pytest.raises(EaselError, match="a batch of 0 rows cannot be split"):
        Sampler(*network, EMPTY, batch_size=0)
