"""What the page asks for, and what it gets."""

import base64
import io
from typing import Annotated, Any

import numpy as np
from PIL import Image
from pydantic import Field

from demo.decoders import DecoderName, Window
from demo.models import Models
from lib.config_tree import Section
from lib.data.picture import decode
from lib.errors import EaselError
from lib.painter.canvas import WHITE
from lib.painter.painting import Painting

LONGEST = 400  # letters of a prompt
PNG = "data:image/png;base64,"


class Chosen(Section):
    """Sampling settings other than the model's own."""

    guidance: Annotated[float, Field(ge=0, le=20)] | None = None
    temperature: Annotated[float, Field(ge=0, le=5)] | None = None
    steps: Annotated[int, Field(ge=1, le=256)] | None = None
    decoder: DecoderName | None = None
    window: Window | None = None


class Wanted(Section):
    """A drawing."""

    model: str
    prompt: Annotated[str, Field(max_length=LONGEST)]
    candidates: Annotated[int, Field(ge=1, le=16)] = 8
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    settings: Chosen = Chosen()
    picture: str | None = None
    """to be edited: a PNG file as a data address"""
    mask: str | None = None
    """its white pixels are drawn anew; without one the whole picture moves towards the prompt"""


def drawn(models: Models, wanted: Wanted) -> dict[str, Any]:
    """Draws. Returns the pictures, best first, each with its CLIP score and passes.

    Raises:
        EaselError: as of `lib.generate.Painter`; a picture or a mask that is none.
    """
    painter = models.painter(wanted.model)
    settings = {name: value for name, value in dict(wanted.settings).items() if value is not None}
    if wanted.picture is None:
        painting = painter.paint(wanted.prompt, wanted.candidates, wanted.seed, **settings)
    else:
        mask = None if wanted.mask is None else _pixels(wanted.mask).mean(axis=2) >= WHITE
        own = settings if mask is not None else {}  # editing without a mask has settings of its own
        picture = _pixels(wanted.picture)
        painting = painter.edit(picture, wanted.prompt, mask, wanted.candidates, wanted.seed, **own)
    return {"prompt": wanted.prompt, "pictures": list(map(_shown, *_columns(painting)))}


def _columns(painting: Painting) -> tuple[list[Any], ...]:
    return list(painting.pictures), painting.scores.tolist(), painting.passes.tolist()


def _shown(picture: np.ndarray, score: float, passes: int) -> dict[str, Any]:
    content = io.BytesIO()
    Image.fromarray(picture).save(content, "png")
    return {"png": PNG + base64.b64encode(content.getvalue()).decode(), "score": score, "passes": passes}


def _pixels(address: str) -> np.ndarray:
    """uint8 [H, W, 3] of a data address."""
    try:
        if not address.startswith(PNG):
            raise ValueError("it is no data address of a PNG file")
        return np.array(decode(base64.b64decode(address.removeprefix(PNG), validate=True)))
    except ValueError as error:
        raise EaselError(f"the picture that was sent cannot be read: {error}.") from None
