"""What samplers see of a U-Net: noisy grids in, what the network was trained to say of them out (`NoisePredictor` of
lib/decoding/diffusion.py).

Captions, classifier-free guidance (Ho and Salimans 2022, arXiv:2207.12598), negative captions and Imagen's dynamic
thresholding are in here. What the network reads of captions is computed once for all passes.
"""

import torch
from torch import Tensor

from lib.errors import EaselError
from lib.models.text_encoder import TextFeatures
from lib.models.unet import SmallPictures, UNet


class DiffusionPredictor:
    """Predictions of one batch of captions.

    Args:
        text: features of the captions.
        target: what the network was trained to say, a `Target` of lib/decoding/diffusion_schedules.py.
        guidance: g in uncond + g · (cond − uncond); at 1, the model as it is, no unconditional rows are computed.
        negative: of captions to lead away from, one for each of `text`, in the place of the dropped caption; None: the
            dropped caption.
        small: small pictures, noise added, for a network that enlarges and no other.
        percentile: of dynamic thresholding (Imagen, Saharia et al. 2022, arXiv:2205.11487, section 2.3), above 0 and up
            to 1, for pixels in −1 … 1: that share of a picture's clean values in size, where it is above 1, becomes 1,
            and what is beyond it is clipped. None for latents, which have no bounds.

    Attributes:
        rows: pictures drawn at once, B.
        shape: of a grid, (C, H, W).

    Raises:
        EaselError: a caption without a token, settings out of range, or not as many negative captions or small pictures
            as captions.
    """

    def __init__(
        self,
        model: UNet,
        text: TextFeatures,
        target: str,
        guidance: float = 1.0,
        negative: TextFeatures | None = None,
        small: SmallPictures | None = None,
        percentile: float | None = None,
    ):
        config, self.model, self.target = model.config, model, target
        self.guidance, self.percentile = guidance, percentile
        self.rows, self.shape = len(text), (config.channels, config.rows, config.columns)
        if not guidance >= 0:
            raise EaselError(f"guidance must be 0 or more, not {guidance}.")
        if percentile is not None and not 0 < percentile <= 1:
            raise EaselError(f"the percentile of dynamic thresholding must be above 0 and up to 1, not {percentile}.")
        for name, given in (("negative captions", negative), ("small pictures", small and small.times)):
            if given is not None and len(given) != self.rows:
                raise EaselError(f"there are {self.rows} captions, but {len(given)} {name}.")
        self.copies = 1 if guidance == 1 else 2
        dropped = torch.zeros(self.copies * self.rows, dtype=torch.bool)
        if self.copies == 2:
            text = text.then(text if negative is None else negative)
            dropped[self.rows :] = negative is None
        with torch.no_grad():
            self.memory = model.read(text.to(model.device), dropped.to(model.device))  # [copies · B] rows
        self.small = small and small.of(torch.arange(self.rows).repeat(self.copies)).to(model.device)

    @torch.no_grad()
    def predict(self, x: Tensor, time: Tensor) -> Tensor:
        """What the network says of x, guidance applied, float32 [B, C, H, W].

        Args:
            x: float32 [B, C, H, W]; time: of the noise level, float [B].
        """
        said = self.model(x.repeat(self.copies, 1, 1, 1), time.repeat(self.copies), self.memory, self.small).float()
        if self.copies == 1:
            return said
        conditional, unconditional = said.chunk(2)
        return unconditional + self.guidance * (conditional - unconditional)

    def limit(self, clean: Tensor) -> Tensor:
        """Clean grids [B, C, H, W] with their dynamic thresholding, if there is one."""
        return clean if self.percentile is None else thresholded(clean, self.percentile)


def thresholded(pixels: Tensor, percentile: float) -> Tensor:
    """Dynamic thresholding of each picture of [B, C, H, W] by itself; see `DiffusionPredictor`."""
    most = pixels.abs().flatten(1).quantile(percentile, dim=1).clamp(min=1)[:, None, None, None]  # → [B, 1, 1, 1]
    return pixels.clamp(-most, most) / most


def augmented(pictures: Tensor, noise: Tensor, level: tuple[float, float, float]) -> SmallPictures:
    """Small pictures with noise of one level added, as a network that enlarges wants them (noise conditioning
    augmentation: Ho et al. 2022, arXiv:2106.15282, section 4; Imagen, section 2.4).

    Args:
        pictures: float [B, c, h, w]; noise: standard normal, of the same shape, every picture's own.
        level: of the network's schedule: time, scales of signal and noise. Little noise leaves the faults of the first
            network in, much leaves its picture out.
    """
    time, alpha, sigma = level
    times = torch.full((len(pictures),), time, device=pictures.device)
    return SmallPictures(alpha * pictures + sigma * noise, times)
