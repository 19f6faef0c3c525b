"""A simpler part of the drawn data, as settings say it."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import Field

from lib.config import ScenesParams
from lib.config_tree import Section, Several, plain, read, require
from lib.scenes.kept import Kept
from lib.scenes.vocabulary import SIZES


class KeptParams(Section):
    """Settings of a part that section scenes does not have."""

    sizes: Several[Literal[SIZES]] = SIZES
    """of the objects"""
    spacing: Annotated[int, Field(ge=1, le=16)] = 1  # coarser, a large object would have one place
    """pixels between possible centres; a multiple of scenes.lattice"""


def part_of(
    scenes: ScenesParams, changes: Mapping[str, Any], left_out: Sequence[str] = ()
) -> tuple[ScenesParams, Kept]:
    """How a part is drawn, and which of the scenes that are drawn so are kept.

    Args:
        scenes: the section scenes.
        changes: what is other in the part, and settings of `KeptParams`.
        left_out: backgrounds that it must not have.

    Raises:
        Refused: values that neither section can have, or backgrounds that are left out.
    """
    own = {name: value for name, value in plain(changes).items() if name in KeptParams.model_fields}
    others = {name: value for name, value in plain(changes).items() if name not in own}
    part, kept = read(plain(scenes) | others, ScenesParams, "params.yaml"), read(own, KeptParams, "params.yaml")
    shown = [kind for kind in left_out if part.backgrounds.get(kind)]
    require(not shown, "backgrounds", f"has {' and '.join(shown)}, which tokenizer.coarse leaves out")
    require(bool(kept.sizes), "sizes", "must name at least one size")
    fits = kept.spacing == 1 or kept.spacing % part.lattice == 0
    require(fits, "spacing", f"must be 1, or a multiple of lattice = {part.lattice}")
    require(not own or part.max_objects == 1, "max_objects", "must be 1 where sizes or spacing are given: few are kept")
    return part, Kept(kept.sizes, kept.spacing)
