from functools import cache

import numpy as np
import pytest
import torch

from lib.config_tree import replace
from lib.data.captions import Captions
from lib.decoding import noise_levels
from lib.errors import EaselError
from lib.models.autoregressive import Autoregressive, AutoregressiveConfig, nats
from lib.training import sjd2
from lib.training.loop import fit
from lib.training.order import BatchOrder
from lib.training.settings import DescentParams, Sjd2Params
from lib.training.sjd2 import Sjd2Trainee, draw_levels, losses_under_noise, nats_per_level
from lib.weights.torch_state import generator

CONFIG = AutoregressiveConfig(
    text_vocabulary=12,
    text_length=4,
    text_padding=0,
    codes=8,
    rows=3,
    columns=4,
    width=16,
    layers=1,
    heads=2,
    feed_forward=24,
)
TRAINING = DescentParams(
    steps=40, batch_size=8, learning_rate=0.02, adam_learning_rate=1e-2, warmup=0, decay=0.5, caption_dropout=0.1
)
PARAMS = Sjd2Params(
    model="large",
    levels="token",
    standardize=True,
    statistics="live",
    table_deviation=0.0,
    spacing="linear",
    denoising_steps=(2, 3),
    noisy_run=(3, 6),
    clean_share=0.5,
    jumps=0.0,
    training=TRAINING,
)
TOKENS = np.repeat(np.arange(8), 12).reshape(8, 12).astype(np.uint16)  # a picture is one token, twelve times


def encode(texts):
    """Every caption is begin, end: only the tokens before tell what comes next."""
    return np.tile(np.array([1, 2, 0, 0], np.int32), (len(texts), 1))


captions = cache(lambda: Captions([{"en": ["a"]}] * 8, encode))


def trainee(**changes):
    return Sjd2Trainee(Autoregressive(CONFIG, generator(0)), captions(), TOKENS, replace(PARAMS, **changes), seed=3)


def levels(params=PARAMS, rows=200, length=256, steps=5, seed=0):
    return draw_levels(np.random.default_rng(seed), rows, length, steps, params)


LONG = replace(PARAMS, noisy_run=(16, 64))


def test_levels_rise_in_segments_and_fall_back_to_clean_alone():
    found = levels(LONG)
    assert found.shape == (200, 256) and found.min() == 0 and found.max() == 5
    assert (found[:, 0] == 0).all()
    before, after = found[:, 1:-1], found[:, 2:]  # BOS hides what a stretch under it begins with
    rises, falls = after > before, after < before
    assert (after[rises] - before[rises] == 1).all()  # adjacent segments are at consecutive levels
    assert (before[falls] == 5).all()
    assert np.isin(after[falls], (0, 1)).all()  # after a stretch comes what is clean, or at once the next stretch
    assert falls.sum(axis=1).min() >= 1


def test_all_levels_are_as_frequent_and_clean_inputs_have_their_share():
    for clean in (0.3, 0.6):
        found = levels(replace(LONG, clean_share=clean), rows=1000)
        assert (found[:, 1:] == 0).mean() == pytest.approx(clean, abs=0.03)
        shares = np.bincount(found[found > 0], minlength=6)[1:] / (found > 0).sum()
        np.testing.assert_allclose(shares, 1 / 5, atol=0.03)
        # Stationary: the beginning of a picture is noisy as often as its end.
        assert (found[:, 1:65] == 0).mean() == pytest.approx((found[:, -64:] == 0).mean(), abs=0.06)


def test_jumps_begin_at_any_level():
    firsts = {}
    for jumps in (0.0, 1.0):
        found = levels(replace(LONG, jumps=jumps, clean_share=0.6), rows=400)
        begins = (found[:, 1:-1] == 0) & (found[:, 2:] > 0)
        firsts[jumps] = found[:, 2:][begins]
    assert (firsts[0.0] == 1).all()
    assert (firsts[1.0] == 5).mean() == pytest.approx(0.2, abs=0.05)


def test_more_levels_than_tokens_skip_some():
    found = levels(replace(PARAMS, noisy_run=(4, 4)), steps=50)
    assert found.max() <= 50 and len(np.unique(found)) == 51


