from functools import cache

import jax
import numpy as np
import pytest

from lib.errors import EaselError
from lib.models import dalle_mini
from lib.training.dalle_mini import Captions, DalleMiniTrainee, evaluate, loss_and_gradients
from lib.training.loop import fit
from lib.training.mesh import make_mesh
from lib.training.optimizers import optimizer as make_optimizer
from lib.training.order import BatchOrder
from lib.weights import jax_state

CONFIG = dalle_mini.DalleMiniConfig(
    text_vocabulary=30,
    text_length=5,
    text_padding=0,
    codes=8,
    image_length=6,
    width=16,
    encoder_layers=1,
    decoder_layers=1,
    heads=2,
    feed_forward=16,
)


def encode(texts):
    """Begin 1, one token per letter from 3, end 2, padding 0."""
    ids = np.zeros((len(texts), 5), np.int32)
    for row, text in zip(ids, texts, strict=True):
        row[: len(text) + 2] = [1, *(3 + ord(letter) - ord("a") for letter in text), 2]
    return ids


@cache
def captions():
    # Picture i is the letter i: written once in one language, twice in the other.
    return Captions([{"en": [chr(97 + i)], "zh": [chr(97 + i) * 2, chr(97 + i) * 3]} for i in range(8)], encode)


TOKENS = np.repeat(np.arange(8), 6).reshape(8, 6).astype(np.uint16)  # the picture of a letter: its number, six times


# Cached: an update is compiled once for every optimizer object.
optimizer = cache(lambda steps: make_optimizer("adamw", 1e-2, 2, steps, decay=0.5))
created = cache(lambda: dalle_mini.create(CONFIG, seed=0))


def trainee(steps=60, dropout=0.2):
    return DalleMiniTrainee(*created(), captions(), TOKENS, optimizer(steps), dropout, seed=3)


def run(folder, steps, stop=None):
    who = trainee()
    where = {"checkpoint": folder / "c.safetensors", "fingerprint": "f", "order": BatchOrder(8, 8, 0), "name": "t"}
    if stop:
        fit(who, steps=stop, **where)
        who = trainee()
    return who, fit(who, steps=steps, **where)


def test_interrupted_training_ends_in_the_same_state_bit_for_bit(tmp_path):
    whole, history = run(tmp_path / "a", 6)
    parts, resumed = run(tmp_path / "b", 6, stop=3)
    assert history == resumed
    first, second = whole.state(), parts.state()
    assert first.keys() == second.keys()
    for name in first:
        np.testing.assert_array_equal(first[name], second[name], err_msg=name)


def test_it_learns_pictures_from_captions():
    who = trainee(dropout=0.0)
    order = BatchOrder(8, 8, 0)
    losses = [who.step(step, order.indices(step))["loss"] for step in range(60)]
    assert losses[0] == pytest.approx(np.log(8), abs=0.2)
    assert losses[-1] < 0.3
    nats, top1 = evaluate(who.model, who.params, captions().first(), TOKENS, batch_size=8)
    assert nats.shape == top1.shape == (8,)
    assert nats.mean() < 0.3 and top1.mean() > 0.9


def test_evaluation_does_not_depend_on_the_batch_size():
    who = trainee()
    results = [evaluate(who.model, who.params, captions().first(), TOKENS, size) for size in (8, 3)]
    for nats, top1 in results[1:]:
        np.testing.assert_allclose(nats, results[0][0], atol=1e-5)
        np.testing.assert_array_equal(top1, results[0][1])


def test_caption_dropout_has_the_stated_share_and_the_empty_caption():
    generator = np.random.default_rng(0)
    drawn = captions().draw(generator.integers(0, 8, 10_000), 0.3, generator)
    empty = (drawn == encode([""])).all(axis=1)
    assert empty.mean() == pytest.approx(0.3, abs=0.02)  # 4 standard errors
    assert not (captions().draw(np.arange(8), 0.0, generator) == encode([""])).all(axis=1).any()


def test_every_picture_gets_its_own_captions_each_language_equally_often():
    generator = np.random.default_rng(0)
    indices = generator.integers(0, 8, 6000)
    drawn = captions().draw(indices, 0.0, generator)
    np.testing.assert_array_equal(drawn[:, 1], 3 + indices)
    length = (drawn > 2).sum(axis=1)
    shares = [(length == n).mean() for n in (1, 2, 3)]
    np.testing.assert_allclose(shares, [1 / 2, 1 / 4, 1 / 4], atol=0.03)
    assert (captions().first()[:, 1] == np.arange(3, 11)).all()


def test_draws_follow_from_seed_and_step():
    texts = [captions().draw(np.arange(8), 0.5, np.random.Generator(np.random.PCG64([3, step]))) for step in (0, 0, 1)]
    np.testing.assert_array_equal(texts[0], texts[1])
    assert (texts[0] != texts[2]).any()


def test_accumulated_parts_give_the_loss_and_gradients_of_the_whole_batch():
    model, params = created()
    text_ids, image_ids = captions().first(), TOKENS.astype(np.int32)
    results = [
        jax.jit(loss_and_gradients, static_argnums=(1, 5, 6))(
            params, model, text_ids, image_ids, jax.random.key(0), make_mesh(), parts
        )
        for parts in (1, 4)
    ]
    whole, parts = (jax_state.flatten(result) for result in results)
    for name in whole:
        np.testing.assert_allclose(parts[name], whole[name], rtol=1e-4, atol=1e-6, err_msg=name)


def test_wrong_tokens_and_missing_captions_are_refused():
    model, params = created()
    arguments = optimizer(60), 0.1, 0
    with pytest.raises(EaselError, match=r"\[8, 5\], must be \[8 pictures, 6\]"):
        DalleMiniTrainee(model, params, captions(), TOKENS[:, :5], *arguments)
    with pytest.raises(EaselError, match="run from 1 to 8, but the model has codes 0 to 7"):
        DalleMiniTrainee(model, params, captions(), TOKENS + 1, *arguments)
    with pytest.raises(EaselError, match="picture 1 has no caption"):
        Captions([{"en": ["a"]}, {"en": []}], encode)


def test_state_that_does_not_fit_is_refused_with_a_list():
    arrays = {"a/x": np.zeros(2, np.float32), "b": np.zeros(3, np.float32)}
    tree = {"a": {"x": np.zeros(2, np.float32)}, "b": np.ones(3, np.float32)}
    assert jax_state.flatten(tree).keys() == arrays.keys()
    np.testing.assert_array_equal(jax_state.restore(tree, arrays)["a"]["x"], [0, 0])
    with pytest.raises(EaselError, match="b is missing; c is unknown"):
        jax_state.restore(tree, {"a/x": arrays["a/x"], "c": arrays["b"]})
    with pytest.raises(EaselError, match=r"b is float32\[4\], must be float32\[3\]"):
        jax_state.restore(tree, arrays | {"b": np.zeros(4, np.float32)})
