from functools import cache

import numpy as np
import pytest
import torch

from lib.data.captions import Captions
from lib.errors import EaselError
from lib.models.autoregressive import Autoregressive, AutoregressiveConfig, nats
from lib.training.autoregressive import AutoregressiveTrainee, Batches
from lib.training.descent import share
from lib.training.loop import fit
from lib.training.order import BatchOrder
from lib.training.settings import DescentParams
from lib.weights.torch_state import generator

CONFIG = AutoregressiveConfig(
    text_vocabulary=30,
    text_length=5,
    text_padding=0,
    codes=8,
    rows=2,
    columns=3,
    width=16,
    layers=1,
    heads=2,
    feed_forward=24,
)
TOKENS = np.repeat(np.arange(8), 6).reshape(8, 6).astype(np.uint16)  # the picture of a letter: its number, six times


def encode(texts):
    """Begin 1, one token per letter from 3, end 2, padding 0."""
    ids = np.zeros((len(texts), 5), np.int32)
    for row, text in zip(ids, texts, strict=True):
        row[: len(text) + 2] = [1, *(3 + ord(letter) - ord("a") for letter in text), 2]
    return ids


@cache
def captions():
    return Captions([{"en": [chr(97 + i)], "zh": [chr(97 + i) * 2]} for i in range(8)], encode)


def params(steps=60, **changes):
    rates = dict(learning_rate=0.02, adam_learning_rate=1e-2, warmup=2, decay=0.5, caption_dropout=0.0)
    return DescentParams(steps=steps, batch_size=8, **rates | changes)


def trainee(**changes):
    return AutoregressiveTrainee(Autoregressive(CONFIG, generator(0)), captions(), TOKENS, params(**changes), seed=3)


def test_it_learns_pictures_from_captions():
    who, order = trainee(), BatchOrder(8, 8, 0)
    losses = [who.step(step, order.indices(step))["loss"] for step in range(60)]
    assert losses[0] == pytest.approx(np.log(8), abs=1e-5)  # the output layer starts at zero
    assert losses[-1] < 0.2
    text = captions().first()
    own, other = nats(who.model, text, TOKENS)[:, 0], nats(who.model, np.roll(text, 1, axis=0), TOKENS)[:, 0]
    assert own.mean() < 1 < other.mean()  # the first token follows from the caption alone


def test_interrupted_training_ends_in_the_same_state_bit_for_bit(tmp_path):
    def run(folder, stop=None):
        who = trainee(steps=6, caption_dropout=0.3)
        where = {"checkpoint": folder / "c.safetensors", "fingerprint": "f", "order": BatchOrder(8, 4, 0), "name": "t"}
        if stop:
            fit(who, steps=stop, **where)
            who = trainee(steps=6, caption_dropout=0.3)
        return fit(who, steps=6, **where), who.state()

    (history, whole), (resumed, parts) = run(tmp_path / "a"), run(tmp_path / "b", stop=3)
    assert history == resumed
    assert whole.keys() == parts.keys() and any("momentum" in name for name in whole)
    for name in whole:
        np.testing.assert_array_equal(whole[name], parts[name], err_msg=name)


def test_every_parameter_is_trained_once():
    who = trainee()
    found = [p for one in who.descent.optimizers.values() for group in one.param_groups for p in group["params"]]
    assert sorted(map(id, found)) == sorted(map(id, who.model.parameters()))
    names = {id(p): name for name, p in who.model.named_parameters()}
    by_muon = {names[id(p)] for p in who.descent.optimizers["muon"].param_groups[0]["params"]}
    parts = ("attention.qkv", "attention.out", "feed_forward.both", "feed_forward.out")
    assert by_muon == {f"blocks.0.{part}.weight" for part in parts}


def test_a_rescaled_table_is_trained_at_its_own_scale():
    models = [Autoregressive(CONFIG, generator(0)) for _ in range(2)]
    models[1].rescale_table(0.02)
    outputs = []
    for model in models:
        who = AutoregressiveTrainee(model, captions(), TOKENS, params(), seed=3)
        for step in range(3):
            who.step(step, np.arange(8))
        outputs.append(nats(model, captions().first(), TOKENS))
    np.testing.assert_allclose(*outputs, atol=1e-3)


def test_learning_rate_rises_stays_and_falls_to_almost_nothing():
    shares = [share(step, 100, warmup=4, decay=0.5) for step in range(100)]
    assert shares[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert shares[49:51] == [1.0, 1.0]
    assert shares[-1] == pytest.approx(1 / 50)
    assert share(99, 100, 0, 0.0) == 1.0


def test_batches_drop_captions_and_shared_padding():
    model = Autoregressive(CONFIG, generator(0))
    text, tokens = Batches(model, captions(), TOKENS, 0.0, seed=3)(0, np.arange(8))
    assert text.shape[1] == 4 and tokens.dtype == torch.int64
    np.testing.assert_array_equal(tokens, TOKENS)
    assert (text[:, 1].numpy() == 3 + np.arange(8)).all()
    text, _ = Batches(model, captions(), TOKENS, 0.999999, seed=3)(0, np.arange(8))
    assert text.tolist() == [[1, 2]] * 8


def test_wrong_tokens_are_refused():
    model = Autoregressive(CONFIG, generator(0))
    with pytest.raises(EaselError, match=r"\[8, 5\], must be \[8 pictures, 6\]"):
        AutoregressiveTrainee(model, captions(), TOKENS[:, :5], params(), seed=0)
    with pytest.raises(EaselError, match="run from 1 to 8, but the model has codes 0 to 7"):
        AutoregressiveTrainee(model, captions(), TOKENS + 1, params(), seed=0)


def test_settings_out_of_range_are_refused():
    with pytest.raises(EaselError, match=r"^DescentParams: warmup must lie below steps = 2\.$"):
        params(steps=2)
    with pytest.raises(EaselError, match=r"caption_dropout is 1\.0, must be below 1\.$"):
        params(caption_dropout=1.0)
