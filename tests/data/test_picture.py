import io

import numpy as np
import pytest
from PIL import Image

from lib.data import picture
from tests.data.real_data import png


def saved(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def test_transparent_parts_are_white():
    image = Image.new("RGBA", (2, 1), (255, 0, 0, 255))
    image.putpixel((1, 0), (0, 0, 0, 0))
    assert np.asarray(picture.decode(saved(image))).tolist() == [[[255, 0, 0], [255, 255, 255]]]


def test_palette_transparency_is_white():
    image = Image.new("P", (1, 1), 0)
    image.putpalette([9, 9, 9])
    assert picture.decode(saved(image, transparency=0)).getpixel((0, 0)) == (255, 255, 255)


def test_sixteen_bit_greys_keep_their_brightness():
    image = Image.fromarray(np.full((2, 2), 0x8000, dtype=np.uint16))
    assert picture.decode(saved(image)).getpixel((0, 0)) == (128, 128, 128)


def test_pictures_stand_upright():
    image = Image.new("RGB", (4, 2))
    exif = image.getexif()
    exif[0x0112] = 6  # turned by 90 degrees
    assert picture.decode(saved(image, "JPEG", exif=exif)).size == (2, 4)


@pytest.mark.parametrize("data", [b"", b"no picture", png(0)[:200], png(0)[:60] + b"\xff" * 40 + png(0)[100:]])
def test_unreadable_bytes(data):
    with pytest.raises(ValueError):
        picture.decode(data)


@pytest.mark.parametrize("shape", [(16, 48), (48, 16)])
def test_the_centre_is_kept(shape):
    pixels = np.zeros((*shape, 3), dtype=np.uint8)
    centre = (slice(16, 32), slice(None)) if shape[0] > shape[1] else (slice(None), slice(16, 32))
    pixels[centre] = (10, 200, 30)
    result = picture.square(Image.fromarray(pixels), 8)
    assert result.shape == (8, 8, 3) and result.dtype == np.uint8
    assert (result == (10, 200, 30)).all()


def test_shrinking_averages_and_does_not_skip():
    chequers = np.indices((256, 256)).sum(0) % 2 * 255
    result = picture.square(Image.fromarray(chequers.astype(np.uint8)).convert("RGB"), 16)
    assert abs(result.astype(int) - 127).max() <= 3
