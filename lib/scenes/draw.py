"""Scene → picture, in integer arithmetic only, so that every CPU draws the same bytes.

Objects are rasterised once per (shape, size, texture, colour, scale) with 4×4 subpixels and pasted from a cache.
A subpixel's centre has odd integer coordinates (u, v) in −D…D, where D is the object's width in subpixels.
"""

from functools import lru_cache

import numpy as np

from lib.errors import EaselError
from lib.scenes.scene import Scene
from lib.scenes.vocabulary import BACKGROUND_SHADES, COLOUR_RGB, DIAMETERS, GRID

SUBPIXELS = 4
COVERAGE = SUBPIXELS * SUBPIXELS  # what a fully covered pixel counts
STRIPE = 8  # width of a background stripe in grid pixels
SPECKLE = 16  # the noise of a speckled background is uniform on −16…16

# Vertices on a grid of 32 units from the centre to the edge of the box, y down.
_STAR = ((0, -31), (9, -11), (31, -8), (15, 7), (20, 29), (0, 18), (-20, 29), (-15, 7), (-31, -8), (-9, -11))
_TRIANGLE = ((0, -30), (32, 27), (-32, 27))
_HEART = ((0, 30), (27, -2), (15, -13), (-15, -13), (-27, -2))

# Period and width of the marks of each size, in grid pixels, and how bright they are, in eighths of the colour.
_STRIPES = {"small": (4, 2), "medium": (5, 2), "large": (7, 3)}
_DOTS = {"small": (4, 2), "medium": (6, 3), "large": (8, 4)}
_SHADE = {"striped": 4, "dotted": 3}


def draw(scene: Scene, size: int) -> np.ndarray:
    """The picture of a scene: uint8 [size, size, 3] RGB. `size` is a multiple of 64.

    Finer sizes have finer edges; speckles stay pixels of the 64×64 grid, so that all sizes show the same picture.
    """
    if size < GRID or size % GRID:
        raise EaselError(f"a scene cannot be drawn at {size} pixels: take a multiple of {GRID}")
    scale = size // GRID
    b = scene.background
    picture = _background(b.kind, b.colour, b.direction, scale).copy()
    if b.kind == "speckled":
        picture += _speckles(b.noise, scale)
    for o in scene.objects:
        rest, paint = _stamp(o.shape, o.colour, o.size, o.texture, scale)
        left, top, right, bottom = (scale * edge for edge in o.box)
        patch = picture[top:bottom, left:right]
        patch *= rest
        patch += paint
        patch //= COVERAGE
    return picture.astype(np.uint8)


@lru_cache(maxsize=256)
def _background(kind: str, colour: str, direction: str | None, scale: int) -> np.ndarray:
    """int16 [S, S, 3] without noise."""
    dark, light = (np.array(shade, np.int64) for shade in BACKGROUND_SHADES[colour])
    size = GRID * scale
    along = np.arange(size)
    if kind == "gradient":
        weight = 2 * along + 1  # of the light shade, out of 2·size
    elif kind == "striped":
        weight = along // (STRIPE * scale) % 2 * 2 * size
    else:
        weight = np.full(size, size)
    line = (dark * (2 * size - weight[:, None]) + light * weight[:, None] + size) // (2 * size)  # [S, 3]
    line = line[None, :] if direction == "horizontal" else line[:, None]
    picture = np.broadcast_to(line, (size, size, 3)).astype(np.int16)
    picture.flags.writeable = False
    return picture


def _speckles(seed: int, scale: int) -> np.ndarray:
    """Noise of brightness, independent for every pixel of the 64×64 grid: int16 [S, S, 1]."""
    generator = np.random.Generator(np.random.PCG64(seed))
    noise = generator.integers(-SPECKLE, SPECKLE + 1, size=(GRID, GRID, 1), dtype=np.int16)
    return noise if scale == 1 else noise.repeat(scale, axis=0).repeat(scale, axis=1)


