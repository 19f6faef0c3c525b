"""The notebooks that stages run: clean in Git, short cells, claims from a ledger that their stage depends on, and an
answer to every question."""

import json
import re

import pytest

from lib.evidence import ledger
from lib.pipeline.stage import specs
from tests import house
from tests.notebooks.test_play import LINES

FOLDER = house.REPOSITORY / "notebooks"
WITH_CLAIMS = ("auraflow", "bench", "dalle_mini", "glu_variants", "muse", "sjd2")
NAMES = (*WITH_CLAIMS, "paint")
QUESTION = re.compile(r"\*[^*]+\?[^*]*\*")


def cells(name):
    """(kind, text) of every cell."""
    found = json.loads((FOLDER / f"{name}.ipynb").read_text(encoding="utf-8"))["cells"]
    return [(cell["cell_type"], "".join(cell["source"])) for cell in found]


def test_every_notebook_is_tested():
    assert {path.stem for path in FOLDER.glob("*.ipynb")} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_is_clean_and_its_cells_are_short(name):
    found = json.loads((FOLDER / f"{name}.ipynb").read_text(encoding="utf-8"))["cells"]
    assert [cell["id"] for cell in found] == [f"cell-{number}" for number in range(len(found))]
    assert not [cell for cell in found if cell.get("outputs") or cell.get("execution_count")]
    long = [text for kind, text in cells(name) if kind == "code" and len(text.splitlines()) > LINES]
    assert not long


@pytest.mark.parametrize("name", WITH_CLAIMS)
def test_its_claims_are_in_a_ledger_that_its_stage_depends_on(name, monkeypatch):
    monkeypatch.chdir(house.REPOSITORY)
    (call,) = re.findall(r"^claims\((.+)\)$", "\n".join(text for _, text in cells(name)), re.MULTILINE)
    (study,) = re.findall(r'study="(\w*)"', call)
    file = f"studies/{study}/claims.yaml" if study else "claims.yaml"
    (stage,) = [spec for spec in specs().values() if spec["cmd"].endswith(f"notebooks/{name}.ipynb")]
    assert file in stage["deps"]
    book = ledger.load(file, study or None)
    named = set(re.findall(r'"([CDP]\d+)"', call))
    assert named <= {claim.id for claim in book.claims} and (named or book.bench)


def unanswered(name):
    """Questions of the text that another one follows, or nothing, before a cell says an answer."""
    open_question = None
    for kind, text in cells(name):
        if kind == "code" and "answer(" in text:
            open_question = None
        elif kind == "markdown" and (asked := QUESTION.findall(text)):
            if open_question:
                yield open_question
            open_question = asked[-1]
    if open_question:
        yield open_question


@pytest.mark.parametrize("name", WITH_CLAIMS)
def test_every_question_has_an_answer(name):
    assert any(QUESTION.search(text) for kind, text in cells(name) if kind == "markdown")
    assert not list(unanswered(name))
