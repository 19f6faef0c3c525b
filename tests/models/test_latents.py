import numpy as np
import pytest
import torch

from lib.errors import EaselError
from lib.models.latents import Latents, as_grids, as_pictures
from lib.models.vqgan import decode_batches, encode_batches
from lib.weights.torch_state import generator
from tests.models.test_vqgan import tiny

CPU = torch.device("cpu")
IMAGES = np.random.Generator(np.random.PCG64(0)).integers(0, 256, (5, 16, 8, 3), np.uint8)


@pytest.fixture(scope="module")
def latents():
    return Latents.of(tiny().eval(), IMAGES)


def test_latents_have_deviation_one_over_the_pictures_that_set_it(latents):
    found = latents.encode(IMAGES)
    assert found.shape == (5, 4, 4, 2) and found.dtype == np.float32
    assert found.std() == pytest.approx(1, rel=1e-5)
    assert np.linalg.norm(latents.deviation * found, axis=1) == pytest.approx(1, rel=1e-5)  # on the sphere
    np.testing.assert_allclose(latents.encode(IMAGES, batch=2), found, atol=1e-6)


def test_quantized_they_are_the_tokenizers_pictures(latents):
    encoded = torch.from_numpy(latents.encode(IMAGES))
    wanted = decode_batches(latents.tokenizer, encode_batches(latents.tokenizer, IMAGES))
    found = latents.decode(encoded, quantize=True)
    assert found.shape == IMAGES.shape and found.dtype == np.uint8
    assert np.abs(found.astype(int) - wanted).max() <= 1  # up to the rounding of halves
    assert (latents.decode(encoded, quantize=False) != found).any()


def test_unquantized_they_are_painted_as_they_are_whatever_their_length(latents):
    encoded = torch.from_numpy(latents.encode(IMAGES))
    with torch.no_grad():
        painted = latents.tokenizer.paint(latents.tokenizer.embed((as_grids(IMAGES, CPU) + 1) / 2))
    wanted = (painted.clamp(0, 1) * 255).permute(0, 2, 3, 1).numpy()
    for length in (1.0, 3.0):
        assert np.abs(latents.decode(length * encoded, quantize=False) - wanted).max() < 0.51


def test_pixels_there_and_back():
    grids = as_grids(IMAGES, CPU)
    assert grids.shape == (5, 3, 16, 8) and -1 <= grids.min() < -0.9 and 0.9 < grids.max() <= 1
    np.testing.assert_array_equal(as_pictures(grids), IMAGES)
    assert as_pictures(torch.tensor([-3.0, 3.0]).view(1, 1, 1, 2)).ravel().tolist() == [0, 255]
    stored = torch.randn(2, 4, 3, 3, generator=generator(0)).numpy()
    np.testing.assert_array_equal(as_grids(stored, CPU).numpy(), stored)


def test_a_tokenizer_that_says_the_same_of_everything_is_refused(latents, monkeypatch):
    monkeypatch.setattr(Latents, "encode", lambda self, images: np.ones((2, 4, 1, 1), np.float32))
    with pytest.raises(EaselError, match="latents without deviation"):
        Latents.of(latents.tokenizer, IMAGES)
