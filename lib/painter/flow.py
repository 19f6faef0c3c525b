"""Painting with a rectified flow over the vectors of an image tokenizer, whose network is a transformer of two streams
(AuraFlow's kind, lib/models/mmdit.py)."""

from collections.abc import Mapping
from typing import Any

import torch

from lib.models.mmdit import MMDiT, MMDiTConfig
from lib.painter.latent import Latent


class Flow(Latent):
    """Latent diffusion, by another network."""

    name = "rectified flow"
    network: MMDiT

    @staticmethod
    def build(meta: Mapping[str, Any]) -> MMDiT:
        return MMDiT(MMDiTConfig(**meta["config"]), torch.Generator())
