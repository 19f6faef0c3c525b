"""Every figure's caption says how much stands behind the figure, the number is read from results or settings, and the
caption lies beside the figure as text."""

import re

import pytest

from pages import captions
from tests.house import REPOSITORY

pytestmark = pytest.mark.xdist_group("pages")
# Figure → why it has no n.
WITHOUT = {"muse/rates": "drawn from formulas"}
COUNTED = "prompts|captions|pictures|candidates|seeds|trainings|repetitions"
SAID = re.compile(rf"\}}\}} (?:\w+ )?(?:{COUNTED})\b")


def test_every_caption_says_its_n(material):
    for figure in material.figures:
        written = material.pages[figure.study].captions[figure.png.stem]
        assert bool(SAID.search(written)) != (figure.name in WITHOUT), figure.name


def test_captions_are_of_figures(material):
    drawn = {(figure.study, figure.png.stem) for figure in material.figures}
    assert {(study, name) for study, page in material.pages.items() for name in page.captions} == drawn
    assert set(WITHOUT) <= {figure.name for figure in material.figures}


def test_what_git_holds_is_what_the_program_writes(material):
    files = {path.as_posix(): content for path, content in captions.written(material).items()}
    folder = REPOSITORY / captions.folder(material)
    held = {path.relative_to(REPOSITORY).as_posix(): path.read_text("utf-8") for path in folder.rglob("*.txt")}
    assert held == files, "`make pages` writes them anew"
    assert not [content for content in files.values() if "{{" in content or "<" in content]


def test_no_stage_writes_where_they_lie(material):
    outs = [out["path"] for entry in material.locked.values() for out in entry.get("outs", ())]
    assert outs and not [out for out in outs if captions.folder(material).is_relative_to(out)]


def test_a_caption_that_says_no_n_is_noticed():
    assert SAID.search("Loss; {{glu.json claims.tasks.coarse.geglu.baseline n}} paired seeds.")
    assert not SAID.search("Loss; 8 paired seeds.") and not SAID.search("Loss at {{a.json rate}}, over seeds.")
