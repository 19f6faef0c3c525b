"""The trained models, and how each draws a batch of captions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lib.decoding import autoregressive, diffusion, filling, masked
from lib.decoding.diffusion_schedules import flow_levels, noise_schedule, spaced_levels
from lib.decoding.noise import RowRandom
from lib.errors import EaselError
from lib.models import text_encoder, unet, vqgan
from lib.models.autoregressive_predictor import Sampling
from lib.models.diffusion_predictor import DiffusionPredictor
from lib.models.masked_predictor import Guidance, MusePredictor
from lib.models.muse import Muse, MuseConfig, MuseSuperResolution, SuperResolutionConfig
from lib.models.parti import Parti
from lib.models.parti_predictor import PartiPredictor
from lib.models.text_encoder import TextFeatures
from lib.weights import checkpoint
from lib.weights.torch_state import load_module
from studies.muse.code.material import ENCODER, TOKENIZER, encode_of

MODELS = Path("build/muse/models")
OPTIONS = ("steps", "order", "noise", "temperature")  # of the masked decoder
TRANSFORMERS = {
    "autoregressive": (MuseConfig, Parti),
    "masked": (MuseConfig, Muse),
    "super_resolution": (SuperResolutionConfig, MuseSuperResolution),
}


@dataclass(frozen=True)
class Drawn:
    """Tokens int64 [B, N] of a batch, and the passes int64 [B] that it took."""

    tokens: Tensor
    passes: Tensor


class Network:
    """One training's model.

    Attributes:
        kind: "autoregressive", "masked", "super_resolution" or "latent".
        model: in evaluation mode.
        meta: what was saved with the weights.
    """

    def __init__(self, folder: Path):
        arrays, self.meta = checkpoint.load_network(folder)
        self.kind, self.encoder = self.meta["kind"], text_encoder.load(ENCODER)
        self.model: nn.Module
        if self.kind == "latent":
            self.model = unet.UNet(unet.config_of(self.meta["config"]), torch.Generator())
        else:
            config, network = TRANSFORMERS[self.kind]
            self.model = network(config(**self.meta["config"]), torch.Generator())
        load_module(self.model, arrays)
        self.model.eval().requires_grad_(False)

    def draw(
        self,
        text_ids: Tensor,
        seeds: Sequence[int],
        sampling: Mapping[str, Any],
        known: Tensor | None = None,
        small: Tensor | None = None,
    ) -> Drawn:
        """One picture for each caption int64 [B, S], each from its own seed.

        Args:
            sampling: guidance and, as the kind of model has them, temperature, ramp, order, noise, steps.
            known: tokens [B, N] that stay as they are, −1 elsewhere.
            small: tokens of the small pictures, for super-resolution and nothing else.

        Raises:
            EaselError: known tokens, of which latent diffusion makes nothing.
        """
        random, text = RowRandom(seeds), encode_of(self.encoder)(text_ids)
        if self.kind == "autoregressive":
            seen = PartiPredictor(self.model, text, Sampling(sampling["guidance"], sampling["temperature"]))
            found = autoregressive.decode(seen, random) if known is None else filling.decode(seen, random, known)
            return Drawn(found.tokens, found.passes)
        if self.kind != "latent":
            seen, options = self.masked_predictor(text, sampling, small), {name: sampling[name] for name in OPTIONS}
            found = masked.decode(seen, random, known=known, **options)
            return Drawn(found.tokens, found.passes)
        if known is not None:
            raise EaselError("latent diffusion fills no gaps here.")
        return self._denoised(text, random, sampling)

    def masked_predictor(
        self, text: TextFeatures, sampling: Mapping[str, Any], small: Tensor | None = None
    ) -> MusePredictor:
        """What the masked decoder sees of the model."""
        return MusePredictor(self.model, text, Guidance(sampling["guidance"], sampling["ramp"]), small=small)

    def _denoised(self, text: TextFeatures, random: RowRandom, sampling: Mapping[str, Any]) -> Drawn:
        """Latents, each of them brought to the nearest code of the tokenizer."""
        predictor = DiffusionPredictor(self.model, text, self.meta["target"], sampling["guidance"])
        noise, steps = self.meta["noise"], sampling["steps"]
        levels = (
            flow_levels(steps, noise["shift"])
            if noise["kind"] == "flow"
            else spaced_levels(noise_schedule(**noise | {"betas": tuple(noise["betas"])}), steps, "trailing")
        )
        found = diffusion.sample(predictor, random.normal(*predictor.shape), levels)
        vectors = F.normalize(found.grids.permute(0, 2, 3, 1), dim=-1)  # [B, d, h, w] → [B, h, w, d]
        return Drawn(self.tokenizer.quantizer.nearest(vectors).flatten(1), found.passes)

    @cached_property
    def tokenizer(self) -> vqgan.VQGAN:
        """Whose latents a latent diffusion model draws."""
        return vqgan.load(TOKENIZER)
