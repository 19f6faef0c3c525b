"""Training diffusion models and rectified flows: what noise hides in grids, pixels or latents (Ho et al. 2020,
arXiv:2006.11239, algorithm 1; Rombach et al. 2022, arXiv:2112.10752; Imagen, Saharia et al. 2022, arXiv:2205.11487).

Every picture gets noise of a random level; the loss is the mean square of what the network says wrongly, all levels
alike. The model that enlarges also sees the small picture with noise of a random level of its own, which it is told.
Weights are averaged after every update. What the papers leave open, and what is done here:

- Captions are dropped for a picture at a time, and then nothing of them is seen (lib/models/caption_context.py).
- The small picture's noise levels are those of the large one's schedule, "clean" among them.
- Muon is for the matrices of transformer blocks and for the kernels of convolutions, each as one matrix, but for the
  first and the last one; AdamW for all else, what the time tells a block among it. With AdamW for the kernels, or Muon
  for what the time tells, the loss fell more slowly, in trials on the small pictures here that no stage repeats.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import Parameter

from lib.data.captions import Captions
from lib.decoding.diffusion_schedules import noise_schedule, prediction_of
from lib.errors import EaselError
from lib.models.cross_attention import blocks_of
from lib.models.latents import as_grids
from lib.models.text_encoder import TextFeatures
from lib.models.unet import SmallPictures, UNet
from lib.training.captioned import CaptionedBatches, CaptionedTrainee, Encode
from lib.training.descent import Descent, products
from lib.training.diffusion_settings import DiffusionTrainingParams, EnlargingTrainingParams
from lib.training.precision import autocast

BINS = 4  # quarters of the noise levels: held-out loss is measured for each


class NoisyBatch(NamedTuple):
    """What an update shows to the network, and what it wants to hear.

    Attributes:
        x: noisy grids, float32 [B, C, H, W]; times: of their levels, float32 [B].
        text: features of a caption each; dropped: which captions are, bool [B].
        small: None for a network that reads no small pictures.
        wanted: float32 [B, C, H, W].
    """

    x: Tensor
    times: Tensor
    text: TextFeatures
    dropped: Tensor
    small: SmallPictures | None
    wanted: Tensor


class NoisyBatches(CaptionedBatches):
    """Captions, pictures and noise of a split, from which every update draws.

    Args:
        model: that the pictures must fit.
        captions: of every picture.
        pictures: pixels, uint8 [N, H, W, C], or latents, float32 [N, C, H, W].
        small: the same pictures, small, for a network that enlarges (and its params) and no other.
        seed: of captions and noise; step `n` draws from (seed, n) alone.

    Raises:
        EaselError: pictures that do not fit the model or the captions, or small pictures missing or unwanted.
    """

    def __init__(
        self,
        model: UNet,
        captions: Captions,
        pictures: np.ndarray,
        encode: Encode,
        params: DiffusionTrainingParams,
        seed: int,
        small: np.ndarray | None = None,
    ):
        config, enlarges = model.config, model.config.small_channels > 0
        super().__init__(captions, encode, params.training.caption_dropout, seed, model.device)
        if enlarges != (small is not None) or enlarges != isinstance(params, EnlargingTrainingParams):
            raise EaselError("small pictures, and noise on them, are for a network that enlarges, and for no other.")
        found = tuple(as_grids(pictures[:1], self.device).shape[1:])
        if found != (config.channels, config.rows, config.columns):
            raise EaselError(
                f"pictures are {list(found)}, the network is for {config.channels, config.rows, config.columns}."
            )
        for given in (pictures, *([small] if enlarges else [])):
            if len(given) != len(captions):
                raise EaselError(f"there are captions of {len(captions)} pictures, but {len(given)} pictures.")
        self.pictures, self.small, self.params = pictures, small, params
        schedule = noise_schedule(**dict(params.noise))
        # Time and scales of every level, number 0 the clean one: float32 [1 + T, 3].
        self.levels = torch.tensor([schedule.level(number) for number in range(len(schedule) + 1)], device=self.device)

    def __call__(self, step: int, indices: np.ndarray) -> NoisyBatch:
        """What the given pictures, int64 [B], show in update `step`."""
        random, most = self.random(step), len(self.levels) - 1
        text, dropped = self.text(indices, random)
        numbers = draw_numbers(self.params.times, most, len(indices), random)
        clean = as_grids(self.pictures[indices], self.device)
        noise = self.noise(clean, random)
        times, alphas, sigmas = self.scales(numbers)
        wanted = prediction_of(self.params.target, clean, noise, alphas, sigmas)
        small = None
        if self.small is not None:
            highest = round(self.params.augmentation * most)
            small_times, keep, add = self.scales(random.integers(highest + 1, size=len(indices)))
            grids = as_grids(self.small[indices], self.device)
            small = SmallPictures(keep * grids + add * self.noise(grids, random), small_times)
        return NoisyBatch(alphas * clean + sigmas * noise, times, text, dropped, small, wanted)

    def scales(self, numbers: np.ndarray) -> tuple[Tensor, Tensor, Tensor]:
        """Times [B], and scales of signal and of noise [B, 1, 1, 1], of levels int64 [B]."""
        times, alphas, sigmas = self.levels[self.there(numbers)].unbind(dim=1)
        return times, alphas.view(-1, 1, 1, 1), sigmas.view(-1, 1, 1, 1)

    def noise(self, like: Tensor, random: np.random.Generator) -> Tensor:
        """Standard normal, float32, as large as `like`."""
        return self.there(random.standard_normal(tuple(like.shape), np.float32))


def draw_numbers(law: str, most: int, count: int, random: np.random.Generator) -> np.ndarray:
    """Numbers of noise levels, int64 [count] in 1 … most; law "uniform", or "logit_normal", whose share of `most` is
    1 / (1 + exp(−n)) of a standard normal n (Esser et al. 2024, arXiv:2403.03206, section 3.1)."""
    if law == "uniform":
        return random.integers(1, most + 1, size=count)
    shares = 1 / (1 + np.exp(-random.standard_normal(count)))
    return np.ceil(shares * most).astype(np.int64).clip(1, most)


class DiffusionTrainee(CaptionedTrainee):
    """What `lib.training.loop.fit` trains, on `NoisyBatches`: a U-Net, or a transformer of two streams, which has no
    convolutions. It says what `params.target` names."""

    def __init__(self, model: nn.Module, batches: NoisyBatches, params: DiffusionTrainingParams):
        super().__init__(model, batches, params)
        chosen = matrices(model)
        taken = set(chosen)
        others = [parameter for parameter in model.parameters() if parameter not in taken]
        self.descent = Descent(params.training, chosen, others)

    def loss(self, step: int, indices: np.ndarray) -> tuple[Tensor, dict[str, Tensor]]:
        """What is descended."""
        batch = self.batches(step, indices)
        with autocast(self.device):
            return errors(self.model, batch).mean(), {}


def matrices(model: nn.Module) -> list[Parameter]:
    """What Muon moves: products inside blocks, and convolutions' kernels [O, I, h, w]. Not what the time tells a block,
    and not the convolutions that begin and end a U-Net."""
    told = {part.modulation.weight for part in model.modules() if hasattr(part, "modulation")}
    inside = [weight for weight in products(nn.ModuleList(blocks_of(model))) if weight not in told]
    hidden = (part for name, part in model.named_modules() if name not in ("stem", "head"))
    return [*inside, *(part.weight for part in hidden if isinstance(part, nn.Conv2d))]


def errors(model: nn.Module, batch: NoisyBatch) -> Tensor:
    """Mean square of what the network says wrongly of each picture, float32 [B]."""
    said = model(batch.x, batch.times, model.read(batch.text, batch.dropped), batch.small)
    return (said.float() - batch.wanted).square().mean(dim=(1, 2, 3))


@torch.no_grad()
def measure(model: UNet, batches: NoisyBatches, pictures: int, batch_size: int = 64) -> dict[str, float]:
    """Loss of held-out pictures, and of each quarter of the times: `loss_25` of those up to 0.25, …; captions and noise
    follow from the batches' seed. A quarter in which no picture fell is left out.

    Args:
        batches: of the held-out split.
        pictures: how many of them, the first ones.
    """
    found, times = [], []
    for start in range(0, pictures, batch_size):
        batch = batches(start, np.arange(start, min(start + batch_size, pictures)))
        found.append(errors(model, batch))
        times.append(batch.times)
    losses, quarters = torch.cat(found), (torch.cat(times) * BINS).ceil().clamp(min=1)
    numbers = {"loss": losses.mean().item()}
    for quarter in range(1, BINS + 1):
        if (inside := quarters == quarter).any():
            numbers[f"loss_{100 * quarter // BINS}"] = losses[inside].mean().item()
    return numbers
