from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from scipy import stats

from lib.data.captions import Captions
from lib.decoding.diffusion import sample
from lib.decoding.diffusion_schedules import flow_levels, noise_schedule, spaced_levels
from lib.decoding.noise import RowRandom
from lib.errors import EaselError
from lib.models.diffusion_predictor import DiffusionPredictor, augmented
from lib.models.latents import as_grids
from lib.models.text_encoder import TextConfig, TextEncoder
from lib.models.unet import UNet, UNetConfig
from lib.training.diffusion import DiffusionTrainee, NoisyBatches, draw_numbers, measure
from lib.training.diffusion_settings import (
    DiffusionTrainingParams,
    EnlargingTrainingParams,
    NoiseParams,
    UNetParams,
)
from lib.training.loop import fit
from lib.training.order import BatchOrder
from lib.training.settings import DescentParams
from lib.weights.torch_state import generator
from tests.training.test_autoregressive_training import encode as encode_letters

CONFIG = UNetConfig(
    channels=2,
    rows=4,
    columns=4,
    text_width=16,
    text_layers=0,
    widths=(16, 16),
    blocks=1,
    attention=(1,),
    head_width=8,
    feed_forward=2,
)
ENLARGING = replace(CONFIG, small_channels=3)
RANDOM = np.random.Generator(np.random.PCG64(0))
# The picture of a letter: four cells of either sign, each as large as four of the picture's.
CELLS = np.sign(RANDOM.standard_normal((8, 2, 2, 2))).astype(np.float32)
LATENTS = CELLS.repeat(2, axis=2).repeat(2, axis=3)
SMALL = RANDOM.integers(0, 256, (8, 2, 2, 3), np.uint8)
EVERYONE = np.arange(8)


@cache
def captions():
    return Captions([{"en": [chr(97 + i)], "zh": [chr(97 + i) * 2]} for i in range(8)], encode_letters)


@cache
def reader():
    config = TextConfig(vocabulary=30, length=5, padding=0, width=16, layers=1, heads=2, feed_forward=24)
    return TextEncoder(config, generator(7))


def noise(kind="cosine", steps=100, betas=(), shift=1.0, zero_terminal_snr=False):
    return NoiseParams(kind=kind, steps=steps, betas=betas, shift=shift, zero_terminal_snr=zero_terminal_snr)


def params(steps=60, *, schedule=None, target="v", times="uniform", augmentation=None, **changes):
    rates = dict(learning_rate=0.02, adam_learning_rate=5e-3, warmup=2, decay=0.5, caption_dropout=0.0)
    training = DescentParams(steps=steps, batch_size=8, **rates | changes)
    kind = DiffusionTrainingParams if augmentation is None else EnlargingTrainingParams
    more = {} if augmentation is None else {"augmentation": augmentation}
    return kind(noise=schedule or noise(), target=target, times=times, average=0.9, training=training, **more)


def trainee(**changes):
    return made(UNet(CONFIG, generator(0)), LATENTS, params(**changes))


def enlarging(**changes):
    model = UNet(ENLARGING, generator(0))
    given = params(**{"augmentation": 0.5} | changes)
    return made(model, LATENTS, given, SMALL)


def made(model, pictures, given, small=None):
    batches = NoisyBatches(model, captions(), pictures, reader().features, given, 3, small)
    return DiffusionTrainee(model, batches, given)


# What the network is shown.


@pytest.mark.parametrize(("kind", "target"), [("cosine", "epsilon"), ("cosine", "v"), ("flow", "flow")])
def test_noise_and_target_are_those_of_the_level(kind, target):
    batches = trainee(schedule=noise(kind), target=target).batches
    schedule = noise_schedule(kind, 100)
    for step in range(5):
        batch = batches(step, EVERYONE)
        for row, time in enumerate(batch.times):
            at = int((schedule.times - time).abs().argmin())
            assert float(schedule.times[at]) == pytest.approx(float(time))
            alpha, sigma = float(schedule.alphas[at]), float(schedule.sigmas[at])
            hidden = (batch.x[row] - alpha * torch.from_numpy(LATENTS[row])) / sigma
            wanted = {
                "epsilon": hidden,
                "v": alpha * hidden - sigma * torch.from_numpy(LATENTS[row]),
                "flow": hidden - torch.from_numpy(LATENTS[row]),
            }[target]
            torch.testing.assert_close(batch.wanted[row], wanted, atol=2e-3, rtol=1e-3)


def test_noise_is_standard_normal_and_every_updates_own():
    batches = trainee(target="epsilon").batches
    drawn = torch.stack([batches(step, EVERYONE).wanted for step in range(40)])
    assert stats.kstest(drawn.flatten().numpy(), "norm").pvalue > 0.01
    assert torch.equal(batches(7, EVERYONE).wanted, drawn[7])
    assert (drawn[0] - drawn[1]).abs().min() > 0


