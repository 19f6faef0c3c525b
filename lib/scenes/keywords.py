"""Scenes as lists of keywords, the way in which prompts for Stable Diffusion are written, beside the sentences of
lib/scenes/captions.py."""

from lib.scenes.scene import Scene


def keywords(scene: Scene) -> str:
    """All that a long caption says, in English and without grammar: "circle, red, large, white background"."""
    words = [word for one in scene.objects for word in (one.shape, one.colour, one.size)]
    return ", ".join([*words, f"{scene.background.colour} background"])
