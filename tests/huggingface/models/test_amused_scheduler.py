"""Our decoder against diffusers' AmusedScheduler, on the noise that the scheduler drew: equal tokens pass by pass where
the rules are the same, and where they are not, what differs."""

import math

import pytest
import torch
from diffusers import AmusedScheduler
from diffusers.schedulers.scheduling_amused import gumbel_noise

from huggingface.models.amused import Amused, AmusedPredictor, confidence_noise
from lib.decoding.masked import decode
from lib.decoding.schedules import masked_counts
from lib.models.masked_predictor import Guidance
from lib.weights.torch_state import generator
from tests.decoding.toy_masked import Recorded, SmoothMasked, ToyMasked
from tests.huggingface.models.tiny_amused import CAPTIONS, CODES, MASK, NEGATIVE, SIDE, pipeline


class Recording(AmusedScheduler):
    """Notes the random numbers of every pass, as ours would draw them, and the tokens after it.

    Attributes:
        uniform: where each token that was drawn lies in the cumulative distribution of its prediction, [B, N] a pass.
        gumbel: noise on confidence, [B, N] a pass.
        tokens: int64 [B, N] a pass, the mask as the scheduler has it.
    """

    def step(self, model_output, timestep, sample, generator=None, **options):
        before = generator.get_state()
        found = super().step(model_output, timestep, sample, generator=generator, **options)
        flat = found.pred_original_sample.flatten(1)
        p = (model_output.flatten(2).transpose(1, 2) if model_output.ndim == 4 else model_output).softmax(2)
        again = torch.Generator().set_state(before)
        torch.multinomial(p.reshape(-1, p.shape[2]), 1, generator=again)  # past the numbers of the tokens
        drawn = flat.clamp(max=p.shape[2] - 1).unsqueeze(2)
        cumulative = p.double().cumsum(2).gather(2, drawn) - p.double().gather(2, drawn) / 2
        self.uniform.append((cumulative.squeeze(2) / p.double().sum(2)).float())
        self.gumbel.append(gumbel_noise(torch.zeros(flat.shape), generator=again))
        self.tokens.append(found.prev_sample.flatten(1))
        return found

    def set_timesteps(self, *arguments, **options):
        super().set_timesteps(*arguments, **options)
        self.uniform, self.gumbel, self.tokens = [], [], []

    def random(self):
        return Recorded(torch.stack(self.uniform), torch.stack(self.gumbel))


def run(network, steps, known, temperature=(2, 0), schedule="cosine", seed=0):
    """The scheduler's own loop over a network of ours, in the manner of its pipelines."""
    scheduler = Recording(network.codes, schedule)
    scheduler.set_timesteps(steps, temperature)
    random = generator(seed)
    sample = torch.where(known < 0, network.codes, known)
    share = (sample == network.codes).float().mean()
    for step in scheduler.timesteps:
        log_p = network.predict(sample, torch.zeros(network.rows))
        sample = scheduler.step(log_p, step, sample, starting_mask_ratio=share, generator=random).prev_sample
    return scheduler


def nothing_known(rows=12, length=16):
    return torch.full((rows, length), -1)


@pytest.fixture(scope="module")
def pipe():
    built = pipeline()
    built.scheduler = Recording(MASK)
    return built


@pytest.mark.parametrize("steps", [1, 2, 5, 8, 11])
@pytest.mark.parametrize("negative", [None, NEGATIVE])
def test_the_pipeline_draws_the_same_tokens_in_every_pass(pipe, steps, negative):
    """From captions to tokens, all networks included: guidance, negative captions, micro-conditions and schedule."""
    options = {"guidance_scale": 3.0, "negative_prompt": negative, "generator": generator(steps)}
    pipe(CAPTIONS, num_inference_steps=steps, output_type="latent", **options)
    model = Amused(pipe.transformer, pipe.vqvae, pipe.text_encoder, pipe.tokenizer, MASK)
    captions, away = model.read(CAPTIONS), None if negative is None else model.read(negative)
    predictor = AmusedPredictor(model, captions, Guidance(3.0), away)
    decoded = decode(predictor, pipe.scheduler.random(), steps=steps, noise=confidence_noise(2.0, steps), trace=True)
    expected = torch.stack(pipe.scheduler.tokens)
    assert torch.equal(decoded.trace.tokens, torch.where(expected == MASK, CODES, expected))
    assert (expected < CODES).sum() > 0 and expected.shape == (steps, 2, SIDE**2)


@pytest.mark.parametrize("schedule", ["cosine", "linear"])
@pytest.mark.parametrize("start", [0.0, 2.0, 4.5])
def test_schedules_and_temperatures(schedule, start):
    network = SmoothMasked(12, 16, 7)
    theirs = run(network, 5, nothing_known(), (start, 0), schedule)
    options = {"schedule": schedule, "noise": confidence_noise(start, 5), "trace": True}
    assert torch.equal(decode(network, theirs.random(), steps=5, **options).trace.tokens, torch.stack(theirs.tokens))


