"""Painting with latent diffusion (Stable Diffusion's kind, Rombach et al. 2022, arXiv:2112.10752) over the vectors of
an image tokenizer: what is drawn is brought to the nearest codes."""

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from lib.config_tree import Count, Guidance, Section
from lib.decoding.diffusion_schedules import Spacing
from lib.decoding.noise import RowRandom
from lib.models.diffusion_predictor import DiffusionPredictor
from lib.models.pooled_unet import PooledUNet, PooledUNetConfig
from lib.painter.denoising import Denoising
from lib.painter.model import Drawn


class LatentSampling(Section):
    """How latents are denoised."""

    guidance: Guidance
    """scale; 1 is none"""
    steps: Count
    """passes"""
    spacing: Spacing = "trailing"
    """of the noise levels that passes visit, where they are not a flow's; leading as Stable Diffusion and Kolors were
    published: then the last level of training, the noisiest, is never visited"""


class Latent(Denoising):
    """Its vectors become tokens."""

    name, settings = "latent diffusion", LatentSampling

    def draw(self, ids: Tensor, random: RowRandom, sampling: LatentSampling) -> Drawn:
        predictor = DiffusionPredictor(self.network, self.features(ids), self.target, sampling.guidance)
        found = self.denoised(predictor, random, sampling.steps, sampling.spacing)
        vectors = F.normalize(found.grids.permute(0, 2, 3, 1), dim=-1)  # [B, d, h, w] → [B, h, w, d]
        return Drawn(self.tokenizer.quantizer.nearest(vectors).flatten(1), found.passes)


class PooledLatent(Latent):
    """Latent diffusion by a U-Net that reads the caption's mean as well (Kolors' kind, lib/models/pooled_unet.py)."""

    network: PooledUNet

    @staticmethod
    def build(meta: Mapping[str, Any]) -> PooledUNet:
        return PooledUNet(PooledUNetConfig.of(meta["config"]), torch.Generator())
