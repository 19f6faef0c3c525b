"""What the tests of Scenes share: parameters for tiny data sets and a source of random scenes."""

from dataclasses import dataclass, field

import numpy as np

from lib.scenes.scene import Dice, Scene, random_scene

BACKGROUNDS = {"plain": 4, "gradient": 3, "striped": 3, "speckled": 2}
TEXTURES = {"solid": 1, "striped": 1, "dotted": 1}


@dataclass(frozen=True)
class TinyParams:
    seed: int = 7
    train: int = 30
    val: int = 6
    test: int = 6
    heldout: int = 6
    large: int = 4
    prompts_per_category: int = 5
    max_objects: int = 4
    lattice: int = 2
    backgrounds: dict[str, int] = field(default_factory=lambda: dict(BACKGROUNDS))
    textures: dict[str, int] = field(default_factory=lambda: dict(TEXTURES))


def dice(seed: int) -> Dice:
    return Dice(np.random.Generator(np.random.PCG64(seed)))


def scene(d: Dice, **settings) -> Scene:
    """One random scene; `settings` are those of `random_scene` that the test is about."""
    common = {"max_objects": 4, "lattice": 2, "backgrounds": BACKGROUNDS, "textures": TEXTURES}
    return random_scene(d, **common | settings)


def scenes(count: int, seed: int = 0, **settings) -> list[Scene]:
    d = dice(seed)
    return [scene(d, **settings) for _ in range(count)]
