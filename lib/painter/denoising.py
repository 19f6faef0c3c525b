"""What the kinds of diffusion models have in common: noise levels as weights say that they were trained at."""

from collections.abc import Mapping
from typing import Any

import torch

from lib.decoding import diffusion
from lib.decoding.diffusion_schedules import NoiseSchedule, flow_levels, noise_schedule, spaced_levels
from lib.decoding.noise import RowRandom
from lib.models import unet
from lib.models.diffusion_predictor import DiffusionPredictor
from lib.models.unet import UNet
from lib.painter.model import Model


class Denoising(Model):
    """A model whose network is a U-Net."""

    network: UNet

    @staticmethod
    def build(meta: Mapping[str, Any]) -> UNet:
        return UNet(unet.config_of(meta["config"]), torch.Generator())

    @property
    def target(self) -> str:
        """What the network says, a `Target` of lib/decoding/diffusion_schedules.py."""
        return self.meta["target"]

    def schedule(self) -> NoiseSchedule:
        """The noise levels of its training."""
        return noise_schedule(**self.meta["noise"] | {"betas": tuple(self.meta["noise"]["betas"])})

    def denoised(self, predictor: DiffusionPredictor, random: RowRandom, steps: int) -> diffusion.Sampled:
        """Grids from noise that every picture draws for itself, in so many passes."""
        noise = self.meta["noise"]
        if noise["kind"] == "flow":
            levels = flow_levels(steps, noise["shift"])
        else:
            levels = spaced_levels(self.schedule(), steps, "trailing")
        return diffusion.sample(predictor, random.normal(*predictor.shape), levels)
