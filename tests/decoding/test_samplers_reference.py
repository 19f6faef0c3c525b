"""Step for step the samplers do what schedulers of diffusers do: DDIM, Euler at Karras' levels, Euler on a flow."""

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, EulerDiscreteScheduler, FlowMatchEulerDiscreteScheduler

from lib.decoding.diffusion import sample
from lib.decoding.diffusion_schedules import flow_levels, karras_levels, noise_schedule, spaced_levels
from lib.weights.torch_state import generator

LEVELS, ENDS = 1000, (0.00085, 0.012)
BETAS = {"num_train_timesteps": LEVELS, "beta_start": ENDS[0], "beta_end": ENDS[1], "beta_schedule": "scaled_linear"}
STABLE = noise_schedule("scaled_linear", LEVELS, ENDS)
NAMES = {"epsilon": "epsilon", "v": "v_prediction", "x0": "sample"}
START = torch.randn(2, 3, 4, 4, generator=generator(1), dtype=torch.float64)


class Network:
    """Says something of every grid and time, whatever the target; keeps the grids that it saw."""

    rows, shape = 2, (3, 4, 4)

    def __init__(self, target):
        self.target, self.seen, self.times = target, [], []

    def predict(self, x, time):
        self.seen.append(x)
        self.times.append(float(time[0]))
        return said(x, time[0])

    def limit(self, clean):
        return clean


def said(x, time):
    return torch.tanh(x) * (0.3 + time) + 0.2 * torch.roll(x, 1, dims=3)


def ours(target, levels):
    """The grids that a network sees, its times, and the end."""
    network = Network(target)
    end = sample(network, START, levels).grids
    return [*network.seen, end], network.times


@pytest.mark.parametrize("spacing", ["leading", "trailing"])
@pytest.mark.parametrize("target", NAMES)
def test_ddim(target, spacing):
    scheduler = DDIMScheduler(
        **BETAS, clip_sample=False, prediction_type=NAMES[target], timestep_spacing=spacing, set_alpha_to_one=True
    )
    scheduler.set_timesteps(20)
    theirs, x = [START], START
    for step in scheduler.timesteps:
        x = scheduler.step(said(x, (step + 1) / LEVELS), step, x, eta=0.0).prev_sample
        theirs.append(x)
    grids, times = ours(target, spaced_levels(STABLE, 20, spacing))
    np.testing.assert_allclose(times, (scheduler.timesteps.numpy() + 1) / LEVELS, rtol=1e-6)
    same(grids, theirs)


@pytest.mark.parametrize("target", ["epsilon", "v"])
def test_euler_at_karras_levels(target):
    scheduler = EulerDiscreteScheduler(
        **BETAS, prediction_type=NAMES[target], use_karras_sigmas=True, timestep_spacing="linspace"
    )
    scheduler.set_timesteps(12)
    levels = karras_levels(STABLE, 12)
    sigmas = scheduler.sigmas.double()  # of x / α, the last one 0
    scale = (1 + sigmas**2).sqrt()
    theirs, x = [START], START * scale[0]
    for number, step in enumerate(scheduler.timesteps):
        seen = scheduler.scale_model_input(x, step)
        x = scheduler.step(said(seen, (step + 1) / LEVELS), step, x).prev_sample
        theirs.append(x / scale[number + 1])
    grids, times = ours(target, levels)
    np.testing.assert_allclose(times, (scheduler.timesteps.numpy() + 1) / LEVELS, rtol=1e-4)
    same(grids, theirs, 1e-4)


@pytest.mark.parametrize("shift", [1.0, 3.0])
def test_euler_on_a_flow(shift):
    scheduler = FlowMatchEulerDiscreteScheduler(num_train_timesteps=LEVELS, shift=shift)
    scheduler.set_timesteps(sigmas=np.linspace(1, 0, 11)[:-1].tolist())  # as pipelines do
    theirs, x = [START], START
    for step in scheduler.timesteps:
        x = scheduler.step(said(x, step / LEVELS), step, x).prev_sample
        theirs.append(x)
    grids, times = ours("flow", flow_levels(10, shift))
    np.testing.assert_allclose(times, scheduler.timesteps.numpy() / LEVELS, rtol=1e-6)
    same(grids, theirs)


def same(grids, theirs, tolerance=2e-5):
    """Schedulers compute their scales in float32."""
    assert len(grids) == len(theirs)
    for mine, its in zip(grids, theirs, strict=True):
        torch.testing.assert_close(mine.double(), its.double(), rtol=tolerance, atol=tolerance)
    assert (grids[-1] - grids[0]).abs().max() > 0.1
