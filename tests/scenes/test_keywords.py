from lib.scenes.keywords import keywords
from lib.scenes.scene import Background, Object, Scene


def test_all_that_a_scene_shows_is_named_without_grammar():
    circle, star = Object("circle", "red", "large", "solid", 20, 20), Object("star", "blue", "small", "dotted", 50, 50)
    ground = Background("plain", "white")
    assert keywords(Scene((circle,), ground)) == "circle, red, large, white background"
    assert keywords(Scene((circle, star), ground)) == "circle, red, large, star, blue, small, white background"