@lru_cache(maxsize=4096)
def _stamp(shape: str, colour: str, size: str, texture: str, scale: int) -> tuple[np.ndarray, np.ndarray]:
    """What to paste: the share of background that stays [d, d, 1] and the paint [d, d, 3], int16, in 1/16 (rounded)."""
    pixels = DIAMETERS[size] * scale
    inside = _outline(shape, pixels * SUBPIXELS)  # [D, D]
    marks = inside & _marks(texture, size, scale)  # [D, D]
    if texture == "dotted":
        marks &= _eroded(inside, SUBPIXELS * scale // 2)
    rgb = np.array(COLOUR_RGB[colour], np.int64)
    all_covered, mark_covered = (_count(mask, pixels)[..., None] for mask in (inside, marks))  # [d, d, 1]
    paint = (all_covered - mark_covered) * rgb + mark_covered * (rgb * _SHADE.get(texture, 8) // 8)  # [d, d, 3]
    # Half a unit more makes the later integer division round to nearest.
    return (COVERAGE - all_covered).astype(np.int16), (paint + COVERAGE // 2).astype(np.int16)


def _count(mask: np.ndarray, pixels: int) -> np.ndarray:
    """Covered subpixels of each pixel: bool [D, D] → int64 [d, d]."""
    return mask.reshape(pixels, SUBPIXELS, pixels, SUBPIXELS).sum(axis=(1, 3))


def _outline(shape: str, width: int) -> np.ndarray:
    """Which subpixels belong to a shape that fills a box `width` subpixels wide: bool [D, D]."""
    u = (2 * np.arange(width) + 1 - width)[None, :]
    v = u.T
    du, dv = abs(u), abs(v)
    if shape == "circle":
        return u * u + v * v <= width * width
    if shape == "ring":
        squared = u * u + v * v
        return (squared <= width * width) & (squared * 4 >= width * width)
    if shape == "square":
        return (du * 8 <= width * 7) & (dv * 8 <= width * 7)
    if shape == "diamond":
        return du + dv <= width
    if shape == "cross":
        return (du * 3 <= width) | (dv * 3 <= width)
    if shape == "triangle":
        return _polygon(_TRIANGLE, u, v, width)
    if shape == "star":
        return _polygon(_STAR, u, v, width)
    if shape == "heart":
        lobes = (32 * du - 15 * width) ** 2 + (32 * v + 13 * width) ** 2 <= (16 * width) ** 2
        return lobes | _polygon(_HEART, u, v, width)
    raise EaselError(f"unknown shape {shape!r}")


def _polygon(vertices: tuple[tuple[int, int], ...], u: np.ndarray, v: np.ndarray, width: int) -> np.ndarray:
    """Even–odd rule: a subpixel is inside when a ray to its right crosses the outline an odd number of times."""
    u, v = 32 * u, 32 * v
    inside = np.zeros(np.broadcast_shapes(u.shape, v.shape), bool)
    for i, (x1, y1) in enumerate(vertices):
        x0, y0 = vertices[i - 1]
        x0, y0, x1, y1 = (n * width for n in (x0, y0, x1, y1))
        if y0 == y1:
            continue
        if y0 > y1:
            x0, y0, x1, y1 = x1, y1, x0, y0
        spans = (y0 <= v) & (v < y1)
        inside ^= spans & ((u - x0) * (y1 - y0) < (v - y0) * (x1 - x0))
    return inside


def _eroded(mask: np.ndarray, depth: int) -> np.ndarray:
    """Without a rim `depth` subpixels wide: a rim of plain colour keeps the outline of a dotted object readable."""
    padded = np.pad(mask, depth)
    vertical = padded[2 * depth :, depth:-depth] & padded[: -2 * depth, depth:-depth]
    horizontal = padded[depth:-depth, 2 * depth :] & padded[depth:-depth, : -2 * depth]
    return mask & vertical & horizontal


def _marks(texture: str, size: str, scale: int) -> np.ndarray:
    """Where a texture darkens the colour: bool [D, D], symmetric about the middle of the object."""
    unit = SUBPIXELS * scale
    width = DIAMETERS[size] * unit
    if texture == "solid":
        return np.zeros((width, width), bool)
    period, mark = (_STRIPES if texture == "striped" else _DOTS)[size]
    u = 2 * np.arange(width) + 1 - width
    # Distance to the middle of the nearest mark, in half subpixels; one mark lies on the object's middle.
    offset = abs((u + period * unit) % (2 * period * unit) - period * unit)
    if texture == "striped":
        return np.broadcast_to((offset <= mark * unit)[:, None], (width, width))
    return offset[:, None] ** 2 + offset[None, :] ** 2 <= (mark * unit) ** 2
