"""What a picture shows: the scene, its truth as JSON, its hash, its split, and the drawing of random scenes.

A scene says everything about its picture except how to rasterise it (`lib.scenes.draw`).
"""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np

from lib.scenes.vocabulary import (
    BACKGROUND_COLOURS,
    COLOURS,
    DIAMETERS,
    DIRECTIONS,
    GRID,
    HELDOUT_PAIRS,
    RELATIONS,
    SHAPES,
    SIZES,
)

BORDER = 2  # free pixels between an object's box and the picture's edge
GAP = 3  # free pixels between two objects' boxes
RELATION_MARGIN = 8  # pixels by which two centres must differ for a relation to hold

TRAINING_PAIRS = tuple((s, c) for s in SHAPES for c in COLOURS if (s, c) not in HELDOUT_PAIRS)
_HELDOUT = tuple(sorted(HELDOUT_PAIRS))

# How often each layout is drawn; together they keep every GenEval category common.
_LAYOUTS = {"single": 3, "two": 4, "counting": 3, "mixed": 2}


@dataclass(frozen=True, order=True)
class Object:
    """One object; (x, y) is the centre of its box on the 64×64 grid, x to the right, y down."""

    shape: str
    colour: str
    size: str
    texture: str
    x: int
    y: int

    @property
    def box(self) -> tuple[int, int, int, int]:
        """(left, top, right, bottom) in grid pixels, right and bottom exclusive."""
        half = DIAMETERS[self.size] // 2
        return self.x - half, self.y - half, self.x + half, self.y + half


@dataclass(frozen=True)
class Background:
    """`direction` is the one along which a gradient or stripes change, `noise` the seed of speckles; else None."""

    kind: str
    colour: str
    direction: str | None = None
    noise: int | None = None


@dataclass(frozen=True)
class Scene:
    """One to four objects that do not overlap, on a background."""

    objects: tuple[Object, ...]
    background: Background

    @property
    def hash(self) -> str:
        """SHA-256 (hex) of the content: objects in sorted order and background, without the noise."""
        b = self.background
        parts = [f"{o.shape} {o.colour} {o.size} {o.texture} {o.x} {o.y}" for o in sorted(self.objects)]
        parts.append(f"{b.kind} {b.colour} {b.direction}")
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def to_json(self) -> dict:
        """The scene as plain JSON values; `from_json` reads it back."""
        return {
            "objects": [asdict(o) for o in self.objects],
            "background": asdict(self.background),
            "hash": self.hash,
        }

    @staticmethod
    def from_json(record: Mapping) -> "Scene":
        objects = tuple(Object(**o) for o in record["objects"])
        return Scene(objects, Background(**record["background"]))


def split_of(scene: Scene) -> str:
    """The only split this scene may appear in: a function of its content, so that no scene is in two splits."""
    if any((o.shape, o.colour) in HELDOUT_PAIRS for o in scene.objects):
        return "heldout"
    bucket = int(scene.hash[:8], 16) % 10
    return {0: "test", 1: "val"}.get(bucket, "train")


def relation_holds(a: tuple[int, int], relation: str, b: tuple[int, int], margin: int = RELATION_MARGIN) -> bool:
    """Whether the centre a = (x, y) lies `relation` of the centre b by at least `margin` grid pixels.

    As in GenEval (Ghosh et al. 2023, section 3.2), a diagonal position counts for both of its directions.
    """
    dx, dy = b[0] - a[0], b[1] - a[1]
    return {"left of": dx, "right of": -dx, "above": dy, "below": -dy}[relation] >= margin


def clear_relation(a: Object, b: Object) -> str | None:
    """The one relation of a to b that a caption may state: along the longer axis only; None on the diagonal."""
    dx, dy = abs(a.x - b.x), abs(a.y - b.y)
    candidates = RELATIONS[:2] if dx > dy else RELATIONS[2:] if dy > dx else ()
    return next((r for r in candidates if relation_holds((a.x, a.y), r, (b.x, b.y))), None)


