"""The picture of the house in docs/house.md, held against the imports."""

import ast
import re
from pathlib import Path

import pytest

from lib.imports import own_imports
from tests.house import REPOSITORY

ROW = re.compile(r"^\| (\d+) \| (.+) \|$", re.MULTILINE)
FLOORS = {
    room: int(floor)
    for floor, rooms in ROW.findall((REPOSITORY / "docs/house.md").read_text(encoding="utf-8"))
    for room in re.findall(r"`(\w+)`", rooms)
}
TOGETHER = 2  # the floor whose rooms know each other
BESIDE = ("pages", "demo", "huggingface", "benchmarks")  # rooms that no stage needs


def imported(path):
    return own_imports(ast.parse(path.read_text(encoding="utf-8")))


def test_every_room_is_in_the_picture_and_no_other():
    rooms = {path.stem for path in (REPOSITORY / "lib").iterdir() if not path.name.startswith("__")}
    assert set(FLOORS) == rooms


@pytest.mark.parametrize("path", sorted(Path("lib").rglob("*.py")), ids=str)
def test_arrows_go_down(path, monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    if path.name.startswith("__"):
        return
    room = path.with_suffix("").parts[1]
    for module in imported(path):
        other = module.split(".")[1]
        assert module.startswith("lib.")
        assert other == room or FLOORS[other] < FLOORS[room] or FLOORS[other] == FLOORS[room] == TOGETHER, module


@pytest.mark.parametrize("room", BESIDE)
def test_a_room_beside_the_library_stands_on_it_and_nothing_on_the_room(room, monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    paths = {path: path.parts[0] for top in ("studies", *BESIDE) for path in Path(top).rglob("*.py")}
    assert room in paths.values()
    for path, top in paths.items():
        for module in imported(path):
            if top == room:
                assert module.startswith(("lib.", f"{room}.")), (path, module)
            else:
                assert not module.startswith(f"{room}."), (path, module)
