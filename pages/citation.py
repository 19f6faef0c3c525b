"""Files that say how to cite, and what a CODECHECK makes again."""

import json
import tomllib
from pathlib import Path

from pages import papers
from pages.describe import Paper
from pages.material import Material

TITLE = "Easel: reproducible research on text-to-image generation"
ABSTRACT = "Papers on text-to-image generation, run again from nothing, with a verdict for every claim."


def version() -> str:
    """As pyproject.toml has it."""
    return tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]


def bibliography(material: Material) -> str:
    """BibTeX of all papers."""
    return "\n\n".join(map(papers.bibtex, material.papers)) + "\n"


def cff(material: Material) -> str:
    """CITATION.cff; JSON strings are YAML strings."""
    lines = [
        "cff-version: 1.2.0",
        "message: If you use Easel, please cite it and the papers whose claims you rely on.",
        f"title: {json.dumps(TITLE)}",
        f"abstract: {json.dumps(ABSTRACT)}",
        "type: software",
        "authors:",
        "  - name: The Easel developers",
        f"version: {version()}",
        "license: Apache-2.0",
        "references:",
        *(line for paper in material.papers for line in _reference(paper)),
    ]
    return "\n".join(lines) + "\n"


def _reference(paper: Paper) -> list[str]:
    def quoted(value: str) -> str:
        return json.dumps(value, ensure_ascii=False)

    lines = [
        f"  - type: {'conference-paper' if paper.venue else 'generic'}",
        f"    title: {quoted(paper.title)}",
        "    authors:",
    ]
    for author in paper.authors:
        family, _, given = author.partition(", ")
        person = [f"      - family-names: {quoted(family)}", f"        given-names: {quoted(given)}"]
        lines += person if given else [f"      - name: {quoted(family)}"]
    lines.append(f"    year: {paper.year}")
    if paper.venue:
        lines += ["    conference:", f"      name: {quoted(paper.venue)}"]
    return [*lines, f"    url: {quoted(paper.address)}"]


def codecheck(material: Material) -> str:
    """codecheck.yml: the outputs that a checker makes again and compares."""
    tables = sorted((material.results / "tables").rglob("*.csv"))
    verdicts = [material.results / "verdicts" / name for name in ("claims.csv", "bench.csv")]
    manifest = [
        *(
            (path, "verdict of every claim" if path.stem == "claims" else "requirements of the bench")
            for path in verdicts
        ),
        *((path, f"table {path.stem}") for path in tables),
        *((figure.png.with_suffix(".pdf"), f"figure {figure.name}") for figure in material.figures),
    ]
    lines = [
        "# What a CODECHECK (codecheck.org.uk) makes again: `make repro`, or `make figures` from committed results.",
        "# Nobody has certified one yet; codechecker, check_time and certificate are theirs to add.",
        "---",
        "version: https://codecheck.org.uk/spec/config/1.0/",
        "manifest:",
        *(f"  - file: {path}\n    comment: {json.dumps(comment)}" for path, comment in manifest),
        "paper:",
        f"  title: {json.dumps(TITLE)}",
        "  authors:",
        "    - name: The Easel developers",
    ]
    return "\n".join(lines) + "\n"
