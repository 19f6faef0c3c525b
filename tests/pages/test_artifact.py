"""The committed files for reviewers are those that the program writes, and keep the forms that they claim."""

import json
import re

import pytest
from ruamel.yaml import YAML

from lib.evidence.tables import escape_latex
from lib.evidence.verdicts import NOT_ATTEMPTED
from pages import artifact
from tests.house import REPOSITORY

pytestmark = pytest.mark.xdist_group("pages")


@pytest.fixture(scope="module")
def files(material):
    return {path.as_posix(): content for path, content in artifact.written(material).items()}


@pytest.mark.parametrize("name", artifact.FILES)
def test_what_git_holds_is_what_the_program_writes(files, name):
    assert (REPOSITORY / name).read_text(encoding="utf-8") == files[name], "`make pages` writes it anew"


def test_the_rubric_is_a_tree_with_a_leaf_for_every_result(files, material):
    def leaves(node):
        assert {"id", "requirements", "weight", "sub_tasks", "task_category"} <= set(node)
        return [leaf for below in node["sub_tasks"] for leaf in leaves(below)] or [node]

    found = leaves(json.loads(files["docs/rubric.json"]))
    assert {leaf["task_category"] for leaf in found} == {"Code Execution", "Result Analysis"}
    results = {leaf["id"]: leaf["outcome"] for leaf in found if leaf["id"].endswith("-result")}
    assert set(results) == {f"{claim.id}-result" for claim in material.ledger.claims}
    for claim, (_, record) in material.verdicts.items():
        assert results[f"{claim}-result"]["verdict"] == record["verdict"]


def test_numbers_for_latex_are_those_of_the_verdicts(files, material):
    lines = files["docs/numbers.tex"].split("\\makeatletter\n")[1].split("\n\\makeatother")[0].splitlines()
    named = dict(re.fullmatch(r"\\@namedef\{easel@(\S+)\}\{(.*)\}", line).groups() for line in lines[2:])
    assert len(named) == len(lines) - 2
    for claim, (_, record) in material.verdicts.items():
        assert named[f"{claim}:verdict"] == escape_latex(record["verdict"])
        if effect := record["effect"]:
            found = [float(named[f"{claim}:{key}"].replace("$-$", "-")) for key in ("low", "effect", "high")]
            half = (effect["high"] - effect["low"]) / 2
            assert found == pytest.approx([effect["low"], effect["value"], effect["high"]], abs=half / 10 or 1e-9)
            assert named[f"{claim}:n"] == str(record["seeds"])
        else:
            assert f"{claim}:effect" not in named
    assert sum(name.startswith("caption:") for name in named) > 20
    for value in named.values():
        assert value.count("{") == value.count("}") and not re.search(r"(?<!\\)[%#&_]", value)


def test_the_crate_names_every_stage_and_what_it_read(files, material):
    graph = {entry["@id"]: entry for entry in json.loads(files["ro-crate-metadata.json"])["@graph"]}
    assert graph["ro-crate-metadata.json"]["about"] == {"@id": "./"}
    assert {"name", "description", "datePublished", "license"} <= set(graph["./"])
    actions = [entry for entry in graph.values() if entry["@type"] == "CreateAction"]
    assert len(actions) == sum(name.rpartition("/")[2] != "sources" for name in material.locked)
    for action in actions:
        assert {item["@id"] for item in (*action["object"], *action["result"])} <= set(graph)
    assert all((REPOSITORY / part["@id"]).exists() for part in graph["./"]["hasPart"])


def test_codecheck_and_citation_are_yaml_and_name_files_that_are_there(files, material):
    manifest = YAML(typ="safe").load(files["codecheck.yml"])["manifest"]
    assert all((REPOSITORY / entry["file"]).is_file() for entry in manifest)
    citation = YAML(typ="safe").load(files["CITATION.cff"])
    assert [entry["title"] for entry in citation["references"]] == [paper.title for paper in material.papers]


def test_the_appendix_has_every_claim_with_its_command(files, material):
    rows = [line for line in files["docs/artifact_appendix.md"].splitlines() if line.startswith("| ")]
    for claim in material.ledger.claims:
        (row,) = [line for line in rows if line.startswith(f"| {claim.id} |")]
        assert ("make repro STUDY=" in row) == (claim.metric is not None)
        if not material.verdicts[claim.id][1]["verdict"].startswith(NOT_ATTEMPTED):
            assert "| – |" not in row
