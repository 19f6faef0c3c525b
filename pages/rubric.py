"""A rubric in the form of PaperBench's: a tree of what a replication must show, leaves with what this one showed."""

import json
from typing import Any

from lib.evidence.ledger import Claim
from lib.evidence.verdicts import NOT_ATTEMPTED
from pages import papers
from pages.material import Material


def tree(material: Material) -> str:
    """The rubric as JSON: root → source → claim → run it, and compare.

    `outcome` is no field of PaperBench's: what this repository's committed run found.
    """
    sources = [
        _node(
            f"source-{origin.page}",
            f"The claims of {origin.name} are tested.",
            [_claim(material, one) for one in found],
        )
        for origin, found in papers.all_origins(material).items()
    ]
    root = _node("easel", "Every claim of every source has a verdict that follows from committed numbers.", sources)
    return json.dumps(root, indent=1, ensure_ascii=False) + "\n"


def _claim(material: Material, claim: Claim) -> dict[str, Any]:
    _, record = material.verdicts[claim.id]
    tested = not record["verdict"].startswith(NOT_ATTEMPTED)
    leaves = []
    if claim.metric:
        made = material.made(claim.metric.results)
        study = made.stage.rpartition("/")[0]
        leaves.append(
            _leaf(
                f"{claim.id}-run",
                f"`make repro STUDY={study}` ends with exit status 0 and writes {claim.metric.key} in "
                f"{material.results / claim.metric.results}.",
                "Code Execution",
                {"run": tested},
            )
        )
    outcome = {name: record[name] for name in ("verdict", "effect", "unit", "seeds", "p", "corrected")}
    leaves.append(_leaf(f"{claim.id}-result", f"{claim.statement} Tested by: {claim.test}", "Result Analysis", outcome))
    return _node(claim.id, claim.statement, leaves)


def _node(name: str, requirements: str, below: list[dict[str, Any]]) -> dict[str, Any]:
    return {"id": name, "requirements": requirements, "weight": 1, "sub_tasks": below, "task_category": None}


def _leaf(name: str, requirements: str, category: str, outcome: dict[str, Any]) -> dict[str, Any]:
    return _node(name, requirements, []) | {"task_category": category, "outcome": outcome}
