"""A part is known by all that decides its result, and by nothing else."""

from pathlib import Path

import pytest

from lib import imports
from lib.pipeline import parts
from lib.pipeline.parts import Part
from tests.pipeline.small_parts import jax_sums, part, sums


@pytest.fixture(autouse=True)
def workplace(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("in").mkdir()
    Path("in/a").write_text("a")


def made(**changes):
    given = {"name": "n", "work": sums, "arguments": {"seed": 1}, "inputs": [Path("in")]} | changes
    return Part(**given)


@pytest.mark.parametrize(
    "changes",
    [
        {"work": jax_sums},
        {"arguments": {"seed": 2}},
        {"arguments": {"seed": 1, "size": 300}},
        {"inputs": []},
        {"code": ["lib.decoding.zipar"]},
        {"threads": 2},
    ],
)
def test_what_decides_the_result_changes_the_key(changes):
    assert made(**changes).key != made().key


def test_what_an_input_holds_changes_the_key():
    before = made().key
    Path("in/a").write_text("b")
    assert made().key != before


@pytest.mark.parametrize("changes", [{"name": "other"}, {"size": 9.0}, {"timed": True}])
def test_what_does_not_decide_it_does_not(changes):
    assert made(**changes).key == made().key


@pytest.mark.parametrize(("edit", "stale"), [("# said otherwise", False), ("x = 1", True)])
def test_the_code_counts_but_for_its_comments(monkeypatch, tmp_path, edit, stale):
    """An edit of zipar.py reaches what ZiPAR draws, and that alone; an edit of a comment nothing."""
    copy = tmp_path / "copy"
    root = Path(parts.ROOT)
    for source in root.glob("lib/**/*.py"):
        target = copy / source.relative_to(root)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(source.read_bytes())
    (copy / "requirements.lock").write_bytes((root / "requirements.lock").read_bytes())
    (copy / "tests/pipeline").mkdir(parents=True)
    (copy / "tests/pipeline/small_parts.py").write_bytes((root / "tests/pipeline/small_parts.py").read_bytes())
    monkeypatch.setattr(parts, "ROOT", copy)
    zipar, sjd = (made(code=[f"lib.decoding.{name}"]) for name in ("zipar", "sjd"))
    before = zipar.key, sjd.key
    with open(copy / "lib/decoding/zipar.py", "a") as file:
        file.write(f"\n{edit}\n")
    imports._imported.cache_clear()
    parts._sources.cache_clear()
    assert (zipar.key != before[0]) is stale
    assert sjd.key == before[1]


def test_equal_parts_are_computed_once(monkeypatch):
    listed = [part(sums, 1, log="log"), Part("again", sums, {"seed": 1, "log": "log"})]
    found = parts.run("s", listed)
    assert found["again"] == found["sums 1"] and Path("log").read_text() == "1\n"


def test_names_that_repeat_are_a_mistake():
    with pytest.raises(ValueError, match="parts of equal names"):
        parts.run("s", [part(sums, 1), part(sums, 1)])