def test_the_loss_is_the_mean_over_all_positions_clean_ones_too(monkeypatch):
    drawn, losses = [], 9 * torch.rand(8, 12, generator=generator(4))
    losses.requires_grad_(True)

    def known(model, text_ids, tokens, levels, times, noise):
        drawn.append(levels.numpy())
        return losses

    monkeypatch.setattr(sjd2, "losses_under_noise", known)
    loss, parts = trainee().loss(0, np.arange(8))
    loss.backward()
    values, noisy = losses.detach().numpy(), drawn[0] > 0
    assert 0.2 < noisy.mean() < 0.8
    assert loss.item() == pytest.approx(values.mean(), rel=1e-6)
    np.testing.assert_allclose(losses.grad, 1 / values.size, rtol=1e-6)  # every position weighs as much
    assert parts["noisy"].item() == pytest.approx(values[noisy].mean(), rel=1e-6)
    assert parts["clean"].item() == pytest.approx(values[~noisy].mean(), rel=1e-6)


def test_it_learns_to_look_through_the_noise():
    who, order = trainee(), BatchOrder(8, 8, 0)
    history = [who.step(step, order.indices(step)) for step in range(40)]
    assert history[0]["loss"] == pytest.approx(np.log(8), abs=1e-5)
    assert history[-1]["clean"] < 0.7 and history[-1]["noisy"] < 1.5
    text = captions().first()
    assert nats(who.model, text, TOKENS)[:, 1:].mean() < 0.4
    found = nats_per_level(who.model, text, TOKENS, 3, PARAMS, seed=1)
    assert found.shape == (4,) and found[1] < found[3]


def test_interrupted_training_ends_in_the_same_state_bit_for_bit(tmp_path):
    def run(folder, stop=None):
        who = trainee()
        where = {"checkpoint": folder / "c.safetensors", "fingerprint": "f", "order": BatchOrder(8, 4, 0), "name": "t"}
        if stop:
            fit(who, steps=stop, **where)
            who = trainee()
        return fit(who, steps=4, **where), who.state()

    (history, whole), (resumed, parts) = run(tmp_path / "a"), run(tmp_path / "b", stop=2)
    assert history == resumed
    assert whole.keys() == parts.keys() and {"model.mean", "model.deviation"} <= whole.keys()
    for name in whole:
        np.testing.assert_array_equal(whole[name], parts[name], err_msg=name)


def test_statistics_are_live_or_frozen_or_none():
    for changes, follows in (({}, True), ({"statistics": "frozen"}, False), ({"standardize": False}, False)):
        who = trainee(**changes)
        first = who.model.mean.clone()
        for step in range(2):
            who.step(step, np.arange(8))
        table = who.model.image_tokens.weight[:8].detach()
        assert torch.equal(first, who.model.mean) != follows
        if follows:
            torch.testing.assert_close(who.model.mean, table.mean(0))
            torch.testing.assert_close(who.model.deviation, table.std(0, correction=0))
    assert (who.model.mean == 0).all() and (who.model.deviation == 1).all()


def test_the_untuned_network_is_left_alone():
    model = Autoregressive(CONFIG, generator(0))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    who = Sjd2Trainee(model, captions(), TOKENS, replace(PARAMS, table_deviation=0.02), seed=3)
    assert who.model.image_tokens.weight[:8].var(0, correction=0).mean().sqrt().item() == pytest.approx(0.02, rel=1e-4)
    who.step(0, np.arange(8))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_noise_reaches_the_inputs_that_have_a_level():
    who = trainee(levels="none")
    model, text = who.model, torch.from_numpy(captions().first()).long()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator(1)))
    tokens, times = torch.from_numpy(TOKENS.astype(np.int64)), noise_levels.levels(2, "linear")
    noise = torch.randn(8, 12, 16, generator=generator(2))
    clean = losses_under_noise(model, text, tokens, torch.zeros_like(tokens), times, noise)
    np.testing.assert_allclose(clean.detach(), nats(model, captions().first(), TOKENS), atol=1e-5)
    some = torch.zeros_like(tokens)
    some[:, 7] = 2
    noisy = losses_under_noise(model, text, tokens, some, times, noise)
    moved = ((noisy - clean).abs() > 1e-5).any(dim=0)
    assert moved.tolist() == [False] * 7 + [True] * 5
    # At the top level nothing of the token is left.
    other = tokens.clone()
    other[:, 6] = (other[:, 6] + 1) % 8
    changed = losses_under_noise(model, text, other, some, times, noise)
    torch.testing.assert_close(changed[:, 7:], noisy[:, 7:])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"denoising_steps": (0,)}, r"denoising_steps\[0\] is 0, must be at least 1"),
        ({"noisy_run": (9, 3)}, "noisy_run must be two lengths, the smaller first"),
        ({"jumps": 2.0}, "jumps is 2.0, must be at most 1"),
        ({"clean_share": 1.0}, "clean_share is 1.0, must be below 1"),
    ],
)
def test_settings_out_of_range_are_refused(change, message):
    with pytest.raises(EaselError, match=message):
        replace(PARAMS, **change)
