"""Painting with an autoregressive model that reads prompts through a text network (Parti's kind, Yu et al. 2022,
arXiv:2206.10789): a token after the other, with a cache."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from lib.config_tree import Amount, Guidance, Section, Temperature
from lib.decoding import autoregressive, filling
from lib.decoding.noise import RowRandom
from lib.models.autoregressive_predictor import Sampling
from lib.models.muse import MuseConfig
from lib.models.parti import Parti
from lib.models.parti_predictor import PartiPredictor
from lib.painter.model import Drawn, Filling


class AutoregressiveSampling(Section):
    """What tokens are drawn from; see `lib.models.autoregressive_predictor.Sampling`."""

    guidance: Guidance
    """scale; 1 is none"""
    temperature: Temperature
    """of the draws"""
    top_k: Amount = 0
    """tokens that may be drawn; 0 is all"""


class Autoregressive(Filling):
    """It fills gaps in reading order, and sees of what is known only what stands before."""

    name, settings = "an autoregressive model", AutoregressiveSampling
    network: Parti

    @staticmethod
    def build(meta: Mapping[str, Any]) -> Parti:
        return Parti(MuseConfig(**meta["config"]), torch.Generator())

    def draw(self, ids: Tensor, random: RowRandom, sampling: AutoregressiveSampling) -> Drawn:
        found = autoregressive.decode(self._seen(ids, sampling), random)
        return Drawn(found.tokens, found.passes)

    def fill(self, ids: Tensor, random: RowRandom, sampling: AutoregressiveSampling, known: Tensor) -> Drawn:
        found = filling.decode(self._seen(ids, sampling), random, known)
        return Drawn(found.tokens, found.passes)

    def _seen(self, ids: Tensor, sampling: AutoregressiveSampling) -> PartiPredictor:
        return PartiPredictor(self.network, self.features(ids), Sampling(**dict(sampling)))
