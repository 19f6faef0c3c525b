"""The built site without a browser: links, what is loaded, words for pictures, size, what must be there."""

import re

import pytest

from pages import papers
from tests.house import REPOSITORY, STUDIES

pytestmark = pytest.mark.xdist_group("pages")
OUTSIDE = re.compile(r"https?://")


def test_every_link_leads_somewhere(site):
    broken = []
    for name, page in site.pages.items():
        for link in [*page.links, *page.loaded]:
            if OUTSIDE.match(link) or link.startswith("data:"):
                continue
            target = site.file(name, link) if not link.startswith("#") else page.path
            anchor = link.partition("#")[2]
            if not target.is_file():
                broken.append(f"{name}: {link}")
            elif anchor and target.suffix == ".html":
                other = site.pages[target.resolve().relative_to(site.folder.resolve()).as_posix()]
                if anchor not in other.ids:
                    broken.append(f"{name}: {link}")
    assert not broken, broken[:20]


def test_every_page_is_within_reach_of_the_first(site):
    reached, waiting = set(), ["index.html"]
    while waiting:
        name = waiting.pop()
        if name in site.pages and name not in reached:
            reached.add(name)
            inside = [link for link in site.pages[name].links if not OUTSIDE.match(link)]
            waiting += [
                site.file(name, link).resolve().relative_to(site.folder.resolve()).as_posix()
                for link in inside
                if not link.startswith(("#", "data:"))
            ]
    assert set(site.pages) - reached <= {"search.html"}


def test_nothing_is_loaded_from_outside(site):
    assert not [address for page in site.pages.values() for address in page.loaded if OUTSIDE.match(address)]
    for path in [*site.folder.rglob("*.css"), *site.folder.rglob("*.js")]:
        source = re.sub(r"/\*.*?\*/|http://www\.w3\.org/\S+", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
        assert not re.search(r"@import|url\(\s*['\"]?https?:|fetch\(['\"]https?:", source), path


def test_links_outside_lead_to_papers_and_code(site, material):
    hosts = {link.split("/")[2] for page in site.pages.values() for link in page.links if OUTSIDE.match(link)}
    assert hosts <= {"arxiv.org", "github.com", *(paper.address.split("/")[2] for paper in material.papers)}, hosts


def test_pages_are_well_formed(site):
    assert not {name: page.faults[:3] for name, page in site.pages.items() if page.faults}


def test_every_picture_has_words_in_its_place(site):
    pictures = [(name, image) for name, page in site.pages.items() for image in page.images]
    assert len(pictures) > 300
    assert not [(name, image["src"]) for name, image in pictures if not image.get("alt", "").strip()]


def test_every_claim_and_source_and_study_has_its_page(site, material):
    for claim in material.ledger.claims:
        text = " ".join(piece.words for piece in site.pages[f"claims/{claim.id}.html"].texts)
        assert claim.test in re.sub(r"[“”]", '"', text.replace("’", "'")) or claim.test[:20] in text
        assert material.verdicts[claim.id][1]["verdict"].split(" (")[0] in text
    for origin in papers.all_origins(material):
        assert f"papers/{origin.page}.html" in site.pages
    assert {f"studies/{name}.html" for name in ("bench", *STUDIES)} <= set(site.pages)


def test_every_committed_figure_is_shown(site, material):
    shown = {image["src"].rpartition("figures/")[2] for page in site.pages.values() for image in page.images}
    assert {f"{figure.png.parent.name}/{figure.png.name}" for figure in material.figures} <= shown


def test_formulas_are_mathml_and_nothing_is_left_of_latex(site):
    text = site.pages["studies/sjd2.html"].path.read_text(encoding="utf-8")
    assert text.count("<math") > 10
    for page in site.pages.values():
        assert not [piece.words for piece in page.texts if re.search(r"\\(frac|tfrac|hat|text|log)\b", piece.words)]


def test_interactive_figures_say_that_they_are_precomputed(site):
    for name, page in site.pages.items():
        if page.scripts:
            assert "precomputed" in " ".join(piece.words for piece in page.texts), name


def test_it_is_small_enough_to_publish(site):
    size = sum(path.stat().st_size for path in site.folder.rglob("*") if path.is_file())
    assert size < 40e6
    assert all(page.path.stat().st_size < 1.5e6 for page in site.pages.values())


def test_it_does_not_name_this_machine(site):
    for page in site.pages.values():
        assert str(REPOSITORY) not in page.path.read_text(encoding="utf-8"), page.path
