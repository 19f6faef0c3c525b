"""From a picture file's bytes to the square uint8 arrays of the data folder."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageOps


def decode(data: bytes) -> Image.Image:
    """Decode a picture file to RGB: upright (EXIF), transparent parts on white.

    Raises:
        ValueError: the bytes are no picture, or one that breaks off.
    """
    try:
        image = Image.open(io.BytesIO(data))
        image.load()
        image = ImageOps.exif_transpose(image)
    except Exception as error:  # damaged files make decoders raise all kinds of exceptions
        raise ValueError(f"{type(error).__name__}: {error}") from error
    if image.mode.startswith("I;16"):  # Pillow's own conversion would clip 16-bit greys to white
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


def square(image: Image.Image, size: int) -> np.ndarray:
    """Centre-crop an RGB picture to a square and resize it with a Lanczos filter: uint8 [size, size, 3]."""
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    image = image.crop((left, top, left + side, top + side))  # `box` of resize would let the filter see beyond it
    # reducing_gap: a box filter first brings very large pictures near the target, much faster and hardly different.
    resized = image.resize((size, size), Image.Resampling.LANCZOS, reducing_gap=3.0)
    return np.asarray(resized)  # [size, size, 3]
