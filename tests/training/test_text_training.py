import numpy as np
import pytest
import torch

from lib.errors import EaselError
from lib.models.text_encoder import LanguageModel, SpanModel, TextConfig, TextEncoder
from lib.training.loop import fit
from lib.training.masked_settings import SpanTrainingParams, TextTrainingParams, TransformerParams
from lib.training.order import BatchOrder
from lib.training.settings import DescentParams
from lib.training.spans import corrupt, gaps, most_gaps
from lib.training.text import LanguageTrainee, SpanTrainee
from lib.weights.torch_state import generator

CONFIG = TextConfig(vocabulary=12, length=8, padding=0, width=16, layers=1, heads=2, feed_forward=24, marks=2)
# Begin 1, a letter 3 … 9 several times, end 2.
TEXTS = np.array([[1, *[3 + n % 7] * (3 + n % 4), 2, *[0] * (3 - n % 4)] for n in range(28)])
RANDOM = np.random.Generator(np.random.PCG64(0))


def descent(steps=80, **changes):
    rates = dict(learning_rate=0.02, adam_learning_rate=1e-2, warmup=2, decay=0.5, caption_dropout=0.0)
    return DescentParams(steps=steps, batch_size=14, **rates | changes)


def spans(**changes):
    return SpanTrainingParams(masked=0.4, span=2.0, decoder_layers=1, training=descent(**changes))


def span_trainee(**changes):
    model = SpanModel(TextEncoder(CONFIG, generator(0)), 1, generator(1))
    return SpanTrainee(model, TEXTS, spans(**changes), seed=3)


def language_trainee(**changes):
    return LanguageTrainee(LanguageModel(CONFIG, generator(0)), TEXTS, TextTrainingParams(training=descent(**changes)))


@pytest.mark.parametrize("length", range(3, 30))
@pytest.mark.parametrize(("masked", "span"), [(0.15, 3.0), (0.5, 1.0), (1.0, 5.0)])
def test_filling_the_gaps_gives_the_text_back(length, masked, span):
    cut, count = gaps(length, masked, span)
    assert 1 <= count <= cut and count <= most_gaps(length, masked, span)
    text = 100 + np.arange(length)
    inputs, targets = corrupt(text, masked, span, 200, RANDOM)
    assert len(inputs) == length - cut + count and len(targets) == cut + count
    assert inputs[0] == text[0] and inputs[-1] == text[-1]  # begin and end of a caption stay
    marks = targets[targets >= 200]
    assert marks.tolist() == inputs[inputs >= 200].tolist() == [200 + k for k in range(count)]
    found = []
    for token in inputs:
        if token < 200:
            found.append(token)
            continue
        place = int(np.flatnonzero(targets == token)[0]) + 1
        while place < len(targets) and targets[place] < 200:
            found.append(targets[place])
            place += 1
    assert found == text.tolist()


def test_every_token_but_the_ends_is_cut_as_often():
    text = np.arange(10)
    often = np.zeros(10)
    for _ in range(4000):
        _, targets = corrupt(text, 0.2, 2.0, 200, RANDOM)
        often[targets[targets < 200]] += 1
    assert often[0] == often[-1] == 0
    assert often[2:-2] / 4000 == pytest.approx(2 / 7, abs=0.04)  # one gap of two, seven places for it


def test_batches_are_texts_with_gaps_and_what_was_in_them():
    who = span_trainee()
    inputs, targets = who.draw(np.arange(14), np.random.Generator(np.random.PCG64(1)))
    assert inputs.dtype == targets.dtype == torch.int64 and len(inputs) == len(targets) == 14
    assert (inputs[:, 0] == 1).all() and (targets[:, 0] == 12).all()
    letters = np.where((targets > 2) & (targets < 12), targets, 0).max(1)
    assert letters.tolist() == [3 + n % 7 for n in range(14)]


@pytest.mark.parametrize("make", [span_trainee, language_trainee])
def test_it_learns_texts(make):
    who, order = make(), BatchOrder(28, 14, 0)
    losses = [who.step(step, order.indices(step))["loss"] for step in range(80)]
    assert losses[0] == pytest.approx(np.log(CONFIG.ids), abs=1e-5)
    # A letter follows from its neighbours; from what comes before, all but the first one and where the text ends.
    assert np.mean(losses[-5:]) < (0.3 if make is span_trainee else 0.9)


def test_padding_is_no_target():
    who = language_trainee()
    for step in range(5):
        who.step(step, np.arange(14))
    both, first, second = (who.loss(0, np.array(rows))[0].item() for rows in ([0, 3], [0], [3]))
    counts = [(TEXTS[n] != 0).sum() - 1 for n in (0, 3)]
    assert both == pytest.approx(np.average([first, second], weights=counts), rel=1e-5)


@pytest.mark.parametrize("make", [span_trainee, language_trainee])
def test_interrupted_training_ends_in_the_same_state_bit_for_bit(make, tmp_path):
    def run(folder, stop=None):
        who = make(steps=6)
        where = {"checkpoint": folder / "c.safetensors", "fingerprint": "f", "order": BatchOrder(28, 4, 0), "name": "t"}
        if stop:
            fit(who, steps=stop, **where)
            who = make(steps=6)
        return fit(who, steps=6, **where), who.state()

    (history, whole), (resumed, parts) = run(tmp_path / "a"), run(tmp_path / "b", stop=3)
    assert history == resumed and whole.keys() == parts.keys()
    for name in whole:
        np.testing.assert_array_equal(whole[name], parts[name], err_msg=name)


@pytest.mark.parametrize("make", [span_trainee, language_trainee])
def test_every_parameter_is_trained_once(make):
    who = make()
    found = [p for one in who.descent.optimizers.values() for group in one.param_groups for p in group["params"]]
    assert sorted(map(id, found)) == sorted(map(id, who.model.parameters()))


def test_what_does_not_fit_is_refused():
    model, settings = LanguageModel(CONFIG, generator(0)), TextTrainingParams(training=descent())
    with pytest.raises(EaselError, match=r"\[28, 9\], must be \[texts, up to 8\]"):
        LanguageTrainee(model, np.pad(TEXTS, ((0, 0), (0, 1))), settings)
    with pytest.raises(EaselError, match="ids 0 to 13, must be 0 to 11"):
        LanguageTrainee(model, np.where(TEXTS == 9, 13, TEXTS), settings)
    with pytest.raises(EaselError, match="leave empty captions out"):
        LanguageTrainee(model, np.array([[1, 2, 0]]), settings)
    few = SpanTrainingParams(masked=0.5, span=1.0, decoder_layers=1, training=descent())
    with pytest.raises(EaselError, match="the encoder has 2 marks, but these texts have up to 3 gaps"):
        SpanTrainee(SpanModel(TextEncoder(CONFIG, generator(0)), 1, generator(1)), TEXTS, few, 0)
    with pytest.raises(EaselError, match="caption_dropout must be 0"):
        TextTrainingParams(training=descent(caption_dropout=0.1))
    with pytest.raises(EaselError, match="four times as many must divide width = 20"):
        TransformerParams(width=20, layers=1, heads=2, feed_forward=8)
