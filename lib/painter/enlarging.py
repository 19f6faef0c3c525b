"""Painting with a masked model that enlarges (Muse, Chang et al. 2023, arXiv:2301.00704, section 2.4): another one
draws the small picture."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from lib.decoding.noise import RowRandom
from lib.models.muse import MuseSuperResolution, SuperResolutionConfig
from lib.painter.masked import MaskedSampling, unmasked
from lib.painter.model import Drawn, Model


class Enlarging(Model):
    """A super-resolution model, and the base model, which draws in its own usual settings."""

    name, settings, enlarges = "a masked model that enlarges", MaskedSampling, True
    network: MuseSuperResolution

    @staticmethod
    def build(meta: Mapping[str, Any]) -> MuseSuperResolution:
        return MuseSuperResolution(SuperResolutionConfig(**meta["config"]), torch.Generator())

    def draw(self, ids: Tensor, random: RowRandom, sampling: MaskedSampling) -> Drawn:
        small = self.base.draw(ids, random, self.base.sampling)
        large = unmasked(self, ids, random, sampling, small.pictures)
        return Drawn(large.tokens, small.passes + large.passes)
