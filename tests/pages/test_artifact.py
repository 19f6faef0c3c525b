"""The committed files for reviewers are those that the program writes, and keep the forms that they claim."""

import json
import re
from xml.etree import ElementTree

import pytest
from ruamel.yaml import YAML

from lib.evidence.tables import escape_latex
from pages import artifact, claims, papers
from tests.house import REPOSITORY

pytestmark = pytest.mark.xdist_group("pages")


@pytest.fixture(scope="module")
def files(material):
    return {path.as_posix(): content for path, content in artifact.written(material).items()}


@pytest.mark.parametrize("name", artifact.FILES)
def test_what_git_holds_is_what_the_program_writes(files, name):
    assert (REPOSITORY / name).read_text(encoding="utf-8") == files[name], "`make pages` writes it anew"


def test_the_bars_are_as_long_as_there_are_verdicts(files, material):
    drawn = ElementTree.fromstring(files["docs/verdicts.svg"])
    rows = drawn.findall("{*}g")[:-1]  # the last one is the legend
    units = set()
    for row in rows:
        title, *numbers = [text.text for text in row.findall("{*}text")]
        (study,) = [study for study in material.studies if material.title(study) == title]
        counted = claims.counted(material, study)
        assert [int(number) for number in numbers] == [count for count in counted.values() if count]
        widths = [float(box.get("width")) for box in row.findall("{*}rect")]
        units |= {round(width / int(number), 1) for width, number in zip(widths, numbers, strict=True)}
    assert len(rows) == len(material.studies) and max(units) - min(units) <= 0.2


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


def test_every_paper_can_be_cited_and_a_group_is_no_person(files, material):
    bibtex = files["docs/references.bib"]
    assert re.findall(r"^@\w+\{(\S+),$", bibtex, re.MULTILINE) == [paper.key for paper in material.papers]
    assert "author = {{Kolors Team}}" in bibtex and '- name: "Kolors Team"' in files["CITATION.cff"]
    named = {origin.name for origin in papers.all_origins(material) if origin.arxiv and not origin.paper(material)}
    assert not named, f"docs/references.yaml lacks {named}"


def test_the_appendix_has_every_claim_that_is_tested_at_its_command(files, material):
    lines = files["docs/artifact_appendix.md"].splitlines()
    commands = {
        line.partition("`: ")[0]: line.partition("`: ")[2] for line in lines if line.startswith("- `make repro ")
    }
    named = {line: re.findall(r"\b[CDP]\d+\b", listed) for line, listed in commands.items()}
    tested = [
        claim for claim in material.ledger.claims if "not attempted" not in material.verdicts[claim.id][1]["verdict"]
    ]
    assert sorted(id for ids in named.values() for id in ids) == sorted(claim.id for claim in tested)
    for claim in tested:
        study = material.made(claim.metric.results).stage.rpartition("/")[0]
        assert claim.id in named[f"- `make repro STUDY={study}"]
        value = artifact.words(claims.measured(material, claim)[0])
        assert f"{claim.id} {value}" in commands[f"- `make repro STUDY={study}"] and value != "–"


def test_the_appendix_is_a_page_of_plain_text(files):
    lines = files["docs/artifact_appendix.md"].splitlines()
    assert sum(1 + len(line) // 110 for line in lines) <= 80
    assert "&#" not in files["docs/artifact_appendix.md"] + files["docs/cards.md"]
