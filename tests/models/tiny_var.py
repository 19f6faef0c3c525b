"""Next-scale models and quantizers of a few weights, for tests of what uses them."""

import torch

from lib.models.multi_scale_quantizer import MultiScaleQuantizer
from lib.models.var import Var, VarConfig
from lib.weights.torch_state import generator
from tests.models.tiny_autoregressive import shaken

CONFIG = VarConfig(
    codes=7,
    scales=(1, 2, 3, 4),
    code_width=5,
    text_width=8,
    text_layers=1,
    width=16,
    layers=2,
    heads=2,
    feed_forward=24,
)


def quantizer(scales=CONFIG.scales, codes=CONFIG.codes, width=CONFIG.code_width, seed=0):
    """One whose codes and smoothing are random, as if it were trained."""
    made = MultiScaleQuantizer(scales, codes, width)
    random = generator(seed, 1)
    with torch.no_grad():
        made.codebook.copy_(0.5 * torch.randn(codes, width, generator=random))
        for parameter in made.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=random))
    return made.requires_grad_(False)


def vectors(rows=3, side=CONFIG.side, width=CONFIG.code_width, seed=4):
    """Grids of vectors [B, h, w, d] whose neighbours resemble each other."""
    coarse = torch.randn(rows, width, 3, 3, generator=generator(seed))
    return torch.nn.functional.interpolate(coarse, size=(side, side), mode="bilinear").permute(0, 2, 3, 1)


def model():
    """None of its parts zero or the identity, as if it were trained."""
    return shaken(Var(CONFIG, generator(0)))
