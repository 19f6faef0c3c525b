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
from lib.models import muse, text_encoder, unet, vqgan
from lib.models.autoregressive import AutoregressiveConfig
from lib.models.autoregressive_predictor import AutoregressivePredictor, Sampling
from lib.models.diffusion_predictor import DiffusionPredictor
from lib.models.masked_predictor import Guidance, MusePredictor
from lib.models.parti import Parti
from lib.models.text_encoder import TextFeatures
from lib.text import TextTokenizer
from lib.weights import checkpoint
from lib.weights.torch_state import load_module
from studies.muse.code.material import ENCODER, TEXT, TOKENIZER, encode_of

MODELS = Path("build/muse/models")
OPTIONS = ("steps", "order", "noise", "temperature")  # of the masked decoder


@dataclass(frozen=True)
class Drawn:
    """Tokens int64 [B, N] of a batch, and the passes int64 [B] that it took."""

    tokens: Tensor
    passes: Tensor


class Network:
    """One training's model.

    Attributes:
        kind: "autoregressive", "masked" or "latent".
        model: in evaluation mode.
        meta: what was saved with the weights.
    """

    def __init__(self, folder: Path):
        arrays, self.meta = checkpoint.load_network(folder)
        self.kind, self.encoder = self.meta["kind"], text_encoder.load(ENCODER)
        self.model: nn.Module
        if self.kind == "masked":
            self.model = muse.Muse(muse.MuseConfig(**self.meta["config"]), torch.Generator())
        elif self.kind == "latent":
            self.model = unet.UNet(unet.config_of(self.meta["config"]), torch.Generator())
        else:
            config, width = AutoregressiveConfig(**self.meta["config"]), self.encoder.config.width
            self.model = Parti(config, self.encoder.features, width, torch.Generator())
        load_module(self.model, arrays)
        self.model.eval().requires_grad_(False)

    def draw(
        self, text_ids: Tensor, seeds: Sequence[int], sampling: Mapping[str, Any], known: Tensor | None = None
    ) -> Drawn:
        """One picture for each caption int64 [B, S], each from its own seed.

        Args:
            sampling: guidance and, as the kind of model has them, temperature, ramp, order, noise, steps.
            known: tokens [B, N] that stay as they are, −1 elsewhere.

        Raises:
            EaselError: known tokens, of which latent diffusion makes nothing.
        """
        random = RowRandom(seeds)
        if self.kind == "autoregressive":
            return self._in_order(text_ids, random, sampling, known)
        text = encode_of(self.encoder)(text_ids)
        if self.kind == "masked":
            found = masked.decode(
                self.masked_predictor(text, sampling), random, known=known, **{name: sampling[name] for name in OPTIONS}
            )
            return Drawn(found.tokens, found.passes)
        if known is not None:
            raise EaselError("latent diffusion fills no gaps here.")
        return self._denoised(text, random, sampling)

    def masked_predictor(self, text: TextFeatures, sampling: Mapping[str, Any]) -> MusePredictor:
        """What the masked decoder sees of the model."""
        return MusePredictor(self.model, text, Guidance(sampling["guidance"], sampling["ramp"]))

    def _in_order(
        self, text_ids: Tensor, random: RowRandom, sampling: Mapping[str, Any], known: Tensor | None
    ) -> Drawn:
        empty = torch.from_numpy(TextTokenizer.load(TEXT).encode([""], text_ids.shape[1])[0]).long()
        settings = Sampling(guidance=sampling["guidance"], temperature=sampling["temperature"])
        seen = AutoregressivePredictor(self.model, text_ids, empty, settings)
        found = autoregressive.decode(seen, random) if known is None else filling.decode(seen, random, known)
        return Drawn(found.tokens, found.passes)

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
