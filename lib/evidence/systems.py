"""A system of the bench, a way from a prompt to a picture, as every study says what it measured of its own: the rows of
the one table over all studies (stage systems)."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from pydantic import Field

from lib.config import ScenesParams
from lib.evidence.report import Interval, Report
from lib.scenes.kept import Kept

FILE = "systems.json"  # in the folder of a study's tables
FAMILIES = ("autoregressive", "masked", "next scale", "diffusion", "flow")


class System(Report):
    """One system, with all its trainings."""

    name: str
    family: str
    """of FAMILIES"""
    pictures: str
    """what it draws: only systems of the same pictures can be compared"""
    parameters: int
    """of all image models that a picture needs; text network and image tokenizer left out"""
    minutes: list[float] = Field(default_factory=list)
    """of each training, on one core"""
    passes: float
    """a picture"""
    operations: float | None = None
    """a picture, drawn alone: products, convolutions and attention"""
    seconds: dict[int, list[float]] = Field(default_factory=dict)
    """batch size → a picture, one value a repetition or seed"""
    exact: dict[str, Interval] = Field(default_factory=dict)
    """language of the prompts → share drawn exactly right"""
    clip_score: Interval | None = None
    fid: Interval | None = None
    kid: Interval | None = None
    likelihood: Interval | None = None
    """nats a token, under the study's judge"""


class Systems(Report):
    """Those of one study."""

    systems: list[System]


def save(tables: Path, systems: Iterable[System]) -> None:
    """Leaves a study's systems beside its tables."""
    Systems(systems=list(systems)).write(tables / FILE)


def drawn(source: str, scenes: ScenesParams, side: int, kept: Kept | None = None, left_out: Sequence[str] = ()) -> str:
    """What pictures show, in words: equal for equal kinds of pictures.

    Args:
        source: of the data; of other sources than scenes nobody knows.
        side: of a picture, in pixels.
        kept: which scenes are; all, if None.
        left_out: backgrounds that are not drawn.
    """
    if source != "scenes":
        return f"{side}×{side}, own"
    words = [f"{side}×{side}", "one object" if scenes.max_objects == 1 else f"up to {scenes.max_objects} objects"]
    if kept and kept != Kept():
        words += [" or ".join(kept.sizes), f"centres {kept.lattice} pixels apart"]
    grounds = [kind for kind, weight in scenes.backgrounds.items() if weight and kind not in left_out]
    textures = [kind for kind, weight in scenes.textures.items() if weight]
    return ", ".join([*words, f"grounds {'/'.join(grounds)}", f"textures {'/'.join(textures)}"])
