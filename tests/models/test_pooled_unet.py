"""The U-Net that reads a caption's mean beside the time: that mean matters, and no more than that is new."""

from dataclasses import asdict, replace

import pytest
import torch

from lib.models.pooled_unet import PooledUNet, PooledUNetConfig
from lib.models.text_encoder import TextFeatures
from lib.weights.torch_state import generator
from tests.models.tiny_autoregressive import shaken
from tests.models.tiny_muse import text
from tests.models.tiny_unet import PLAIN, grids

CONFIG = PooledUNetConfig(**asdict(PLAIN))


@pytest.fixture(scope="module")
def network():
    return shaken(PooledUNet(CONFIG, generator(0)))


def said(network, words=None, dropped=None):
    x, times = grids()
    return network(x, times, network.read(words or text(), dropped))


@pytest.mark.parametrize("changes", [{}, {"widths": (8, 24, 16), "attention": ()}, {"text_width": 16}])
def test_weights_are_counted(changes):
    config = replace(CONFIG, **changes)
    assert sum(p.numel() for p in PooledUNet(config, generator(0)).parameters()) == config.parameters


def test_the_caption_is_heard_without_attention(network):
    """With the words of another caption, but its own mean beside the time."""
    words = text()
    other = TextFeatures(words.vectors + 1, words.present)
    x, times = grids()
    own, changed = network.read(words), network.read(other)
    mixed = network(x, times, own._replace(pooled=changed.pooled))
    assert ((mixed - network(x, times, own)).abs().amax((1, 2, 3)) > 1e-4).all()


def test_the_mean_is_over_words_alone(network):
    words = text()
    padded = TextFeatures(torch.where(words.present[..., None], words.vectors, 7.0), words.present)
    torch.testing.assert_close(network.read(padded).pooled, network.read(words).pooled)


def test_a_dropped_caption_is_not_seen(network):
    words, dropped = text(), torch.tensor([True, False, False])
    other = TextFeatures(words.vectors + 1, torch.roll(words.present, 1, 0))
    before = said(network, dropped=dropped)
    torch.testing.assert_close(said(network, other, dropped)[0], before[0])
    torch.testing.assert_close(said(network)[1:], before[1:])
    nothing = TextFeatures(words.vectors, torch.zeros_like(words.present))
    assert said(network, nothing, torch.ones(3, dtype=torch.bool)).isfinite().all()


def test_every_weight_matters_and_an_untrained_network_says_nothing(network):
    untrained = PooledUNet(CONFIG, generator(0))
    assert (said(untrained) == 0).all()
    trained = shaken(untrained).requires_grad_(True)
    said(trained, dropped=torch.tensor([True, False, False])).square().sum().backward()
    assert not [name for name, p in trained.named_parameters() if p.grad is None or not (p.grad != 0).any()]
