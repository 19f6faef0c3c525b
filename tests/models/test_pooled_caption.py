import pytest
import torch

from lib.models.pooled_caption import PooledCaption, means_of, pooled_weights
from lib.models.text_encoder import TextFeatures
from lib.weights.torch_state import generator
from tests.models.tiny_muse import text


def test_weights_are_counted():
    network = PooledCaption(8, 12, generator(0))
    assert sum(weights.numel() for weights in network.parameters()) == pooled_weights(8, 12)


def test_means_are_over_words_alone():
    words = text()
    wanted = torch.stack([own[seen].mean(dim=0) for own, seen in zip(words.vectors, words.present, strict=True)])
    padded = TextFeatures(torch.where(words.present[..., None], words.vectors, 7.0), words.present)
    torch.testing.assert_close(means_of(words), wanted)
    torch.testing.assert_close(means_of(padded), wanted)
    assert (means_of(TextFeatures(words.vectors, torch.zeros_like(words.present))) == 0).all()


@pytest.fixture(scope="module")
def seen():
    """A network that has seen captions which differ by little in some directions, and their means."""
    means = 5 + torch.randn(1000, 4, generator=generator(2)) * torch.tensor([1.0, 0.1, 0.5, 0.3])
    captions = TextFeatures(means[:, None], torch.ones(1000, 1, dtype=torch.bool))
    network = PooledCaption(4, 6, generator(0))
    network.see(captions)
    return network, captions


def test_means_are_read_in_units_of_their_deviation(seen):
    network, captions = seen
    read = (means_of(captions) - network.centre) @ network.whitening
    torch.testing.assert_close(read.mean(dim=0), torch.zeros(4), atol=1e-3, rtol=0)
    covariance = torch.cov(read.T)
    assert (covariance - covariance.diag().diag()).abs().max() < 1e-3
    assert (covariance.diag() > 0.7).all() and (covariance.diag() <= 1.001).all()
    torch.testing.assert_close(network(captions, None), network.project(read))


def test_a_dropped_caption_is_not_seen(seen):
    network, captions = seen
    dropped = torch.arange(len(captions)) < 3
    found = network(captions, dropped)
    assert (found[:3] == network.project(network.dropped)).all() and not (found[3:] == found[0]).all(dim=1).any()
