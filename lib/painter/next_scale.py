"""Painting with next-scale prediction (VAR, Tian et al. 2024, arXiv:2404.02905): a pass a scale, from one token for all
of the picture to one a cell."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from lib.decoding import next_scale
from lib.decoding.noise import RowRandom
from lib.models.multi_scale_vqgan import MultiScaleVQGAN, decode_batches
from lib.models.var import Var, VarConfig
from lib.models.var_predictor import VarPredictor
from lib.painter.model import Drawn, Model
from lib.painter.parti import AutoregressiveSampling


class NextScale(Model):
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
        model, tokenizer = self.network["model"], self.network["tokenizer"]
        predictor = VarPredictor(model, tokenizer.quantizer, self.features(ids), **dict(sampling))
        found = next_scale.decode(predictor, random)
        return Drawn(torch.from_numpy(decode_batches(tokenizer, found.tokens.numpy())), found.passes)
