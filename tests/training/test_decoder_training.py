"""Training of a decoder alone."""

import numpy as np
import torch

from lib.models.decoder import decoder, with_decoder
from lib.models.vqgan import VQGAN, encode_batches
from lib.training.decoder import decoder_trainee
from lib.weights.torch_state import generator


def test_it_learns_to_paint_and_nothing_else_changes():
    tokenizer = VQGAN(8, 6, 4, 0.9, 4, generator(0)).eval().requires_grad_(False)
    tokenizer.quantizer.codebook.copy_(torch.nn.functional.normalize(torch.randn(6, 4, generator=generator(1)), dim=1))
    colours = np.random.default_rng(0).integers(0, 256, (8, 2, 2, 3), dtype=np.uint8)
    images = colours.repeat(4, axis=1).repeat(4, axis=2)
    tokens, before = (
        encode_batches(tokenizer, images),
        {name: own.clone() for name, own in tokenizer.state_dict().items()},
    )
    layers = decoder(tokenizer, 8, 1, generator(2))
    seen = []

    def extractor(pictures):
        seen.append(len(pictures))
        return [pictures]

    trainee = decoder_trainee(tokenizer, layers, images, tokens, 60, 1e-2, extractor, 0.1)
    losses = [trainee.step(step, np.arange(8))["loss"] for step in range(60)]
    assert losses[-1] < 0.8 * losses[0] and set(seen) == {2}  # every fourth picture is looked at
    assert all(torch.equal(own, before[name]) for name, own in tokenizer.state_dict().items())
    painted = with_decoder(tokenizer, layers).decode(torch.from_numpy(tokens.astype(np.int64)))
    assert painted.shape == (8, 3, 8, 8)
