"""Painting with a masked model (Muse, Chang et al. 2023, arXiv:2301.00704): pictures in a few parallel passes, in- and
outpainting, and editing without a mask (section 3)."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from lib.config_tree import Amount, Count, Guidance, Section, Share, Temperature, Weight
from lib.decoding import editing, masked
from lib.decoding.noise import RowRandom
from lib.decoding.orders import Order
from lib.models.masked_predictor import Guidance as GuidanceOverPasses
from lib.models.masked_predictor import MusePredictor
from lib.models.muse import Muse, MuseConfig
from lib.painter.model import Drawn, Editing, Model


class MaskedSampling(Section):
    """How a picture is unmasked; see `lib.decoding.masked.decode`."""

    guidance: Guidance
    """the largest scale; 1 is none"""
    ramp: bool
    """whether guidance rises over the passes"""
    order: Order
    """in which tokens are fixed"""
    noise: Weight
    """on confidence"""
    temperature: Temperature
    """of the draws of tokens"""
    steps: Count
    """passes"""
    top_k: Amount = 0
    """tokens that may be drawn; 0 is all"""


class Resampling(Section):
    """How a picture is edited without a mask; the values are the paper's. See `lib.decoding.editing.resample`."""

    guidance: Guidance = 4.0
    """scale; 1 is none"""
    temperature: Temperature = 1.0
    """of the draws of tokens"""
    top_k: Amount = 3
    """tokens that may be drawn; 0 is all"""
    iterations: Count = 100
    """passes"""
    share: Share = 0.08
    """of the tokens that a pass draws anew"""


class Masked(Editing):
    """A base model."""

    name, settings, resampling = "a masked model", MaskedSampling, Resampling
    network: Muse

    @staticmethod
    def build(meta: Mapping[str, Any]) -> Muse:
        return Muse(MuseConfig(**meta["config"]), torch.Generator())

    def draw(self, ids: Tensor, random: RowRandom, sampling: MaskedSampling) -> Drawn:
        found = unmasked(self, ids, random, sampling)
        return Drawn(found.tokens, found.passes)

    def fill(self, ids: Tensor, random: RowRandom, sampling: MaskedSampling, known: Tensor) -> Drawn:
        found = unmasked(self, ids, random, sampling, known=known)
        return Drawn(found.tokens, found.passes)

    def resample(self, ids: Tensor, random: RowRandom, sampling: Resampling, tokens: Tensor) -> Drawn:
        guidance = GuidanceOverPasses(sampling.guidance)
        predictor = MusePredictor(self.network, self.features(ids), guidance, top_k=sampling.top_k)
        options = {name: getattr(sampling, name) for name in ("iterations", "share", "temperature")}
        found = editing.resample(predictor, random, tokens, **options).tokens
        return Drawn(found, torch.full([len(found)], sampling.iterations))


def unmasked(
    model: Model,
    ids: Tensor,
    random: RowRandom,
    sampling: MaskedSampling,
    small: Tensor | None = None,
    known: Tensor | None = None,
    trace: bool = False,
) -> masked.Unmasked:
    """Tokens int64 [B, N] of a base model, or of one that enlarges the `small` pictures, int64 [B, small_length]."""
    guidance = GuidanceOverPasses(sampling.guidance, sampling.ramp)
    predictor = MusePredictor(model.network, model.features(ids), guidance, small=small, top_k=sampling.top_k)
    options = {name: getattr(sampling, name) for name in ("steps", "order", "noise", "temperature")}
    return masked.decode(predictor, random, known=known, columns=model.network.config.columns, trace=trace, **options)
