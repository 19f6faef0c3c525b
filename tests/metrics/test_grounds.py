import numpy as np
import pytest

from lib.metrics.grounds import ground_colours
from lib.scenes.draw import draw
from lib.scenes.scene import Background, Object, Scene
from lib.scenes.vocabulary import BACKGROUND_COLOURS, COLOURS


def scene(ground, colour="red", x=14, y=14):
    return Scene((Object("square", colour, "large", "solid", x, y),), Background("plain", ground))


@pytest.mark.parametrize("size", [64, 128])
def test_grounds_are_told_apart_whatever_stands_on_them(size):
    scenes = [scene(ground, colour, x) for ground in BACKGROUND_COLOURS for colour in COLOURS for x in (14, 32, 50)]
    found = ground_colours(np.stack([draw(one, size) for one in scenes]))
    assert found.tolist() == [one.background.colour for one in scenes]


def test_an_object_that_touches_the_rim_does_not_hide_the_ground():
    picture = draw(scene("black"), 64)
    picture[:30] = 250  # less than half of the rim
    assert ground_colours(picture) == "black"
    picture[:] = (250, 250, 250)
    assert ground_colours(picture) == "white"


def test_pictures_of_several_trainings_keep_their_places():
    pictures = np.stack([draw(scene(ground), 64) for ground in ("white", "grey", "brown", "beige", "black", "grey")])
    found = ground_colours(pictures.reshape(3, 2, 64, 64, 3))
    assert found.tolist() == [["white", "grey"], ["brown", "beige"], ["black", "grey"]]
