"""Painting with latent diffusion (Stable Diffusion's kind, Rombach et al. 2022, arXiv:2112.10752) over the vectors of
an image tokenizer: what is drawn is brought to the nearest codes."""

import torch.nn.functional as F
from torch import Tensor

from lib.config_tree import Count, Guidance, Section
from lib.decoding.noise import RowRandom
from lib.models.diffusion_predictor import DiffusionPredictor
from lib.painter.denoising import Denoising
from lib.painter.model import Drawn


class LatentSampling(Section):
    """How latents are denoised."""

    guidance: Guidance
    """scale; 1 is none"""
    steps: Count
    """passes"""


class Latent(Denoising):
    """Its vectors become tokens."""

    name, settings = "latent diffusion", LatentSampling

    def draw(self, ids: Tensor, random: RowRandom, sampling: LatentSampling) -> Drawn:
        predictor = DiffusionPredictor(self.network, self.features(ids), self.target, sampling.guidance)
        found = self.denoised(predictor, random, sampling.steps)
        vectors = F.normalize(found.grids.permute(0, 2, 3, 1), dim=-1)  # [B, d, h, w] → [B, h, w, d]
        return Drawn(self.tokenizer.quantizer.nearest(vectors).flatten(1), found.passes)