def test_inpainting_where_all_pictures_lack_equally_many():
    network, known = SmoothMasked(3, 16, 7), nothing_known(3)
    known[0, :6], known[1, 4:10], known[2, ::3] = 1, 2, 3
    theirs = run(network, 5, known)
    ours = decode(network, theirs.random(), steps=5, noise=confidence_noise(2.0, 5), known=known, trace=True)
    assert torch.equal(ours.trace.tokens, torch.stack(theirs.tokens))


@pytest.mark.parametrize(
    "wrong",
    [
        {"noise": 2.0},  # the temperature taken for the noise
        {"schedule": "linear"},
        {"order": "halton"},
        {"temperature": 0.9},
    ],
)
def test_other_rules_give_other_tokens(wrong):
    """So the tests above could fail."""
    network = SmoothMasked(12, 16, 7)
    theirs = run(network, 5, nothing_known())
    options = {"noise": confidence_noise(2.0, 5), "trace": True} | wrong
    ours = decode(network, theirs.random(), steps=5, **options)
    assert not torch.equal(ours.trace.tokens, torch.stack(theirs.tokens))


# --- Where the rules differ ---


def masks(scheduler, network):
    return [(tokens == network.codes).sum(1).tolist() for tokens in scheduler.tokens]


def test_float32_loses_a_token_at_two_thirds_of_the_passes():
    """cos(π/3) = 1/2, and half of 16 is 8: ours. In float32 it is 0.49999997, whose floor is 7."""
    network = SmoothMasked(1, 16, 7)
    theirs = [counts[0] for counts in masks(run(network, 12, nothing_known(1)), network)]
    ours = masked_counts("cosine", 16, 12)[1:]
    assert ours[7] == math.floor(16 * 0.5) == 8 and theirs[7] == 7
    assert [n for n, (a, b) in enumerate(zip(ours, theirs, strict=True)) if a != b] == [7]
    assert torch.cos(torch.tensor(2 / 3) * math.pi / 2) < 0.5
    assert masked_counts("cosine", 256, 12)[8] == 128  # of the published models' 256 tokens


def test_of_equal_confidences_the_scheduler_fixes_all():
    """A cut through sorted confidence, where all lie at the cut."""
    network = ToyMasked(rows=1, joint=torch.full((81,), 1 / 81, dtype=torch.float64))
    theirs = run(network, 4, nothing_known(1, 4), temperature=(0, 0))
    assert masks(theirs, network) == [[0], [0], [0], [0]]  # the first pass left nothing to the others
    ours = decode(network, theirs.random(), steps=4, noise=0.0)
    assert ours.accepted.tolist() == [[1, 1, 1, 1]]


def test_a_picture_that_lacks_less_than_there_are_passes():
    network, known = SmoothMasked(1, 16, 7), nothing_known(1)
    known[0, 2:] = 3  # two are unknown
    theirs = run(network, 5, known)
    assert masks(theirs, network) == [[1], [1], [1], [1], [0]]  # three passes fix nothing
    ours = decode(
        network, Recorded(*(torch.rand(5, 1, 16, generator=generator(1)) for _ in "un")), steps=5, known=known
    )
    assert ours.accepted.tolist() == [[1, 1]]


def test_pictures_that_lack_unequally_many_have_schedules_of_their_own():
    network, known = SmoothMasked(2, 16, 7), nothing_known(2)
    known[0, 4:] = 3  # 4 are unknown, and 16 in the other picture
    theirs = masks(run(network, 4, known), network)
    mean = [max(1, math.floor(10 * math.cos(math.pi / 8 * t))) for t in (1, 2, 3)]
    assert [counts[1] for counts in theirs[:3]] == mean  # as if each lacked 10
    ours = decode(
        network, Recorded(*(torch.rand(4, 2, 16, generator=generator(1)) for _ in "un")), steps=4, known=known
    )
    assert (16 - ours.accepted[1].cumsum(0)).tolist() == masked_counts("cosine", 16, 4)[1:]
    assert (4 - ours.accepted[0].cumsum(0)).tolist() == masked_counts("cosine", 4, 4)[1:]


def test_a_temperature_of_one_number_is_another_rule():
    """It ends at 0.01: no noise of ours, which ends at 0, falls like it."""
    scheduler = AmusedScheduler(MASK)
    scheduler.set_timesteps(5, (2, 0))
    ours = [confidence_noise(2.0, 5) * (1 - (number + 1) / 5) for number in range(5)]
    torch.testing.assert_close(torch.tensor(ours), scheduler.temperatures)
    scheduler.set_timesteps(5, 2)
    ratios = scheduler.temperatures[:-1] / torch.tensor([0.8, 0.6, 0.4, 0.2])
    assert ratios.max() - ratios.min() > 0.01 and scheduler.temperatures[-1] == pytest.approx(0.01)
