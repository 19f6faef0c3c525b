"""README.md against what it speaks of: counts of verdicts, contradicted claims, links, commands."""

import json
import re
from collections import Counter

import pytest

from tests.house import REPOSITORY, STUDIES

README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
PAGES = [
    "README.md",
    "docs/house.md",
    "docs/contributing.md",
    "docs/faults.md",
    "docs/statistics.md",
    "docs/huggingface.md",
    "docs/many_devices.md",
    *(f"studies/{study}/README.md" for study in STUDIES),
]
CLAIMS = json.loads((REPOSITORY / "results/laptop/verdicts/claims.json").read_text(encoding="utf-8"))["claims"]
COLUMNS = ("reproduced", "supported", "inconclusive", "contradicted", "not attempted")


def kind(verdict):
    """The column of a verdict."""
    return next(column for column in COLUMNS if column in verdict)


def test_it_is_as_long_as_a_newcomer_reads():
    assert len(README.splitlines()) <= 150


@pytest.mark.parametrize("study", STUDIES)
def test_every_study_has_a_row_with_its_verdicts(study):
    counted = Counter(kind(claim["verdict"]) for claim in CLAIMS if claim["study"] == study)
    (row,) = re.findall(rf"^\|[^|]*\(studies/{study}/README\.md\).*$", README, re.MULTILINE)
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert [int(cell) for cell in cells[-len(COLUMNS) :]] == [counted[column] for column in COLUMNS]


def test_every_contradicted_claim_is_named_and_no_other():
    (paragraph,) = re.findall(r"^\*\*Contradicted here:\*\*.*$", README, re.MULTILINE)
    named = set(re.findall(r"\b[CDP]\d+\b", paragraph))
    assert named == {claim["id"] for claim in CLAIMS if kind(claim["verdict"]) == "contradicted"}


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    path = REPOSITORY / page
    for target in re.findall(r"\]\(([^)#]+)\)", path.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (path.parent / target).exists(), target


def test_commands_are_those_of_the_makefile():
    targets = set(re.findall(r"^([\w-]+):", (REPOSITORY / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    texts = [README, *((REPOSITORY / page).read_text(encoding="utf-8") for page in PAGES[1:])]
    asked = {name for text in texts for name in re.findall(r"`make ([\w-]+)", text)}
    assert asked <= targets, asked - targets


def test_what_a_table_names_is_here():
    """docs/faults.md names the places and the tests of its rules."""
    text = (REPOSITORY / "docs/faults.md").read_text(encoding="utf-8")
    for name in re.findall(r"`((?:lib|pages|huggingface|tests)/[\w/]+(?:\.py|/))`", text):
        assert (REPOSITORY / name).exists(), name


def test_the_devcontainer_runs_targets_of_the_makefile():
    container = json.loads((REPOSITORY / ".devcontainer/devcontainer.json").read_text(encoding="utf-8"))
    targets = set(re.findall(r"^([\w-]+):", (REPOSITORY / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    asked = re.findall(r"make ([\w-]+)", container["postCreateCommand"])
    assert asked and set(asked) <= targets
    assert container["hostRequirements"]["memory"] == "8gb"  # what the README asks for
    assert "8 GB of memory" in README
    demo = (REPOSITORY / "demo/__main__.py").read_text(encoding="utf-8")
    ports = {int(port) for port in re.findall(r"http://127\.0\.0\.1:(\d+)", demo)}
    assert ports and ports <= set(container["forwardPorts"])
