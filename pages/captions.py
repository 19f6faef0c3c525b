"""Captions of the figures, from page.yaml: on pages, and as files of text beside the figures."""

from html import escape
from pathlib import Path

from lib.errors import EaselError
from pages import text
from pages.material import Figure, Material


def caption(material: Material, shown: Figure) -> str:
    """What page.yaml says of a figure, as HTML with its numbers filled in.

    Raises:
        EaselError: it says nothing, or a number lies nowhere.
    """
    captions = material.pages[shown.study].captions
    if shown.png.stem not in captions:
        raise EaselError(f"{described_in(shown)} has no caption of {shown.name}.")
    return text.filled(material, escape(captions[shown.png.stem], quote=False))


def described_in(shown: Figure) -> str:
    """The page.yaml of a figure."""
    return f"studies/{shown.study}/page.yaml" if shown.study else "docs/page.yaml"


def folder(material: Material) -> Path:
    """Where their files lie: apart from the figures' own folders, which are outputs of stages, hashed by DVC."""
    return material.figures_folder / "captions"


def written(material: Material) -> dict[Path, str]:
    """Path in the repository → the caption that should stand there."""
    top = folder(material)
    return {top / f"{shown.name}.txt": text.bare(caption(material, shown)) + "\n" for shown in material.figures}
