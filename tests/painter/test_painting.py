"""Where a picture can be written is known before it is painted."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lib import generate
from lib.errors import EaselError
from lib.painter import painting
from lib.painter.painting import Painting, check_path


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("folder.png").mkdir()
    Path("file").write_text("x")
    Path("loop.png").symlink_to("loop.png")


BAD = {
    "grid.txt": "name a .png or .jpg file",
    "grid": "name a .png or .jpg file",
    "folder.png": "is a folder",
    "file/grid.png": "Move",
    "file/deeper/grid.png": "Move",
    "loop.png/grid.png": "Move away",
    f"{'a' * 300}.png": "Choose a shorter name",
    f"{'a' * 300}/grid.png": "Choose a shorter name",
    "/proc/grid.png": "",
}


@pytest.mark.parametrize("out", BAD)
def test_bad_paths_are_refused_before_anything_is_loaded(out, capsys, monkeypatch):
    monkeypatch.setattr(generate, "Painter", lambda folder, model: pytest.fail("painted"))
    assert generate.main(["a star", "--out", out]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ") and said.count("\n") == 1 and f"--out {out}" in said and BAD[out] in said


@pytest.mark.parametrize("out", ["grid.png", "a/b/ü é.JPG", "existing.png"])
def test_good_paths_leave_nothing_behind(out):
    Path("existing.png").write_bytes(b"old")
    check_path(Path(out), "--out")
    assert not Path(out).exists() or Path(out).read_bytes() == b"old"
    assert not any(path.is_file() for path in Path(out).parent.iterdir() if path.name not in ("file", "existing.png"))


@pytest.mark.parametrize("number", [28, 122, 30, 13])
def test_a_disk_that_takes_nothing_is_found_first(number, monkeypatch):
    def refuse(dir):
        raise OSError(number, os.strerror(number), dir)

    monkeypatch.setattr(painting.tempfile, "TemporaryFile", refuse)
    with pytest.raises(EaselError, match=os.strerror(number)):
        check_path(Path("grid.png"), "--out")


def test_a_file_that_may_not_be_written_is_found_first(monkeypatch):
    Path("grid.png").write_bytes(b"old")
    monkeypatch.setattr(painting.os, "access", lambda path, mode: False)  # whatever the superuser may
    with pytest.raises(EaselError, match=r"--out grid\.png may not be written"):
        check_path(Path("grid.png"), "--out")


def test_a_disk_that_fills_up_while_painting_is_told():
    Path("full.png").symlink_to("/dev/full")
    pictures = np.zeros((1, 4, 4, 3), np.uint8)
    painted = Painting("p", pictures, np.zeros(1), np.zeros((1, 1, 1), np.int32), np.zeros(1, int), np.ones(1))
    with pytest.raises(EaselError, match=r"full\.png: No space left on device\. Free some space"):
        painted.save("full.png")
    painted.save("grid.png")
    assert Image.open("grid.png").size == (4, 4)