def test_levels_have_the_law_that_is_asked_for():
    uniform = draw_numbers("uniform", 10, 20_000, RANDOM)
    assert stats.chisquare(np.bincount(uniform, minlength=11)[1:]).pvalue > 0.01
    found = draw_numbers("logit_normal", 10, 20_000, RANDOM)
    ends = stats.norm.cdf(np.log(np.arange(1, 10) / (10 - np.arange(1, 10))))
    expected = np.diff(ends, prepend=0, append=1) * 20_000
    assert stats.chisquare(np.bincount(found, minlength=11)[1:], expected).pvalue > 0.01


@pytest.mark.parametrize("highest", [0.0, 0.3, 1.0])
def test_the_small_picture_has_noise_of_the_level_that_is_told(highest):
    batches, schedule = enlarging(augmentation=highest).batches, noise_schedule("cosine", 100)
    grids, levels = as_grids(SMALL, torch.device("cpu")), []
    for step in range(60):
        batch = batches(step, EVERYONE)
        levels += (batch.small.times * 100).round().int().tolist()
        added = batch.small.grids - torch.stack(
            [schedule.level(level)[1] * grid for level, grid in zip(levels[-8:], grids, strict=True)]
        )
        sizes = torch.tensor([schedule.level(level)[2] for level in levels[-8:]])
        assert ((added.flatten(1).std(dim=1) / sizes.clamp(min=1e-9) < 2) | (sizes == 0)).all()
        assert (added[sizes == 0] == 0).all()
    assert min(levels) == 0 and max(levels) <= 100 * highest
    assert np.mean(levels) == pytest.approx(50 * highest, abs=0.1 * 100 * highest)


def test_captions_are_dropped_as_often_as_asked():
    def dropped(share, steps):
        batches = trainee(caption_dropout=share).batches
        batches.encode = torch.Tensor.clone
        return np.mean([batches(step, EVERYONE).dropped.numpy() for step in range(steps)])

    assert dropped(0.1, 1000) == pytest.approx(0.1, abs=0.012)
    assert dropped(0.0, 20) == 0


# Training.


@pytest.mark.parametrize(("kind", "target"), [("cosine", "v"), ("flow", "flow")])
def test_it_learns_to_draw_its_pictures(kind, target):
    who = trainee(steps=120, schedule=noise(kind), target=target)
    for step in range(120):
        who.step(step, EVERYONE)
    network = who.average.network()
    text = reader().features(torch.from_numpy(captions().first().astype(np.int64)))
    predictor = DiffusionPredictor(network, text, target)
    levels = flow_levels(10) if kind == "flow" else spaced_levels(noise_schedule("cosine", 100), 10, "trailing")
    found = sample(predictor, RowRandom(range(8)).normal(*predictor.shape), levels).grids
    assert (found.sign() == torch.from_numpy(LATENTS)).float().mean() > 0.9  # each its own caption's


def test_one_picture_is_learned_whatever_its_caption():
    model = UNet(CONFIG, generator(0))
    pictures = np.repeat(LATENTS[:1], 8, axis=0)
    who = made(model, pictures, params(40, target="epsilon"))
    losses = [who.step(step, EVERYONE)["loss"] for step in range(40)]
    assert losses[0] == pytest.approx(1, abs=0.2)  # says 0 of standard normal numbers
    assert np.mean(losses[-10:]) < 0.5 * np.mean(losses[:10])


def test_a_network_that_enlarges_reads_the_small_picture():
    """Its pictures follow from the small ones alone: the sign of the small picture's first channel."""
    model = UNet(replace(ENLARGING, channels=1), generator(0))
    pictures = (
        np.where(SMALL[:, None, :, :, 0] > 127, np.float32(1), np.float32(-1)).repeat(2, axis=2).repeat(2, axis=3)
    )
    given = params(60, augmentation=0.3, caption_dropout=0.999)
    who = made(model, pictures, given, SMALL)
    for step in range(60):
        who.step(step, EVERYONE)
    text = reader().features(torch.from_numpy(captions().first().astype(np.int64)))
    schedule, random = noise_schedule("cosine", 100), RowRandom(range(8))
    grids = as_grids(SMALL, torch.device("cpu"))
    small = augmented(grids, random.normal(*grids.shape[1:]), schedule.level(1))
    predictor = DiffusionPredictor(who.average.network(), text, "v", small=small)
    found = sample(predictor, random.normal(*predictor.shape), spaced_levels(schedule, 8, "trailing")).grids
    assert (found.sign() == torch.from_numpy(pictures)).float().mean() > 0.85