class Dice:
    """Small random integers in quantity from one generator, much faster than one numpy call for each."""

    def __init__(self, generator: np.random.Generator):
        self._generator = generator
        self._block: list[int] = []

    def word(self) -> int:
        """A uniform 32-bit integer."""
        if not self._block:
            self._block = self._generator.integers(0, 2**32, size=128, dtype=np.uint32).tolist()
        return self._block.pop()

    def below(self, n: int) -> int:
        """A uniform integer in 0…n−1, for n far below 2³²."""
        return self.word() * n >> 32

    def pick(self, items):
        """One of a sequence."""
        return items[self.word() * len(items) >> 32]

    def weighted(self, weights: Mapping[str, int]) -> str:
        """A key, in proportion to its integer weight."""
        left = self.below(sum(weights.values()))
        for name, weight in weights.items():
            left -= weight
            if left < 0:
                return name
        raise AssertionError("weights are checked to be non-negative with a positive sum")


def random_scene(
    dice: Dice,
    *,
    max_objects: int,
    lattice: int,
    backgrounds: Mapping[str, int],
    textures: Mapping[str, int],
    heldout: bool = False,
) -> Scene:
    """Draws a scene.

    max_objects: 1…4. lattice: coordinates of centres are multiples of it, in pixels. backgrounds, textures: kind →
    weight. heldout: True puts at least one held-out shape–colour pair into the scene, False leaves all of them out.
    """
    objects = _random_objects(dice, max_objects, lattice, textures, heldout)
    kind = dice.weighted(backgrounds)
    background = Background(
        kind,
        dice.pick(BACKGROUND_COLOURS),
        dice.pick(DIRECTIONS) if kind in ("gradient", "striped") else None,
        dice.word() if kind == "speckled" else None,
    )
    return Scene(objects, background)


def _random_objects(
    dice: Dice, max_objects: int, lattice: int, weights: Mapping[str, int], heldout: bool
) -> tuple[Object, ...]:
    layout = dice.weighted(_LAYOUTS) if max_objects > 1 else "single"
    count = {"single": 1, "two": 2}.get(layout) or 0
    if layout == "counting":
        count = 2 + dice.below(max_objects - 1)
    elif layout == "mixed":
        count = max_objects if max_objects < 3 else 3 + dice.below(max_objects - 2)

    # Kinds are what may be repeated; which object is of which kind.
    kinds = {"single": 1, "two": 2, "counting": 1}.get(layout) or (2 if dice.below(2) else count)
    pairs = [dice.pick(TRAINING_PAIRS) for _ in range(kinds)]
    if heldout:
        pairs[0] = dice.pick(_HELDOUT)
    while layout == "two" and pairs[0][0] == pairs[1][0]:
        pairs[1] = dice.pick(TRAINING_PAIRS)
    textures = [dice.weighted(weights) for _ in range(kinds)]
    kind_of = list(range(kinds)) + [dice.below(kinds) for _ in range(count - kinds)]

    centres = None
    while centres is None:
        sizes = [dice.pick(SIZES) for _ in range(kinds)]
        centres = _place(dice, [DIAMETERS[sizes[k]] for k in kind_of], lattice)
    return tuple(
        sorted(Object(*pairs[k], sizes[k], textures[k], x, y) for k, (x, y) in zip(kind_of, centres, strict=True))
    )


def _place(dice: Dice, diameters: list[int], lattice: int) -> list[tuple[int, int]] | None:
    """Centres on the lattice for boxes GAP apart and BORDER off the edge; None when they do not fit soon."""
    largest_first = sorted(range(len(diameters)), key=lambda i: -diameters[i])
    for _ in range(8):
        placed: dict[int, tuple[int, int]] = {}
        for i in largest_first:
            d = diameters[i]
            low = BORDER + d // 2
            low += -low % lattice
            choices = (GRID - BORDER - d // 2 - low) // lattice + 1
            for _ in range(8):
                x, y = low + lattice * dice.below(choices), low + lattice * dice.below(choices)
                if all(
                    max(abs(x - px), abs(y - py)) >= (d + diameters[j]) // 2 + GAP for j, (px, py) in placed.items()
                ):
                    placed[i] = (x, y)
                    break
            else:
                break
        else:
            return [placed[i] for i in range(len(diameters))]
    return None
