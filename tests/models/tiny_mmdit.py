"""MMDiTs of a few weights, for tests of what uses them."""

from dataclasses import replace

from lib.models.mmdit import MMDiT, MMDiTConfig
from lib.weights.torch_state import generator
from tests.models.tiny_autoregressive import shaken

AURAFLOW = MMDiTConfig(
    channels=3,
    rows=4,
    columns=8,
    text_width=8,
    text_layers=1,
    patch=1,
    width=16,
    joint=1,
    single=1,
    heads=2,
    feed_forward=24,
    registers=2,
    keeps_attention=False,
    pooled=False,
    neighbours=False,
)
PATCHES = replace(AURAFLOW, patch=2, joint=2, keeps_attention=True, pooled=True, neighbours=True)


def mmdit(config=AURAFLOW):
    """None of its parts zero or the identity, as if it were trained."""
    return shaken(MMDiT(config, generator(0)))
