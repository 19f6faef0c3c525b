"""A page a study: what people wrote in its page.md, its claims, tables, interactive figures, galleries and figures."""

from pathlib import Path

from lib import config
from pages import charts, claims, galleries, overviews, plots, text
from pages.links import Links
from pages.material import VERDICTS, Material


def page(material: Material, study: str, links: Links) -> str:
    """The page of a study; of the bench, if it is ""."""
    described, at = material.pages[study], f"studies/{study or 'bench'}"
    prose_file = (config.folder(study) if study else Path("docs")) / "page.md"
    prose = links.rewritten(prose_file.read_text(encoding="utf-8"), str(prose_file), at)
    found = claims.order([claim for claim in material.ledger.claims if claim.study == study])
    parts = [f"# {text.plain(described.title)}"]
    if found:
        parts.append(claims.counts(material, study))
    parts.append(text.filled(material, prose))
    if found:
        rows = [claims.row(material, claim, "../claims/") for claim in found]
        parts += ["## Claims", text.table(claims.HEAD, rows)]
    if described.charts:
        parts += ["## Interactive figures", charts.PRECOMPUTED]
        parts += [charts.chart(material, chart, "../") for chart in described.charts]
    if described.galleries:
        parts += ["## Pictures", *(galleries.gallery(material, study, one, "../") for one in described.galleries)]
    figures = [figure for figure in material.figures if figure.study == study]
    if figures:
        parts += ["## Figures", *(plots.figure(material, figure, "../") for figure in figures)]
    if overviews.table_files(material, study):
        parts += ["## Tables", overviews.listed_tables(material, study, "../tables/")]
    return text.front([*sources(material, study), str(prose_file)]) + "\n\n".join(parts) + "\n"


def sources(material: Material, study: str) -> list[str]:
    """The files that the numbers of a study's pages are from, but for those in `<data>`."""
    found = [str(material.results / VERDICTS)]
    return found + ([f"studies/{study}/claims.yaml", f"studies/{study}/page.yaml"] if study else ["docs/page.yaml"])
