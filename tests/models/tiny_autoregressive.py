"""An autoregressive model of a few weights, for tests of what uses one."""

import torch

from lib.models.autoregressive import AutoregressiveConfig
from lib.text import MINIMUM
from lib.weights.torch_state import generator

NETWORK = AutoregressiveConfig(
    text_vocabulary=MINIMUM,
    text_length=8,
    text_padding=0,
    codes=6,
    rows=2,
    columns=3,
    width=16,
    layers=1,
    heads=2,
    feed_forward=24,
)


def shaken(module):
    """No part of it zero or the identity, as if it were trained."""
    random = generator(1)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=random))
    return module.eval().requires_grad_(False)
