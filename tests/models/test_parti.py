import pytest
import torch

from lib.decoding import autoregressive as decoder
from lib.decoding.noise import RowRandom
from lib.models.autoregressive_predictor import AutoregressivePredictor, Sampling
from lib.models.parti import Parti
from lib.models.text_encoder import TextConfig, TextEncoder
from lib.weights.torch_state import generator
from tests.models.tiny_autoregressive import NETWORK, shaken

WIDTH = 8


@pytest.fixture(scope="module")
def model():
    sizes = TextConfig(NETWORK.text_vocabulary, NETWORK.text_length, NETWORK.text_padding, WIDTH, 1, 1, 8)
    encoder = shaken(TextEncoder(sizes, generator(1))).eval()
    return shaken(Parti(NETWORK, encoder.features, WIDTH, generator(0))).eval()


def captions(model, *rows):
    padding = model.config.text_padding
    longest = max(map(len, rows))
    return torch.tensor([[*row, *[padding] * (longest - len(row))] for row in rows])


def pictures(model, rows):
    return torch.randint(model.config.codes, (rows, model.config.length), generator=generator(5))


def test_the_frozen_network_is_none_of_its_weights(model):
    names = [name for name, _ in model.named_parameters()]
    assert "text_tokens.project.weight" in names
    assert not any("encode" in name or "text_tokens.tokens" in name for name in names)


def test_every_word_reaches_every_image_token_through_the_features(model):
    tokens = pictures(model, 2)
    logits = model(captions(model, (1, 2, 3), (1, 2, 4)), tokens[:1].expand(2, -1))
    assert (logits[0] != logits[1]).any(dim=1).all()


def test_padding_does_not_matter(model):
    tokens = pictures(model, 1)
    short = captions(model, (1, 2, 3))
    long = torch.nn.functional.pad(short, (0, 2), value=model.config.text_padding)
    torch.testing.assert_close(model(short, tokens), model(long, tokens))


def test_what_reads_captions_learns_through_the_projection_alone(model):
    weight = model.text_tokens.project.weight.requires_grad_(True)
    model(captions(model, (1, 2, 3)), pictures(model, 1)).square().mean().backward()
    assert weight.grad.abs().sum() > 0
    weight.requires_grad_(False)


def test_a_cached_decoding_draws_from_the_same_predictions(model):
    text, empty = captions(model, (1, 2, 3), (1, 4)), captions(model, (1,))[0]
    predictor = AutoregressivePredictor(model, text, empty, Sampling())
    drawn = decoder.decode(predictor, RowRandom([3, 4], torch.device("cpu"))).tokens
    log_p = model(text, drawn).log_softmax(dim=2)
    again = AutoregressivePredictor(model, text, empty, Sampling())
    inputs = model.shift(drawn)
    found = again.predict(inputs, torch.zeros(2, dtype=torch.int64))
    torch.testing.assert_close(found, log_p, atol=1e-5, rtol=1e-4)
