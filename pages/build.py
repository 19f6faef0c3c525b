"""Writes the pages' sources, copies figures and pictures, and lets Sphinx make the site."""

import io
import shutil
from pathlib import Path

from sphinx.application import Sphinx

from lib.errors import EaselError
from lib.ownership import fresh
from pages import artifact, charts, claims, galleries, notebooks, overviews, papers, pipeline, study, text
from pages.links import Links, suffix
from pages.material import Material

OUT = Path("build/pages")
SHOWN = 10  # complaints
THEME = Path(__file__).parent / "theme"
DOCS = {
    "glossary": "docs/glossary.md",
    "docs/statistics": "docs/statistics.md",
    "docs/data_sheet": "docs/data_sheet.md",
    "docs/house": "docs/house.md",
    "docs/contributing": "docs/contributing.md",
    "docs/faults": "docs/faults.md",
}
NAVIGATION = [
    ("claims/index", "Claims"),
    ("papers/index", "Papers"),
    ("negative", "Negative results"),
    ("interactive", "Interactive"),
    ("galleries", "Galleries"),
    ("notebooks/index", "Notebooks"),
    ("tables/index", "Tables"),
    ("pipeline", "Pipeline"),
    ("runtimes", "Runtimes"),
    ("artifact/index", "Artifact"),
    ("glossary", "Glossary"),
]


def build(material: Material, out: Path = OUT) -> int:
    """Makes the site anew in <out>/html; returns how many pages it has.

    Raises:
        EaselError: something that the pages are made from is missing or wrong, or Sphinx complains.
    """
    source, site = out / "source", out / "html"
    for folder in (source, site, out / "doctrees"):
        fresh(folder)
    pages = sources(material)
    for page, written in pages.items():
        path = source / f"{page}{suffix(page)}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(written, encoding="utf-8")
    _copy(material, source)
    _sphinx(material, source, site, out / "doctrees")
    for path, content in artifact.written(material).items():
        (site / "artifact" / path.name).write_text(content, encoding="utf-8")
    return len(pages)


def sources(material: Material) -> dict[str, str]:
    """Page → its Markdown, or its notebook as JSON."""
    links = Links(_shown(material))
    pages = {
        "index": overviews.start(material),
        "negative": overviews.negative(material),
        "runtimes": overviews.runtimes(material, links),
        "pipeline": pipeline.page(material),
        "galleries": galleries.page(material),
        "interactive": charts.page(material),
        "claims/index": claims.listed(material),
        "papers/index": papers.listed(material),
        **artifact.pages(material),
    }
    pages |= {f"claims/{claim.id}": claims.page(material, claim) for claim in material.ledger.claims}
    pages |= {
        f"papers/{origin.page}": papers.page(material, origin, found)
        for origin, found in papers.all_origins(material).items()
    }
    pages |= {f"studies/{name or 'bench'}": study.page(material, name, links) for name in material.pages}
    pages |= overviews.tables(material, links)
    pages |= notebooks.pages(material, links)
    for page, file in DOCS.items():
        written = Path(file).read_text(encoding="utf-8")
        pages[page] = text.front([file]) + links.rewritten(written, file, page)
    return pages | links.source_pages()


def _shown(material: Material) -> dict[str, str]:
    """Files of the repository that a page shows."""
    found = {file: page for page, file in DOCS.items()}
    found |= {str(path): path.with_suffix("").as_posix() for path in notebooks.paths()}
    found |= {str(path): f"tables/{path.stem}" for path in (material.results / "tables").rglob("*.md")}
    found |= {f"studies/{name}/README.md": f"studies/{name}" for name in material.studies}
    return found | {
        "README.md": "index",
        "results/runtimes.md": "runtimes",
        f"{material.results}/verdicts/claims.md": "claims/index",
        f"{material.results}/README.md": "tables/index",
    }


def _copy(material: Material, source: Path) -> None:
    """Figures with their files, and the pictures of galleries, to where Sphinx takes static files from."""
    for figure in material.figures:
        folder = source / "_static/figures" / figure.png.parent.name
        folder.mkdir(parents=True, exist_ok=True)
        for path in (figure.png, *figure.files):
            shutil.copyfile(path, folder / path.name)
    for described in material.pages.values():
        for gallery in described.galleries:
            galleries.cut(material, gallery, source)


def _sphinx(material: Material, source: Path, site: Path, doctrees: Path) -> None:
    warnings = io.StringIO()
    settings = {
        "project": "Easel",
        "extensions": ["myst_nb", "pages.extension"],
        "html_math_renderer": "mathml",
        "html_theme": THEME.name,
        "html_theme_path": [str(THEME.parent)],
        "html_static_path": ["_static"],
        "html_context": {"site_pages": NAVIGATION, "profile": material.profile},
        "html_copy_source": False,
        "html_use_index": False,
        "nb_execution_mode": "off",
        "myst_enable_extensions": ["dollarmath"],
        "myst_heading_anchors": 3,
        # The pages have a navigation of their own. Notebooks hold no outputs, and name lexers that they do not need.
        "suppress_warnings": ["toc.not_included", "mystnb.unknown_mime_type"],
    }
    app = Sphinx(
        str(source),
        None,
        str(site),
        str(doctrees),
        "html",
        confoverrides=settings,
        status=None,
        warning=warnings,
    )
    app.build(force_all=True)
    if warnings.getvalue().strip():
        lines = warnings.getvalue().strip().splitlines()
        raise EaselError("Sphinx complains:\n" + "\n".join(lines[:SHOWN]))
