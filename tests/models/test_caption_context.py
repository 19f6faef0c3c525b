import pytest
import torch

from lib.errors import EaselError
from lib.models.caption_context import Refiner, refiner_weights
from lib.models.text_encoder import TextFeatures
from lib.weights.torch_state import generator
from tests.models.tiny_autoregressive import shaken
from tests.models.tiny_muse import text


@pytest.mark.parametrize("layers", [0, 2])
def test_an_untrained_refiner_gives_features_back(layers):
    words = text()
    refined = Refiner(8, layers, generator(0))(words)
    assert torch.equal(refined.vectors, words.vectors)
    assert torch.equal(refined.present, words.present)


def test_every_word_reaches_every_other_and_padding_none():
    refiner, words = shaken(Refiner(8, 1, generator(0))), text()
    before = refiner(words).vectors
    for place in range(5):
        vectors = words.vectors.clone()
        vectors[:, place] += 1
        moved = (refiner(TextFeatures(vectors, words.present)).vectors - before).abs().amax(2) > 1e-6  # [3, 5]
        assert torch.equal(moved[words.present], words.present[:, place : place + 1].expand(-1, 5)[words.present])


def test_weights_are_counted():
    assert sum(p.numel() for p in Refiner(64, 3, generator(0)).parameters()) == refiner_weights(64, 3)


def test_features_of_another_width_are_refused():
    with pytest.raises(EaselError, match="text features of width 16, got 8"):
        Refiner(16, 0, generator(0))(text())
