from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from scipy import stats

from lib.data.captions import Captions
from lib.errors import EaselError
from lib.models.muse import Muse, MuseConfig, MuseSuperResolution, SuperResolutionConfig
from lib.models.text_encoder import TextConfig, TextEncoder
from lib.training.loop import fit
from lib.training.masked_settings import MaskedTrainingParams, SuperResolutionParams
from lib.training.muse import (
    MaskedBatches,
    MuseTrainee,
    accuracy_by_rate,
    by_rate,
    draw_masks,
    draw_rates,
    masked_losses,
    measure,
)
from lib.training.order import BatchOrder
from lib.training.settings import DescentParams
from lib.weights.torch_state import generator
from tests.models.tiny_muse import BASE, LARGE, SMALL, base, large, text
from tests.training.test_autoregressive_training import encode as encode_letters

WIDTH = 16
CONFIG = MuseConfig(
    codes=8,
    code_width=8,
    rows=2,
    columns=4,
    text_width=16,
    text_layers=0,
    width=WIDTH,
    layers=2,
    heads=2,
    feed_forward=24,
    neighbours=True,
)
CODEBOOK = torch.eye(8)
SUPER = SuperResolutionConfig(
    **CONFIG.__dict__ | {"rows": 4, "columns": 8}, small_rows=2, small_columns=4, small_layers=1, block=2
)
# The picture of a letter: its number and three more than that, by turns; large, each cell of it four times.
TOKENS = (np.arange(8)[:, None] + 3 * (np.arange(8) % 2)) % 8
LARGE_TOKENS = TOKENS.reshape(8, 2, 4).repeat(2, axis=1).repeat(2, axis=2).reshape(8, 32)
UNIFORM = np.random.Generator(np.random.PCG64(0))


@cache
def captions():
    return Captions([{"en": [chr(97 + i)], "zh": [chr(97 + i) * 2]} for i in range(8)], encode_letters)


@cache
def reader():
    config = TextConfig(vocabulary=30, length=5, padding=0, width=16, layers=1, heads=2, feed_forward=24)
    return TextEncoder(config, generator(7))


def params(steps=60, *, rate="arccos", least=0.0, rise=0.0, average=0.9, **changes):
    rates = dict(learning_rate=0.02, adam_learning_rate=1e-2, warmup=2, decay=0.5, caption_dropout=0.0)
    training = DescentParams(steps=steps, batch_size=8, **rates | changes)
    return MaskedTrainingParams(rate=rate, least_rate=least, rise=rise, average=average, training=training)


def trainee(kind="base", **changes):
    if kind == "base":
        return made(Muse(CONFIG, generator(0), CODEBOOK), TOKENS, params(**changes))
    return made(MuseSuperResolution(SUPER, generator(0), CODEBOOK), LARGE_TOKENS, params(**changes), TOKENS)


def made(model, tokens, given, small=None):
    batches = MaskedBatches(model, captions(), tokens, reader().features, given, 3, small)
    return MuseTrainee(model, batches, given)


# The law of the masking rate (claim C32).


def arccos_law(r):
    """Distribution function of the density (2/π)(1 − r²)^(−1/2)."""
    return 2 / np.pi * np.arcsin(r)


def test_the_rate_has_the_law_of_the_paper():
    rates = draw_rates(UNIFORM.random(20_000), "arccos")
    assert stats.kstest(rates, arccos_law).pvalue > 0.01
    assert rates.mean() == pytest.approx(2 / np.pi, abs=0.01)
    assert (rates < 0.5).mean() == pytest.approx(1 / 3, abs=0.015)


def test_the_other_law_of_the_same_mean_is_told_apart():
    other = 2 / np.pi * np.arccos(UNIFORM.random(20_000))
    assert other.mean() == pytest.approx(2 / np.pi, abs=0.01)
    assert stats.kstest(other, arccos_law).pvalue < 1e-12


def test_the_uniform_law_and_a_floor():
    assert stats.kstest(draw_rates(UNIFORM.random(20_000), "uniform"), "uniform").pvalue > 0.01
    floored = draw_rates(UNIFORM.random(20_000), "arccos", 0.5)
    assert floored.min() == 0.5 and (floored == 0.5).mean() == pytest.approx(1 / 3, abs=0.015)


