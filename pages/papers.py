"""A page a paper (or other source): its claims with its values beside ours, and how to cite it; and the list of all."""

import re
from dataclasses import dataclass
from html import escape

from lib.evidence.ledger import Claim
from pages import claims, plots, text
from pages.describe import Paper
from pages.material import VERDICTS, Material

NUMBERED = re.compile(r"([^,()]+?)\s*\(arXiv:(\d{4}\.\d{4,5})\)")


@dataclass(frozen=True)
class Origin:
    """What a claim's source names: a paper, a thread, a press text, or ourselves."""

    name: str
    arxiv: str = ""

    @property
    def page(self) -> str:
        """File name of its page."""
        return text.slug(self.name)

    def paper(self, material: Material) -> Paper | None:
        """Its entry among the references."""
        for paper in material.papers:
            if (self.arxiv and paper.arxiv == self.arxiv) or (paper.found_by and paper.found_by in self.name):
                return paper
        return None


def origins(claim: Claim) -> list[Origin]:
    """The sources of a claim: every preprint that it names, or what it names as a whole."""
    numbered = [Origin(name.strip(), number) for name, number in NUMBERED.findall(claim.source.paper)]
    return numbered or [Origin(claim.source.paper)]


def all_origins(material: Material) -> dict[Origin, list[Claim]]:
    """Source → its claims, in the order of the ledgers."""
    found: dict[Origin, list[Claim]] = {}
    for claim in material.ledger.claims:
        for origin in origins(claim):
            found.setdefault(origin, []).append(claim)
    return found


def links(material: Material, claim: Claim, up: str) -> str:
    """The sources of a claim as HTML links to their pages; `up`: the way to the top of the site."""
    return ", ".join(
        f'<a href="{up}papers/{origin.page}.html">{escape(_shown(origin))}</a>' for origin in origins(claim)
    )


def _shown(origin: Origin) -> str:
    return f"{origin.name} (arXiv:{origin.arxiv})" if origin.arxiv else origin.name


def page(material: Material, origin: Origin, found: list[Claim]) -> str:
    """The page of one source."""
    paper = origin.paper(material)
    ledgers = [material.ledger_file(claim) for claim in found]
    parts = [f"# {text.plain(paper.title if paper else origin.name)}"]
    if paper:
        where = f"{paper.venue}, {paper.year}" if paper.venue else f"{paper.year}"
        authors = text.plain(", ".join(paper.names))
        parts.append(f"{authors}. {text.plain(where)}. [{_address(paper)}]({paper.address})")
    elif origin.arxiv:
        parts.append(f"[arXiv:{origin.arxiv}](https://arxiv.org/abs/{origin.arxiv})")
    studies = [study for study in dict.fromkeys(claim.study for claim in found) if study in material.studies]
    if studies:
        named = ", ".join(f"[{text.plain(material.title(study))}](../studies/{study}.md)" for study in studies)
        parts.append(f"Method, equations and pictures: {named}.")
    parts += [
        "## Its claims, and what we found",
        text.table(claims.HEAD, [claims.row(material, claim, "../claims/") for claim in found]),
    ]
    ids = {claim.id for claim in found}
    shown = [figure for figure in material.figures if ids & set(figure.claims)]
    if shown:
        parts += ["## Figures", *(plots.figure(material, figure, "../", short=True) for figure in shown)]
    parts += ["## Cite it", f"```bibtex\n{bibtex(paper)}\n```" if paper else "No BibTeX entry of it is known to us."]
    return text.front([*ledgers, str(material.results / VERDICTS), "docs/references.yaml"]) + "\n\n".join(parts) + "\n"


def listed(material: Material) -> str:
    """The list of all sources."""
    rows = []
    for origin, found in all_origins(material).items():
        paper = origin.paper(material)
        ids = ", ".join(f'<a href="../claims/{claim.id}.html">{claim.id}</a>' for claim in found)
        title = escape(paper.title if paper else origin.name)
        rows.append((f'<a href="{origin.page}.html">{title}</a>', str(paper.year) if paper else "", ids))
    sources = ["docs/references.yaml", "claims.yaml", *map(material.ledger_file, material.ledger.claims)]
    return text.front(sources) + "# Papers and other sources\n\n" + text.table(("source", "year", "claims"), rows)


def bibtex(paper: Paper) -> str:
    """Its BibTeX entry."""
    authors = (author if ", " in author else f"{{{author}}}" for author in paper.authors)
    fields = {"title": f"{{{paper.title}}}", "author": " and ".join(authors), "year": str(paper.year)}
    if paper.venue:
        fields["booktitle"] = paper.venue
    if paper.arxiv:
        fields |= {"eprint": paper.arxiv, "archiveprefix": "arXiv"}
    if paper.url:
        fields["url"] = paper.url
    lines = ",\n".join(f"  {name} = {{{value}}}" for name, value in fields.items())
    return f"@{'inproceedings' if paper.venue else 'misc'}{{{paper.key},\n{lines}\n}}"


def _address(paper: Paper) -> str:
    return f"arXiv:{paper.arxiv}" if paper.arxiv else "where it is"
