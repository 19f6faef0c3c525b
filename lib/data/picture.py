"""From a picture file's bytes to the square uint8 arrays of the data folder."""

from __future__ import annotations

import io
import math

import numpy as np
from PIL import Image, ImageOps

from lib.data.sample import HUGE_PICTURE, UNCLEAR_RANGE, UNREADABLE_PICTURE

MOST_PIXELS = 100_000_000  # of a picture in memory, where each takes four bytes, and a copy of it as many again


def decode(data: bytes) -> Image.Image:
    """Decode a picture file to RGB: upright (EXIF), transparent parts on white. Huge JPEG files are decoded smaller.

    Raises:
        ValueError: the bytes are no picture, or one that breaks off, is too large, or does not say what white is. The
            message is one of the reasons of lib/data/sample.py.
    """
    try:
        image = Image.open(io.BytesIO(data))
        if (pixels := image.width * image.height) > MOST_PIXELS:
            shrink = 2 ** math.ceil(math.log2(pixels / MOST_PIXELS) / 2)
            image.draft(None, (image.width // shrink, image.height // shrink))  # only decoders of JPEG can
            if image.width * image.height > MOST_PIXELS:
                raise ValueError(HUGE_PICTURE)
        image.load()
        ImageOps.exif_transpose(image, in_place=True)
        return _to_rgb(image)
    except Image.DecompressionBombError as error:
        raise ValueError(HUGE_PICTURE) from error
    except Exception as error:  # damaged files make decoders raise all kinds of exceptions
        known = str(error) if str(error) in (HUGE_PICTURE, UNCLEAR_RANGE) else UNREADABLE_PICTURE
        raise ValueError(known) from error


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode in ("I", "F"):  # Pillow's own conversion would clip them to white
        raise ValueError(UNCLEAR_RANGE)
    if image.mode.startswith("I;16"):
        greys = np.asarray(image)
        if greys.max() < 1 << 12:  # scaled from 16 bits, 12-bit greys would be nearly black
            raise ValueError(UNCLEAR_RANGE)
        image = Image.fromarray((greys >> 8).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image if image.mode == "RGB" else image.convert("RGB")


def square(image: Image.Image, size: int) -> np.ndarray:
    """Centre-crop an RGB picture to a square and resize it with a Lanczos filter: uint8 [size, size, 3]."""
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    image = image.crop((left, top, left + side, top + side))  # `box` of resize would let the filter see beyond it
    # reducing_gap: a box filter first brings very large pictures near the target, much faster and hardly different.
    resized = image.resize((size, size), Image.Resampling.LANCZOS, reducing_gap=3.0)
    return np.asarray(resized)  # [size, size, 3]