def test_rates_rise_to_those_of_the_law():
    """With the same random numbers: a fifth of the tokens at first, all of them after the rise."""
    settings = {"steps": 100, "rate": "uniform", "least": 0.75}
    tokens = np.zeros((8, 64), np.int64)
    model = Muse(replace(CONFIG, rows=8, columns=8), generator(0), CODEBOOK)

    def counts(step, rise):
        batches = MaskedBatches(model, captions(), tokens, torch.Tensor.clone, params(rise=rise, **settings), seed=1)
        return batches(step, np.arange(8))[3].sum(1)

    for step, share in ((0, 0.2), (10, 0.36), (25, 0.6), (49, 0.984), (50, 1.0), (99, 1.0)):
        assert (counts(step, 0.5) - share * counts(step, 0.0)).abs().max() <= 1, step
    held_out = MaskedBatches(model, captions(), tokens, reader().features, params(rise=0.5, **settings), seed=1)
    found = measure(model, held_out, 8)
    assert found["masked_25"] == found["masked_50"] == 0  # measured at the rates of the law


def test_the_trained_pictures_have_that_law():
    """Through the batches themselves: of 4,000 pictures of 64 tokens, counts follow the law, up to rounding."""
    config = replace(CONFIG, rows=8, columns=8)
    tokens = np.zeros((8, 64), np.int64)
    batches = MaskedBatches(
        Muse(config, generator(0), CODEBOOK), captions(), tokens, torch.Tensor.clone, params(), seed=1
    )
    counts = np.concatenate([batches(step, np.arange(8))[3].sum(1).numpy() for step in range(500)])
    edges = (np.arange(65) + 0.5) / 64  # count c stands for rates (c − ½) / 64 … (c + ½) / 64
    ends = arccos_law(np.minimum(edges, 1))
    expected = np.diff(ends)
    expected[0] += ends[0]  # at least one
    pooled = [counts.size * part.sum() for part in np.split(expected, 8)]
    observed = [part.sum() for part in np.split(np.bincount(counts, minlength=65)[1:], 8)]
    assert stats.chisquare(observed, pooled).pvalue > 0.01


def test_as_many_tokens_are_masked_as_the_rate_says():
    rates = np.linspace(0, 1, 101)
    masked = draw_masks(rates, 64, UNIFORM)
    assert masked.shape == (101, 64)
    np.testing.assert_array_equal(masked.sum(1), np.maximum(np.rint(64 * rates), 1))
    often = draw_masks(np.full(4000, 0.25), 8, UNIFORM)
    assert often.mean(0) == pytest.approx(0.25, abs=0.03)  # every place as often as any other
    pairs = often[:, 0] & often[:, 1]
    assert pairs.mean() == pytest.approx(2 / 8 * 1 / 7, abs=0.01)


# The loss.


@pytest.mark.parametrize("kind", ["base", "large"])
def test_the_loss_is_that_of_masked_tokens_alone(kind):
    model, config, small = (base(), BASE, ()) if kind == "base" else (large(), LARGE, (SMALL,))
    tokens = torch.randint(config.codes, (3, config.length), generator=generator(1))
    masked = torch.from_numpy(draw_masks(np.array([0.1, 0.5, 1.0]), config.length, UNIFORM))
    losses, right = masked_losses(model, text(), torch.zeros(3, dtype=torch.bool), tokens, masked, *small)
    given = torch.where(masked, config.codes, tokens)
    log_p = model.head(model.features(given, model.read(text(), None, *small))).log_softmax(-1)
    own = -log_p.gather(2, tokens[..., None])[..., 0]
    torch.testing.assert_close(losses, own[masked])
    assert torch.equal(right, (log_p.argmax(-1) == tokens)[masked])


def test_what_is_not_masked_has_no_part_in_the_loss():
    """The output layer's gradient comes from masked places alone: that of an unmasked token's code is the softmax's."""
    model = base().requires_grad_(True)
    tokens = torch.randint(6, (3, BASE.length), generator=generator(1))
    masked = torch.zeros(3, BASE.length, dtype=torch.bool)
    masked[:, 0] = True
    tokens[:, 0] = 6  # the only masked ones
    losses, _ = masked_losses(model, text(), torch.zeros(3, dtype=torch.bool), tokens, masked)
    gradient = torch.autograd.grad(losses.sum(), model.head.weight)[0]
    features = model.features(torch.where(masked, 7, tokens), model.read(text()))[:, 0]
    chances = model.head(features).softmax(-1)
    torch.testing.assert_close(gradient[:6], (chances.T @ features)[:6])
    assert len(losses) == 3


def test_captions_are_dropped_as_often_as_asked():
    def dropped(share, steps):
        model = Muse(CONFIG, generator(0), CODEBOOK)
        batches = MaskedBatches(model, captions(), TOKENS, torch.Tensor.clone, params(caption_dropout=share), seed=3)
        return np.mean([batches(step, np.arange(8))[1].numpy() for step in range(steps)])

    assert dropped(0.1, 1500) == pytest.approx(0.1, abs=0.01)  # dropped, not kept
    assert dropped(0.0, 20) == 0


