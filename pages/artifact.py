"""What a reviewer of artifacts asks for, and the README's drawing, written from the ledgers, results and lock files, so
that they cannot rot.

Git holds copies at the places where people and programs look for them; tests/pages/test_artifact.py holds those against
this module, and `make pages` writes them anew.
"""

import re
from collections.abc import Callable
from html import unescape
from pathlib import Path

from pages import appendix, bar, cards, citation, crate, latex, rubric, text
from pages.material import Material

# Path in the repository → what writes its content.
FILES: dict[str, Callable[[Material], str]] = {
    "CITATION.cff": citation.cff,
    "codecheck.yml": citation.codecheck,
    "ro-crate-metadata.json": crate.metadata,
    "docs/artifact_appendix.md": lambda material: words(appendix.written(material)),
    "docs/cards.md": lambda material: words(cards.written(material)),
    "docs/numbers.tex": latex.numbers,
    "docs/references.bib": citation.bibliography,
    "docs/rubric.json": rubric.tree,
    "docs/verdicts.svg": bar.svg,
}
SAID = {
    "CITATION.cff": "how to cite Easel and the papers",
    "codecheck.yml": "the files that a CODECHECK makes again; nobody has certified one yet",
    "ro-crate-metadata.json": "every stage with what it read and wrote, by hash, as an RO-Crate",
    "docs/artifact_appendix.md": "the artifact appendix",
    "docs/cards.md": "cards of the networks and tokenizers",
    "docs/numbers.tex": "every effect, interval, verdict, cost and caption by a name, for LaTeX",
    "docs/references.bib": "BibTeX of the papers",
    "docs/rubric.json": "what a replication of each paper has to show, as a tree with weights",
    "docs/verdicts.svg": "how many claims of each study have which verdict, as a drawing",
}


def written(material: Material) -> dict[Path, str]:
    """Path in the repository → what should stand there."""
    return {Path(name): content(material) for name, content in FILES.items()}


def words(markdown: str) -> str:
    """Markdown without the elements that say where numbers are from, its letters as they are."""
    return unescape(re.sub(r"</?(?:data|span)[^>]*>", "", markdown))


def pages(material: Material) -> dict[str, str]:
    """The pages of the site that show them."""
    listed = "\n".join(f'<li><a href="{Path(name).name}">{Path(name).name}</a>: {SAID[name]}</li>' for name in FILES)
    index = (
        "# Artifact\n\nFor reviewers of artifacts, and for their programs.\n\n"
        "- [Artifact appendix](appendix.md): machine, disk, minutes, and what every command is expected to show\n"
        "- [Cards](cards.md) of the networks and tokenizers, and the [data sheet](../docs/data_sheet.md)\n\n"
        f"## Files\n\n<ul>\n{listed}\n</ul>\n"
    )
    return {
        "artifact/index": text.front([]) + index,
        "artifact/appendix": text.front(appendix.sources(material)) + appendix.written(material),
        "artifact/cards": text.front(["docs/page.yaml"]) + cards.written(material),
    }
