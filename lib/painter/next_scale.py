"""Painting with next-scale prediction (VAR, Tian et al. 2024, arXiv:2404.02905): a pass a scale, from one token for all
of the picture to one a cell."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lib.decoding import next_scale
from lib.decoding.noise import RowRandom
from lib.models.multi_scale_vqgan import MultiScaleVQGAN, decode_batches
from lib.models.var import Var, VarConfig
from lib.models.var_predictor import VarPredictor
from lib.models.vqgan import pixels_to_tensor
from lib.painter.model import Drawn, Filling
from lib.painter.parti import AutoregressiveSampling


class NextScale(Filling):
    """A model that has its image tokenizer in its own weights, since nothing else speaks those tokens: pixels come out.

    Weights named model.… are the transformer's, those named tokenizer.… the tokenizer's, whose sizes are in `tokenizer`
    of what the weights say.
    """

    name, settings = "next-scale prediction", AutoregressiveSampling
    network: nn.ModuleDict

    @staticmethod
    def build(meta: Mapping[str, Any]) -> nn.ModuleDict:
        model = Var(VarConfig(**meta["config"]), torch.Generator())
        return nn.ModuleDict({"model": model, "tokenizer": MultiScaleVQGAN(**meta["tokenizer"])})

    def draw(self, ids: Tensor, random: RowRandom, sampling: AutoregressiveSampling) -> Drawn:
        return self._drawn(ids, random, sampling, None)

    @property
    def grid(self) -> tuple[int, int]:
        side = self.network["model"].config.side
        return side, side

    @property
    def stride(self) -> int:
        return self.network["tokenizer"].stride

    def known(self, pictures: np.ndarray, hole: np.ndarray) -> Tensor:
        """What `fill` is given of pictures: vectors of the cells, float [B, h, w, d], NaN in the hole.

        No tokens: which of them say what is known depends on the coarser ones, as they are drawn.
        """
        tokenizer = self.network["tokenizer"]
        vectors = tokenizer.embed(pixels_to_tensor(pictures, tokenizer.device))
        return vectors.masked_fill(torch.from_numpy(hole)[..., None], torch.nan)

    def fill(self, ids: Tensor, random: RowRandom, sampling: AutoregressiveSampling, known: Tensor) -> Drawn:
        """As `draw`, but for tokens of cells that are known: at every scale they are what brings the picture so far
        nearest to them. The network was not trained for it (VAR, section 5.4: zero-shot in- and outpainting)."""
        seen, quantizer = known.isfinite().all(dim=3), self.network["tokenizer"].quantizer  # [B, h, w]
        return self._drawn(ids, random, sampling, lambda coarser: quantizer.known_tokens(known, seen, coarser))

    def _drawn(
        self, ids: Tensor, random: RowRandom, sampling: AutoregressiveSampling, known: next_scale.Known | None
    ) -> Drawn:
        model, tokenizer = self.network["model"], self.network["tokenizer"]
        predictor = VarPredictor(model, tokenizer.quantizer, self.features(ids), **dict(sampling))
        found = next_scale.decode(predictor, random, known)
        return Drawn(torch.from_numpy(decode_batches(tokenizer, found.tokens.numpy())), found.passes)