def test_the_vector_of_dropped_captions_is_trained_by_those_alone():
    for dropout, trained in ((0.0, False), (0.999, True)):
        who = trainee(caption_dropout=dropout, steps=5)
        before = who.model.captions.dropped.detach().clone()
        for step in range(3):
            who.step(step, np.arange(8))
        assert torch.equal(who.model.captions.dropped, before) != trained


# Training.


@pytest.mark.parametrize("kind", ["base", "large"])
def test_it_learns_eight_pictures_by_heart(kind):
    who, order = trainee(kind, steps=150), BatchOrder(8, 8, 0)
    losses = [who.step(step, order.indices(step))["loss"] for step in range(150)]
    assert losses[0] == pytest.approx(np.log(8), abs=1e-5)
    assert np.mean(losses[-10:]) < 0.1
    who.batches.params = params(rate="uniform", least=0.99)  # all but one token masked, or all
    found = measure(who.average.network(), who.batches, 8)
    assert found["loss"] < 0.3
    assert accuracy_by_rate(found)[100] > 0.9


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
    assert whole.keys() == parts.keys() and any(name.startswith("average.model") for name in whole)
    for name in whole:
        np.testing.assert_array_equal(whole[name], parts[name], err_msg=name)


@pytest.mark.parametrize("kind", ["base", "large"])
def test_every_parameter_is_trained_once(kind):
    who = trainee(kind)
    groups = {name: one.param_groups for name, one in who.descent.optimizers.items()}
    found = [p for one in groups.values() for group in one for p in group["params"]]
    assert sorted(map(id, found)) == sorted(map(id, who.model.parameters()))
    names = {id(p): name for name, p in who.model.named_parameters()}
    by_muon = {names[id(p)] for p in groups["muon"][0]["params"]}
    products = {
        name
        for name in names.values()
        if name.startswith(("blocks.", "refiner.blocks.", "small_blocks.", "neighbours."))
        and name.endswith(".weight")
        and "_norm" not in name
    }
    assert by_muon == products
    assert ("small_blocks.0.attention.qkv.weight" in by_muon) == (kind == "large")


def test_the_average_is_that_of_the_weights_after_every_update():
    who, seen = trainee(steps=5, average=0.5), []
    for step in range(3):
        who.step(step, np.arange(8))
        seen.append(who.model.head.weight.detach().clone())
    expected = (0.125 * seen[0] + 0.25 * seen[1] + 0.5 * seen[2]) / 0.875
    torch.testing.assert_close(who.average.network().head.weight, expected)


def test_tokens_are_counted_by_the_rate_of_their_picture():
    masked = torch.zeros(5, 8, dtype=torch.bool)
    for row, count in enumerate((1, 2, 3, 8, 7)):
        masked[row, :count] = True
    right = torch.cat(
        [torch.tensor([True]), torch.zeros(2), torch.ones(3), torch.tensor([1, 0, 0, 0, 0, 0, 0, 0]), torch.zeros(7)]
    ).bool()
    numbers = {name: int(value) for name, value in by_rate(masked, right).items()}
    assert numbers == {
        **{"masked_25": 3, "right_25": 1, "masked_50": 3, "right_50": 3},
        **{"masked_75": 0, "right_75": 0, "masked_100": 15, "right_100": 1},
    }
    assert accuracy_by_rate(numbers) == {25: 1 / 3, 50: 1.0, 100: 1 / 15}


def test_what_does_not_fit_is_refused():
    model = Muse(CONFIG, generator(0), CODEBOOK)
    with pytest.raises(EaselError, match=r"\[8, 7\], must be \[8 pictures, 8\]"):
        made(model, TOKENS[:, :7], params())
    with pytest.raises(EaselError, match="reads no tokens of small pictures"):
        made(model, TOKENS, params(), TOKENS)
    with pytest.raises(EaselError, match="needs the tokens of small pictures"):
        made(MuseSuperResolution(SUPER, generator(0), CODEBOOK), LARGE_TOKENS, params())
    with pytest.raises(EaselError, match="must be one of arccos, uniform"):
        params(rate="cosine")
    with pytest.raises(EaselError, match=r"average is 1\.0, must be below 1"):
        params(average=1.0)
    with pytest.raises(EaselError, match="multi-axis attention halves them"):
        SuperResolutionParams(
            width=4, layers=1, heads=1, feed_forward=8, text_layers=0, small_layers=1, block=2, neighbours=True
        )
