"""Which of the scenes that are drawn at random are kept, where a simpler part of the data is wanted."""

from dataclasses import dataclass

from lib.scenes.captions import Statement
from lib.scenes.scene import Scene
from lib.scenes.vocabulary import SIZES


@dataclass(frozen=True)
class Kept:
    """Scenes whose objects have certain sizes, and lie at certain places.

    Attributes:
        sizes: of objects, of `lib.scenes.vocabulary.SIZES`.
        lattice: pixels between possible centres; a multiple of the lattice that scenes are drawn on.
    """

    sizes: tuple[str, ...] = SIZES
    lattice: int = 1

    def has(self, scene: Scene) -> bool:
        """Whether a scene is one of them."""
        return all(
            item.size in self.sizes and item.x % self.lattice == 0 == item.y % self.lattice for item in scene.objects
        )

    def describes(self, statement: Statement) -> bool:
        """Whether a statement asks for no other sizes."""
        return all(group.size in (None, *self.sizes) for group in statement.groups)
