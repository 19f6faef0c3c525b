"""The rasteriser: pinned bytes, agreement of the sizes, what is painted where."""

import hashlib

import numpy as np
import pytest
from scene_examples import scenes

from lib.errors import EaselError
from lib.scenes import vocabulary as words
from lib.scenes.draw import SPECKLE, draw
from lib.scenes.scene import Background, Object, Scene

PLAIN = Background("plain", "grey")


def catalogue() -> list[Scene]:
    """Every (shape, size, texture), every colour and every background once or more."""
    backgrounds = [
        Background(kind, colour, direction, 11 if kind == "speckled" else None)
        for kind in words.BACKGROUNDS
        for colour in words.BACKGROUND_COLOURS
        for direction in (words.DIRECTIONS if kind in ("gradient", "striped") else (None,))
    ]
    objects = [
        Object(shape, words.COLOURS[(i + j + k) % 8], size, texture, 32, 30)
        for i, shape in enumerate(words.SHAPES)
        for j, size in enumerate(words.SIZES)
        for k, texture in enumerate(words.TEXTURES)
    ]
    return [Scene((o,), backgrounds[i % len(backgrounds)]) for i, o in enumerate(objects)]


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (64, "a573b569749317427b8f7b97d7f7763e67999bd75ac57051931de650ebc0028e"),
        (128, "e6ac650d7e807425e3f1ed7980d0a257dc37a758c9ea94a13a490e58a45b6d35"),
    ],
)
def test_bytes_are_pinned(size, expected):
    """A change here changes the data set: every result has to be made anew."""
    digest = hashlib.sha256()
    for scene in catalogue() + scenes(20):
        digest.update(draw(scene, size).tobytes())
    assert digest.hexdigest() == expected


def test_one_picture_is_pinned():
    scene = Scene((Object("heart", "red", "large", "dotted", 30, 32),), Background("speckled", "beige", None, 3))
    digest = hashlib.sha256(draw(scene, 64).tobytes()).hexdigest()
    assert digest == "fb83df334576424d742f92af082978ffbaf11cf8234a9f59b5a2b4a2a2b131d0"


@pytest.mark.parametrize("size", [64, 128, 192])
def test_shape_and_type(size):
    picture = draw(scenes(1)[0], size)
    assert picture.shape == (size, size, 3)
    assert picture.dtype == np.uint8
    assert picture.flags.writeable


@pytest.mark.parametrize("size", [0, 32, 100])
def test_other_sizes_are_refused(size):
    with pytest.raises(EaselError, match=f"cannot be drawn at {size} pixels: take a multiple of 64"):
        draw(scenes(1)[0], size)


def test_drawing_twice_gives_the_same_picture():
    for scene in scenes(50):
        first = draw(scene, 64).copy()
        draw(scene, 128)
        assert np.array_equal(first, draw(scene, 64))


def test_the_larger_picture_averages_to_the_smaller_one():
    for scene in scenes(40):
        large = draw(scene, 128).astype(int).reshape(64, 2, 64, 2, 3).mean(axis=(1, 3))  # [64, 64, 3]
        difference = abs(large - draw(scene, 64))
        assert difference.mean() < 0.65
        assert difference.max() < 70  # fine edges of textures only


def test_speckles_are_the_same_picture_at_both_sizes_and_depend_on_the_seed():
    def ground(noise, size):
        return draw(Scene((), Background("speckled", "grey", None, noise)), size).astype(int)

    small = ground(1, 64)
    assert np.array_equal(small.repeat(2, axis=0).repeat(2, axis=1), ground(1, 128))
    assert not np.array_equal(small, ground(2, 64))
    noise = small - draw(Scene((), PLAIN), 64)
    assert noise.min() == -SPECKLE
    assert noise.max() == SPECKLE
    assert abs(noise.mean()) < 1
    rows = noise[:, :, 0] - noise[:, :, 0].mean()
    assert abs((rows[1:] * rows[:-1]).mean()) < 0.1 * (rows**2).mean()  # neighbours are independent


def test_backgrounds_look_like_their_kind():
    def ground(kind, direction=None):
        return draw(Scene((), Background(kind, "beige", direction)), 64).astype(int)

    assert len(np.unique(ground("plain").reshape(-1, 3), axis=0)) == 1
    across, down = ground("gradient", "horizontal"), ground("gradient", "vertical")
    assert (np.diff(across, axis=1) >= 0).all() and (np.diff(across, axis=0) == 0).all()
    assert np.array_equal(down, across.transpose(1, 0, 2))
    stripes = ground("striped", "vertical")
    dark, light = words.BACKGROUND_SHADES["beige"]
    assert stripes[:, 0].tolist() == ([list(dark)] * 8 + [list(light)] * 8) * 4


def painted(o: Object, size: int = 64) -> np.ndarray:
    return (draw(Scene((o,), PLAIN), size) != draw(Scene((), PLAIN), size)).any(axis=2)


@pytest.mark.parametrize("shape", words.SHAPES)
@pytest.mark.parametrize("size", words.SIZES)
def test_objects_fill_their_box_and_nothing_else(shape, size):
    o = Object(shape, "red", size, "solid", 30, 34)
    ys, xs = np.nonzero(painted(o))
    left, top, right, bottom = o.box
    assert left <= xs.min() and xs.max() < right and top <= ys.min() and ys.max() < bottom
    assert min(xs.max() - xs.min(), ys.max() - ys.min()) + 1 >= 0.85 * words.DIAMETERS[size]
    assert abs(xs.min() + xs.max() + 1 - 2 * o.x) <= 1  # symmetric about the centre


@pytest.mark.parametrize("size", words.SIZES)
def test_shapes_differ_from_each_other(size):
    masks = [painted(Object(shape, "red", size, "solid", 32, 32)) for shape in words.SHAPES]
    for i, a in enumerate(masks):
        for b in masks[:i]:
            assert (a ^ b).sum() > 0.12 * (a | b).sum()


@pytest.mark.parametrize("size", words.SIZES)
@pytest.mark.parametrize("colour", words.COLOURS)
def test_the_colour_dominates_every_texture(size, colour):
    """The mean of an object's pixels, brightness apart, is nearest to its own colour; bare colour is common."""

    def direction(rgb):
        return np.asarray(rgb, float) / np.linalg.norm(rgb)

    for shape in words.SHAPES:
        for texture in words.TEXTURES:
            o = Object(shape, colour, size, texture, 32, 32)
            pixels = draw(Scene((o,), PLAIN), 64)[painted(o)]  # [P, 3]
            assert (pixels == words.COLOUR_RGB[colour]).all(axis=1).mean() > 0.2
            mean = direction(pixels.mean(axis=0))
            nearest = max(words.COLOURS, key=lambda c: direction(words.COLOUR_RGB[c]) @ mean)
            assert nearest == colour, (shape, texture)


@pytest.mark.parametrize("shape", words.SHAPES)
@pytest.mark.parametrize("size", words.SIZES)
def test_textures_differ_from_each_other(shape, size):
    pictures = [draw(Scene((Object(shape, "red", size, t, 32, 32),), PLAIN), 64).astype(int) for t in words.TEXTURES]
    for i, a in enumerate(pictures):
        for b in pictures[:i]:
            assert (abs(a - b).max(axis=2) > 40).sum() >= 8
