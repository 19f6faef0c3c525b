"""Painting with a cascade of pixel diffusion models (Imagen's kind, Saharia et al. 2022, arXiv:2205.11487): one draws
small pictures, the next one enlarges them, and is told how much noise was added to what it enlarges (section 2.4)."""

import torch
from torch import Tensor

from lib.config_tree import PartialShare, Share, replace
from lib.decoding.noise import RowRandom
from lib.models.diffusion_predictor import DiffusionPredictor, augmented
from lib.models.latents import as_grids, as_pictures
from lib.models.patches import from_patches
from lib.models.unet import SmallPictures
from lib.painter.denoising import Denoising
from lib.painter.latent import LatentSampling
from lib.painter.model import Drawn


class PixelSampling(LatentSampling):
    """How pixels are denoised."""

    threshold: Share = 0.995
    """percentile of dynamic thresholding (section 2.3); see `lib.models.diffusion_predictor.DiffusionPredictor`"""


class CascadeSampling(PixelSampling):
    """How small pictures are enlarged; their guidance is the same."""

    augmentation: PartialShare
    """noise that is added to them, as a share of the levels of the training"""


class Pixels(Denoising):
    """The first of a cascade."""

    name, settings = "a diffusion model of pixels", PixelSampling

    def draw(self, ids: Tensor, random: RowRandom, sampling: PixelSampling) -> Drawn:
        return self.painted(ids, random, sampling, None)

    def painted(self, ids: Tensor, random: RowRandom, sampling: PixelSampling, small: SmallPictures | None) -> Drawn:
        """Pictures, from small ones or from none."""
        text = self.features(ids)
        predictor = DiffusionPredictor(
            self.network, text, self.target, sampling.guidance, small=small, percentile=sampling.threshold
        )
        found = self.denoised(predictor, random, sampling.steps)
        return Drawn(torch.from_numpy(from_patches(as_pictures(found.grids), self.meta["patch"])), found.passes)


class Cascade(Pixels):
    """The one that enlarges, and the one before it, which draws what it enlarges."""

    name, settings, enlarges = "a cascade of diffusion models", CascadeSampling, True

    def draw(self, ids: Tensor, random: RowRandom, sampling: CascadeSampling) -> Drawn:
        small = self.base.draw(ids, random, replace(self.base.sampling, guidance=sampling.guidance))
        grids = as_grids(small.pictures.numpy(), self.network.device)  # [B, 3, s, s]
        schedule = self.schedule()
        level = schedule.level(round(sampling.augmentation * len(schedule)))
        large = self.painted(ids, random, sampling, augmented(grids, random.normal(*grids.shape[1:]), level))
        return Drawn(large.pictures, small.passes + large.passes)
