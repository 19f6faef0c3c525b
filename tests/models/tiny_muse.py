"""Muse models of a few weights, for tests of what uses them."""

from dataclasses import replace

import torch

from lib.models.muse import Muse, MuseConfig, MuseSuperResolution, SuperResolutionConfig
from lib.models.text_encoder import TextFeatures
from lib.weights.torch_state import generator
from tests.models.tiny_autoregressive import shaken

BASE = MuseConfig(
    codes=7,
    code_width=3,
    rows=3,
    columns=4,
    text_width=8,
    text_layers=1,
    width=16,
    layers=2,
    heads=2,
    feed_forward=24,
    neighbours=True,
)
BEFORE = replace(BASE, neighbours=False)  # for a model that sees what is before alone
LARGE = SuperResolutionConfig(
    codes=7,
    code_width=3,
    rows=4,
    columns=8,
    text_width=8,
    text_layers=1,
    width=16,
    layers=2,
    heads=2,
    feed_forward=24,
    neighbours=True,
    small_rows=2,
    small_columns=4,
    small_layers=1,
    block=2,
)
CODEBOOK = torch.randn(7, 3, generator=generator(9))
SMALL = torch.randint(7, (3, 8), generator=generator(8))


def text():
    """Features of three captions of 3, 5 and 2 tokens."""
    present = torch.arange(5) < torch.tensor([[3], [5], [2]])
    return TextFeatures(torch.randn(3, 5, 8, generator=generator(2)), present)


def tokens(config, seed=5):
    """Three pictures, about half of their tokens masked."""
    known = torch.randint(config.codes, (3, config.length), generator=generator(seed))
    hidden = torch.rand(known.shape, generator=generator(seed + 1)) < 0.5
    return known.masked_fill(hidden, config.codes)


def base():
    """None of its parts zero or the identity, as if it were trained."""
    return shaken(Muse(BASE, generator(0), CODEBOOK))


def large():
    """As `base`, the super-resolution model."""
    return shaken(MuseSuperResolution(LARGE, generator(0), CODEBOOK))
