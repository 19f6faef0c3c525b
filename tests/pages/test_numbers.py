"""Every number on the pages is one of the files that the page names: a measured one is what lies there, rounded."""

import json
import re
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from lib import config_tree
from lib.evidence import results
from pages import claims
from pages.text import MINUS
from tests.house import REPOSITORY

pytestmark = pytest.mark.xdist_group("pages")
# Not part of a word: C21 and GPT2 are names, 64×64 are two numbers.
NUMBER = re.compile(r"(?<![\w.])\d+(?:[.,]\d+)*(?:e[-+]?\d+)?(?!\w)")
WRITTEN = ("docs/", "notebooks/", "code/")  # files of the repository, shown as they are


@cache
def numbers_in(file):
    """All numbers of a file, as they are written there."""
    return set(NUMBER.findall((REPOSITORY / file).read_text(encoding="utf-8").replace("\\u", " u")))


@cache
def document(file):
    path = REPOSITORY / file
    return config_tree.read_yaml(path) if path.suffix == ".yaml" else json.loads(path.read_text(encoding="utf-8"))


def lying_at(origin):
    """What a reference `file#dotted.key` or `file#/pointer` leads to."""
    file, _, key = origin.partition("#")
    found = document(file)
    if not key.startswith("/"):
        return results.find(found, key)
    for step in key[1:].split("/"):
        found = found[int(step)] if isinstance(found, list) else found[step]
    return found


def agrees(words, value, times=1.0):
    """Whether a printed number is `value`, rounded to the decimals that are printed."""
    shown = words.strip().replace(MINUS, "-")
    decimals = len(shown.partition(".")[2])
    return abs(float(shown) - value * times) <= 0.5 * 10**-decimals + 1e-9


def fault(text):
    """What is wrong with the numbers of a text; None if nothing is."""
    origin = text.origin["data-from"]
    if "data-counts" in text.origin:
        study, _, word = text.origin["data-counts"].partition(":")
        entries = document(origin)["claims"]
        counted = Counter(claims.kind(entry["verdict"]) for entry in entries if study in ("", entry["study"]))
        return None if int(text.words) == counted[word] else f"{text.words} {word} of {study}"
    if "#" in origin:
        value = lying_at(origin)
        if "data-entries" in text.origin:
            value = len(value)
        if not isinstance(value, int | float):
            return f"nothing lies at {origin}"
        right = agrees(text.words, value, float(text.origin.get("data-times", 1)))
        return None if right else f"{text.words} is not {value} of {origin}"
    known = set().union(*(numbers_in(file) for file in origin.split()))
    unknown = [number for number in NUMBER.findall(text.words) if number not in known]
    return f"{', '.join(unknown)} in {text.words.strip()[:80]!r} is in none of {origin}" if unknown else None


def test_every_number_is_from_where_the_page_says(site):
    faults = [
        f"{name}: {found}"
        for name, page in site.pages.items()
        if name != "search.html"
        for text in page.texts
        if (found := fault(text))
    ]
    assert not faults, "\n".join(faults[:20])


def test_pages_say_of_results_and_ledgers_only_that_numbers_are_from_there(site):
    """But for files that are shown as they are."""
    allowed = re.compile(
        r"results/.*|.*claims\.yaml|.*page\.(yaml|md)|docs/references\.yaml|.*params\.yaml|.*dvc\.lock|paper_figs/.*\.json"
    )
    for name, page in site.pages.items():
        if not name.startswith(WRITTEN) and name not in ("glossary.html", "search.html"):
            files = {file.partition("#")[0] for text in page.texts for file in text.origin["data-from"].split()}
            assert not [file for file in files if not allowed.fullmatch(file)], name


def test_people_write_no_measured_number():
    """page.md names places of results, and has no decimal of its own."""
    for path in [REPOSITORY / "docs/page.md", *REPOSITORY.glob("studies/*/page.md")]:
        prose = re.sub(r"\{\{.*?\}\}|\$.*?\$|\]\(.*?\)", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
        assert not re.findall(r"\d+[.,]\d+|\d+\s*%", prose), path


def test_measured_numbers_are_many(site):
    """The pages say where most numbers are from, one by one."""
    measured = sum("#" in text.origin["data-from"] for page in site.pages.values() for text in page.texts)
    assert measured > 2000


def test_interactive_figures_hold_the_numbers_of_results(site):
    found = 0
    for page in site.pages.values():
        for script in page.scripts:
            chart = json.loads(script)
            for rows in chart["choices"].values():
                for row in rows:
                    for key, measured in row["numbers"].items():
                        if measured is not None:
                            pointer = "/".join([*row["path"], *key.split(".")])
                            value = lying_at(f"{chart['file']}#/{pointer}")
                            value = value if isinstance(value, dict) else {"value": value}
                            assert measured == {end: value[end] for end in measured}
                            found += 1
    assert found > 100


@pytest.mark.parametrize(
    ("words", "value", "right"),
    [("5.78", 5.779134, True), ("5.79", 5.779134, False), (f"{MINUS}0.1", -0.13, True), ("46.8", 0.468112, False)],
)
def test_rounding(words, value, right):
    assert agrees(words, value) == right


def test_a_wrong_number_is_found(site, tmp_path):
    """The check itself can fail."""
    from tests.pages.site import Page

    sound = site.pages["claims/C1.html"].path.read_text(encoding="utf-8")
    shown = re.search(r'<data [^>]*data-from="[^"]*effect.value">([^<]*)</data>', sound)
    for changed in (
        sound.replace(shown.group(0), shown.group(0).replace(shown.group(1), "123.4")),
        sound.replace("sampling seeds", "12,345 sampling seeds"),
    ):
        path = Path(tmp_path / "C1.html")
        path.write_text(changed, encoding="utf-8")
        assert any(map(fault, Page(path).texts))
