"""Painting with next-scale prediction (VAR, Tian et al. 2024, arXiv:2404.02905): a pass a scale, from one token for all
of the picture to one a cell."""

from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

import torch
import torch.nn.functional as F
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
        return self._drawn(ids, random, sampling, None)

    def fill(self, ids: Tensor, random: RowRandom, sampling: AutoregressiveSampling, known: Tensor) -> Drawn:
        """As `draw`, but for tokens that are known, of all scales in one row, int64 [B, N], −1 elsewhere: they are fed
        to the network in place of drawn ones, which it was not trained for (VAR's zero-shot in- and outpainting)."""
        sizes = self.network["model"].config.sizes
        parts = dict(zip([0, *accumulate(sizes)], known.split(sizes, dim=1), strict=False))  # by the tokens before
        return self._drawn(ids, random, sampling, lambda coarser: parts[coarser.shape[1]])

    def _drawn(
        self, ids: Tensor, random: RowRandom, sampling: AutoregressiveSampling, known: next_scale.Known | None
    ) -> Drawn:
        model, tokenizer = self.network["model"], self.network["tokenizer"]
        predictor = VarPredictor(model, tokenizer.quantizer, self.features(ids), **dict(sampling))
        found = next_scale.decode(predictor, random, known)
        return Drawn(torch.from_numpy(decode_batches(tokenizer, found.tokens.numpy())), found.passes)


def outside(mask: Tensor, scales: Sequence[int]) -> Tensor:
    """Tokens of all scales in one row that show nothing of what is drawn anew: bool [N].

    Args:
        mask: cells of the last scale that are drawn anew, bool [h, w].
        scales: cells of a token map in each direction.
    """
    # A coarse cell is drawn anew if any cell that it overlaps is: pooling's regions are just those.
    covered = [F.adaptive_max_pool2d(mask[None].float(), scale).flatten() for scale in scales]
    return torch.cat(covered) == 0
