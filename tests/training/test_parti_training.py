from dataclasses import replace

import numpy as np
import pytest
import torch

from lib.errors import EaselError
from lib.models.parti import Parti
from lib.training.averaged_settings import AveragedTrainingParams
from lib.training.loop import fit
from lib.training.order import BatchOrder
from lib.training.parti import PartiTrainee, TokenBatches, measure
from lib.training.settings import DescentParams
from lib.weights.torch_state import generator
from tests.training.test_muse_training import CODEBOOK, CONFIG, TOKENS, captions, reader

RATES = dict(learning_rate=0.02, adam_learning_rate=1e-2, warmup=2, decay=0.5)


def params(steps=60, caption_dropout=0.0):
    training = DescentParams(steps=steps, batch_size=8, caption_dropout=caption_dropout, **RATES)
    return AveragedTrainingParams(average=0.9, training=training)


def trainee(tokens=TOKENS, **changes):
    model, given = Parti(replace(CONFIG, neighbours=False), generator(0), CODEBOOK), params(**changes)
    return PartiTrainee(model, TokenBatches(model, captions(), tokens, reader().features, given, 3), given)


def trained(who, path, steps=60):
    return fit(
        who, name="t", steps=steps, order=BatchOrder(8, 8, 0), checkpoint=path / "c.safetensors", fingerprint="f"
    )


def test_a_picture_is_learned_for_every_caption(tmp_path):
    who = trainee()
    history = trained(who, tmp_path)
    assert history[0]["loss"] == pytest.approx(np.log(8), abs=0.05)  # every code the same probability
    averaged = who.average.network()
    assert measure(averaged, who.batches, 8) < 0.3
    text, dropped, tokens = who.batches(0, np.arange(8))
    assert (averaged(tokens, text, dropped).argmax(2) == tokens).float().mean() > 0.9


def test_what_no_caption_says_is_not_known(tmp_path):
    """Without captions the first token alone is a guess: it says which of the eight pictures it is."""
    who = trainee(caption_dropout=0.999999)
    trained(who, tmp_path)
    assert measure(who.average.network(), who.batches, 8) > 0.8 * np.log(8) / CONFIG.length


def test_the_loss_is_the_mean_over_all_tokens():
    who = trainee()
    text, dropped, tokens = who.batches(5, np.arange(8))
    log_p = who.model(tokens, text, dropped).log_softmax(2)
    expected = -log_p.gather(2, tokens[:, :, None]).mean()
    torch.testing.assert_close(who.loss(5, np.arange(8))[0], expected)


def test_interrupted_and_resumed_it_ends_the_same(tmp_path):
    whole, first, second = trainee(steps=8), trainee(steps=8), trainee(steps=8)
    for step in range(8):
        whole.step(step, np.arange(8))
    for step in range(4):
        first.step(step, np.arange(8))
    second.load_state(first.state())
    for step in range(4, 8):
        second.step(step, np.arange(8))
    for name, array in whole.state().items():
        assert np.array_equal(array, second.state()[name]), name


def test_tokens_that_do_not_fit_are_refused():
    with pytest.raises(EaselError, match=r"\[8, 7\], must be \[8 pictures, 8\]"):
        trainee(TOKENS[:, :7])
