"""What the tests of Scenes share: parameters for tiny data sets and a source of random scenes."""

from dataclasses import dataclass, field

import numpy as np

from lib.scenes.scene import Dice, Scene, random_scene

BACKGROUNDS = {"plain": 4, "gradient": 3, "striped": 3, "speckled": 2}


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
    backgrounds: dict[str, int] = field(default_factory=lambda: dict(BACKGROUNDS))


def dice(seed: int) -> Dice:
    return Dice(np.random.Generator(np.random.PCG64(seed)))


def scenes(count: int, max_objects: int = 4, heldout: bool = False, seed: int = 0) -> list[Scene]:
    d = dice(seed)
    return [random_scene(d, max_objects=max_objects, backgrounds=BACKGROUNDS, heldout=heldout) for _ in range(count)]
