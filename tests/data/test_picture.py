import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from lib.data import picture
from lib.data.sample import HUGE_PICTURE, UNCLEAR_RANGE
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


@pytest.mark.parametrize(
    ("kind", "white"),
    [("uint16", 4095), ("uint16", 300), ("uint16", 0), ("int32", 70_000), ("int32", 255), ("float32", 1)],
)
@pytest.mark.parametrize("share", [0.25, 1.0])
def test_greys_whose_white_is_not_known_are_refused_rather_than_made_black_or_white(kind, white, share):
    image = Image.fromarray(np.full((2, 2), white * share).astype(kind))
    with pytest.raises(ValueError, match=UNCLEAR_RANGE.split("(")[0]):
        picture.decode(saved(image, "PNG" if kind == "uint16" else "TIFF"))


@given(grey=st.integers(1 << 12, (1 << 16) - 1))
def test_sixteen_bit_greys_keep_their_brightness_wherever_they_lie(grey):
    image = Image.fromarray(np.full((2, 2), grey, dtype=np.uint16))
    assert picture.decode(saved(image)).getpixel((0, 0)) == (grey >> 8,) * 3


def test_a_huge_picture_is_halved_or_refused_before_it_fills_the_memory(monkeypatch):
    monkeypatch.setattr(picture, "MOST_PIXELS", 64 * 64)
    for width, height in ((65, 64), (100, 80), (150, 200), (250, 60), (200, 300)):
        image = Image.new("RGB", (width, height), (200, 10, 10))
        small = picture.decode(saved(image, "JPEG"))
        assert small.width * small.height <= 64 * 64 and abs(small.width / small.height - width / height) < 0.1
        assert abs(np.asarray(small).astype(int) - (200, 10, 10)).max() < 4
    with pytest.raises(ValueError, match=HUGE_PICTURE):
        picture.decode(saved(image, "PNG"))
    with pytest.raises(ValueError, match=HUGE_PICTURE):
        picture.decode(saved(Image.new("RGB", (5000, 50)), "JPEG"))  # a decoder halves three times at most
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(ValueError, match=HUGE_PICTURE):
        picture.decode(saved(image))


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
