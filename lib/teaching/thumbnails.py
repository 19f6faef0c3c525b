"""Pictures so small that networks learn to draw them in seconds: one object of Scenes on a plain ground, 12×12 cells.

Of the 64×64 picture the middle 48×48 pixels are left, every 4×4 of them averaged. As a token, each cell has the colour
of the object, where that covers half of it or more, or that of the ground: no image tokenizer has to be trained.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from torch import Tensor

from lib.errors import EaselError
from lib.models.text_encoder import TextFeatures
from lib.scenes.draw import draw
from lib.scenes.scene import Background, Object, Scene
from lib.scenes.vocabulary import BACKGROUND_COLOURS, BACKGROUND_SHADES, COLOUR_RGB, COLOURS, DIAMETERS, GRID, SHAPES

SIDE, CELL = 12, 4  # cells a side, and pixels of a cell
EDGE = (GRID - SIDE * CELL) // 2  # pixels that are cut off on each side
HALF = DIAMETERS["large"] // 2
PLACES = range(EDGE + HALF, GRID - EDGE - HALF + 1)  # of an object's middle, so that all of it is seen
WORDS = (*COLOURS, *SHAPES, *BACKGROUND_COLOURS)
PALETTE = np.array(
    [*COLOUR_RGB.values(), *(np.mean(BACKGROUND_SHADES[name], axis=0).round() for name in BACKGROUND_COLOURS)], np.int64
)
CODES = len(PALETTE)
SHOWN = 4  # pixels of a cell in `painted`


@dataclass(frozen=True)
class Thumbnails:
    """Pictures with their captions.

    Attributes:
        captions: "red circle on white", one a picture.
        words: int64 [N, 3], places in `WORDS` of colour, shape and ground.
        pixels: uint8 [N, 12, 12, 3].
        tokens: int64 [N, 144], places in `PALETTE`, in reading order.
    """

    captions: list[str]
    words: np.ndarray
    pixels: np.ndarray
    tokens: np.ndarray

    def __len__(self) -> int:
        return len(self.captions)


def thumbnails(count: int, seed: int) -> Thumbnails:
    """`count` pictures, of shape, colour, ground and place all equally likely: a function of its arguments."""
    random = np.random.Generator(np.random.PCG64(seed))
    words = np.stack([random.integers(len(names), size=count) for names in (COLOURS, SHAPES, BACKGROUND_COLOURS)], 1)
    places = random.integers(PLACES.start, PLACES.stop, size=(count, 2))
    pixels, tokens, captions = np.empty((count, SIDE, SIDE, 3), np.uint8), np.empty((count, SIDE**2), np.int64), []
    for number, ((colour, shape, ground), (x, y)) in enumerate(zip(words.tolist(), places.tolist(), strict=True)):
        names = SHAPES[shape], COLOURS[colour], BACKGROUND_COLOURS[ground]
        pixels[number] = _cells(*names, x, y).round()
        tokens[number] = np.where(_covered(names[0], x, y), colour, len(COLOURS) + ground)
        captions.append("{1} {0} on {2}".format(*names))
    words += [0, len(COLOURS), len(COLOURS) + len(SHAPES)]
    return Thumbnails(captions, words, pixels, tokens)


def _cells(shape: str, colour: str, ground: str, x: int, y: int) -> np.ndarray:
    """Mean colour of every cell, float64 [12, 12, 3]."""
    scene = Scene((Object(shape, colour, "large", "solid", x, y),), Background("plain", ground))
    middle = draw(scene, GRID)[EDGE:-EDGE, EDGE:-EDGE]
    return middle.reshape(SIDE, CELL, SIDE, CELL, 3).mean(axis=(1, 3))


@cache
def _covered(shape: str, x: int, y: int) -> np.ndarray:
    """Which cells an object covers by half or more, bool [144]: the same ones whatever its colour."""
    red, black = COLOUR_RGB["red"][0], np.mean(BACKGROUND_SHADES["black"], axis=0)[0]
    return (_cells(shape, "red", "black", x, y)[:, :, 0] >= (red + black) / 2).ravel()


def painted(tokens: np.ndarray | Tensor) -> np.ndarray:
    """Tokens [N, 144], the mask `CODES` among them → pictures uint8 [N, 48, 48, 3]; masked cells are hatched."""
    grid = np.asarray(tokens).reshape(-1, SIDE, SIDE).repeat(SHOWN, axis=1).repeat(SHOWN, axis=2)  # [N, 48, 48]
    hatched = np.where(np.add.outer(*2 * [np.arange(SIDE * SHOWN)]) % SHOWN == 0, 120, 255)  # [48, 48]
    colours = PALETTE[np.minimum(grid, CODES - 1)]
    return np.where((grid == CODES)[..., None], hatched[..., None], colours).astype(np.uint8)


def enlarged(pixels: np.ndarray) -> np.ndarray:
    """uint8 [N, 12, 12, 3] → [N, 48, 48, 3], the same cells."""
    return pixels.repeat(SHOWN, axis=1).repeat(SHOWN, axis=2)


@cache
def _silhouettes() -> tuple[np.ndarray, np.ndarray]:
    """What all shapes at all places cover, bool [K, 144], each once, and the shape of each, int [K]."""
    found: dict[bytes, int] = {}
    for shape, name in enumerate(SHAPES):
        for x in PLACES:
            for y in PLACES:
                found.setdefault(_covered(name, x, y).tobytes(), shape)
    return np.array([np.frombuffer(mask, bool) for mask in found]), np.array(list(found.values()))


def _ones(where: np.ndarray) -> np.ndarray:
    return where.astype(np.float32)


def share_as_asked(tokens: np.ndarray | Tensor, words: np.ndarray) -> float:
    """Share of the pictures int64 [N, 144] that show their words int64 [N, 3].

    One does if all of its cells have the colour of the object or that of the ground, and of all shapes at all places
    the one that fits best, cell by cell, is the one asked for.
    """
    tokens, (colours, shapes, grounds) = np.asarray(tokens), (words - [0, len(COLOURS), len(COLOURS) + len(SHAPES)]).T
    object_cells = tokens == colours[:, None]
    coloured = (object_cells | (tokens == grounds[:, None] + len(COLOURS))).all(axis=1)
    masks, of = _silhouettes()
    agreeing = _ones(object_cells) @ _ones(masks).T + _ones(~object_cells) @ _ones(~masks).T  # [N, K]
    return float((coloured & (of[agreeing.argmax(axis=1)] == shapes)).mean())


def word_ids(captions: list[str]) -> np.ndarray:
    """ "red circle on white" → places in `WORDS`, int32 [N, 3].

    Raises:
        EaselError: a caption of other words, or not of three.
    """
    split = [[word for word in text.split() if word != "on"] for text in captions]
    for text, words in zip(captions, split, strict=True):
        if len(words) != 3 or not set(words) <= set(WORDS):
            raise EaselError(f"{text!r} is no caption of colour, shape and ground; the words are {', '.join(WORDS)}.")
    return np.array([[WORDS.index(word) for word in words] for words in split], np.int32)


def features(ids: Tensor) -> TextFeatures:
    """Words int64 [N, S] as an image model reads them: one vector a word, 1 at its place. Stands for a text network."""
    vectors = torch.nn.functional.one_hot(ids.long(), len(WORDS)).float()
    return TextFeatures(vectors, torch.ones(ids.shape, dtype=torch.bool))
