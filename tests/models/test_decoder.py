"""Decoders of other sizes for the codes of a tokenizer."""

import torch

from lib.models.decoder import decoder, with_decoder
from lib.models.vqgan import VQGAN
from lib.weights.torch_state import generator


def tokenizer():
    return VQGAN(8, 6, 4, 0.9, 4, generator(0)).eval()


def test_the_tokenizers_own_decoder_fits_one_of_its_size():
    own = tokenizer()
    layers = decoder(own, 8, 2, generator(1))
    tokens = torch.arange(6).view(1, 2, 3)
    assert not torch.equal(with_decoder(own, layers).decode(tokens), own.decode(tokens))
    layers.load_state_dict(own.decoder.state_dict())
    assert torch.equal(with_decoder(own, layers).decode(tokens), own.decode(tokens))


def test_a_larger_one_paints_pictures_of_the_same_size_from_the_same_codes():
    own = tokenizer()
    larger = with_decoder(own, decoder(own, 12, 3, generator(1)))
    assert larger.decode(torch.zeros(2, 3, 5, dtype=torch.int64)).shape == (2, 3, 12, 20)
    images = torch.rand(2, 3, 8, 8, generator=generator(2))
    assert torch.equal(larger.encode(images), own.encode(images))
    count = sum(weights.numel() for weights in larger.decoder.parameters())
    assert count == 12 * 4 * 9 + 12 + 3 * (2 * (12 * 12 * 9 + 12) + 24) + 24 + 48 * 12 * 9 + 48


def test_the_tokenizer_keeps_its_decoder_and_first_weights_follow_from_the_seed():
    own = tokenizer()
    before = own.decoder
    layers = decoder(own, 12, 1, generator(1))
    with_decoder(own, layers)
    assert own.decoder is before
    assert torch.equal(layers[0].weight, decoder(own, 12, 1, generator(1))[0].weight)
    assert not torch.equal(layers[0].weight, decoder(own, 12, 1, generator(2))[0].weight)