@pytest.mark.parametrize("make", [trainee, enlarging])
def test_interrupted_training_ends_in_the_same_state_bit_for_bit(make, tmp_path):
    def run(folder, stop=None):
        who = make(steps=6, caption_dropout=0.3)
        where = {"checkpoint": folder / "c.safetensors", "fingerprint": "f", "order": BatchOrder(8, 4, 0), "name": "t"}
        if stop:
            fit(who, steps=stop, **where)
            who = make(steps=6, caption_dropout=0.3)
        return fit(who, steps=6, **where), who.state()

    (history, whole), (resumed, parts) = run(tmp_path / "a"), run(tmp_path / "b", stop=3)
    assert history == resumed
    assert whole.keys() == parts.keys() and any(name.startswith("average.model") for name in whole)
    for name in whole:
        np.testing.assert_array_equal(whole[name], parts[name], err_msg=name)


def test_every_parameter_is_trained_once():
    who = enlarging()
    groups = {name: one.param_groups for name, one in who.descent.optimizers.items()}
    found = [p for one in groups.values() for group in one for p in group["params"]]
    assert sorted(map(id, found)) == sorted(map(id, who.model.parameters()))
    names = {id(p): name for name, p in who.model.named_parameters()}
    by_muon = {names[id(p)] for p in groups["muon"][0]["params"]}
    kinds = dict(who.model.named_modules())
    convolutions = {name for name, part in kinds.items() if isinstance(part, torch.nn.Conv2d)} - {"stem", "head"}
    products = {name for name, part in kinds.items() if ".transformer." in name and isinstance(part, torch.nn.Linear)}
    assert by_muon == {f"{name}.weight" for name in convolutions | products}
    assert {"middle.0.transformer.cross.query.weight", "down.0.0.residual.conv1.weight"} <= by_muon


def test_held_out_loss_by_the_quarter_of_the_time():
    who = trainee(target="epsilon")
    found = measure(who.model, who.batches, 8, batch_size=3)
    parts = [who.batches(start, np.arange(start, min(start + 3, 8))) for start in (0, 3, 6)]
    errors = torch.cat([part.wanted.square().mean((1, 2, 3)) for part in parts])  # it says 0 still
    times = torch.cat([part.times for part in parts])
    assert found["loss"] == pytest.approx(float(errors.mean()), rel=1e-5)
    for end in (25, 50, 75, 100):
        inside = (times > end / 100 - 0.25) & (times <= end / 100)
        assert (f"loss_{end}" in found) == bool(inside.any())
        if inside.any():
            assert found[f"loss_{end}"] == pytest.approx(float(errors[inside].mean()), rel=1e-5)


def test_what_does_not_fit_is_refused():
    model, encode = UNet(CONFIG, generator(0)), reader().features
    with pytest.raises(EaselError, match=r"pictures are \[2, 4, 3\], the network is for"):
        NoisyBatches(model, captions(), LATENTS[:, :, :, :3], encode, params(), 0)
    with pytest.raises(EaselError, match="captions of 8 pictures, but 7 pictures"):
        NoisyBatches(model, captions(), LATENTS[:7], encode, params(), 0)
    for given, small in ((params(), SMALL), (params(augmentation=0.5), None)):
        with pytest.raises(EaselError, match="for a network that enlarges, and for no other"):
            NoisyBatches(model, captions(), LATENTS, encode, given, 0, small)
    with pytest.raises(EaselError, match="for a network that enlarges, and for no other"):
        NoisyBatches(UNet(ENLARGING, generator(0)), captions(), LATENTS, encode, params(augmentation=0.5), 0)


def test_settings_that_contradict_each_other_are_refused():
    for kind, betas in (("linear", ()), ("linear", (0.1,)), ("cosine", (0.1, 0.2))):
        with pytest.raises(EaselError, match="linear kinds have two, others none"):
            noise(kind, betas=betas)
    with pytest.raises(EaselError, match="is for other kinds than flow"):
        noise("flow", zero_terminal_snr=True)
    for target, kind in (("flow", "cosine"), ("v", "flow")):
        with pytest.raises(EaselError, match="go together"):
            params(target=target, schedule=noise(kind))
    with pytest.raises(EaselError, match="nothing at a level of noise alone"):
        params(target="epsilon", schedule=noise(zero_terminal_snr=True))
    sizes = dict(widths=(16, 24), blocks=1, head_width=8, feed_forward=2, text_layers=0)
    assert UNetParams(attention=(1,), **sizes).widths == (16, 24)
    with pytest.raises(EaselError, match="attention must be levels 0 … 1"):
        UNetParams(attention=(2,), **sizes)
