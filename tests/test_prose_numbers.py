"""Numbers in the prose of README.md, the studies' pages and the notebooks: measured ones are what lies in results/,
rounded; all others are a setting, a source's or a ledger's. Number words ("six times") are not looked at."""

import csv
import json
import re

import pytest

from lib.evidence import results
from tests.house import REPOSITORY, STUDIES

LAPTOP = REPOSITORY / "results/laptop"
NOTEBOOKS = [str(path.relative_to(REPOSITORY)) for path in sorted((REPOSITORY / "notebooks").rglob("*.ipynb"))]
PAGES = ["README.md", *(f"studies/{study}/README.md" for study in STUDIES), *NOTEBOOKS]

# Page → its sentences with measured numbers → where those lie: file, dotted key, factor.
MEASURED = {
    "README.md": {
        r"draw (\S+) % of prompts and captions exactly right before": (
            "sjd2.json",
            "groups.quality.runs.autoregressive_untuned.exact.value",
            100,
        ),
        r"and (\S+) % after: so short": ("sjd2.json", "groups.quality.runs.autoregressive.exact.value", 100),
        r"tuning on drafts \((\S+), B12\)": ("verdicts/claims.json", "bench.B12.value", 1),
        r"outside the networks \((\S+), B15\)": ("verdicts/claims.json", "bench.B15.value", 1),
        r"\[(\S+) minutes\]\(results/runtimes.md\)": ("../runtimes.csv", "all.time (min)", 1),
    },
    "studies/glu/README.md": {r"about (\S+) % are found": ("glu.json", "steps_saved.values", 1)},
    "studies/sjd2/README.md": {
        r"copied from above\) (\S+) times fewer": ("sjd2.json", "groups.quality.runs.sjd.compression.value", 1),
        r"with shared noise (\S+); whether": ("sjd2.json", "groups.quality.runs.shared.compression.value", 1),
        r"does not have is (\S+) % against": ("sjd2.json", "control.small.left_over_autoregressive.value", 100),
        r"lossless and (\S+) times as fast": ("sjd2.json", "groups.latency.runs.sjd.against.latency.value", 1),
        r"from (\S+) % to 24 % and 28 %": ("sjd2.json", "groups.quality.runs.autoregressive_untuned.exact.value", 100),
        r"% to (\S+) % and 28 %": ("sjd2.json", "groups.quality.runs.autoregressive.exact.value", 100),
        r"to 24 % and (\S+) %": ("sjd2.json", "groups.quality.runs.autoregressive_drafts.exact.value", 100),
    },
}
# Numbers of other origin than a ledger, a setting or a reference, and what that is.
TOLD = {
    "README.md": {"73": "minutes, at the commit that stands beside it", "3.11": "Python", "3.13": "Python"},
    "notebooks/glu_variants.ipynb": {
        "220": "millions of parameters in the paper",
        "400": "millions of parameters in the report",
    },
    "notebooks/play/masked.ipynb": {"144": "cells, 12 × 12"},
    "notebooks/sjd2.ipynb": {"8193": "tokens of the paper's Emu3"},
}
INTERVALS = "95"  # per cent, everywhere
LEDGERS = ["claims.yaml", "studies/*/claims.yaml", "docs/references.yaml"]
SETTINGS = ["params.yaml", "studies/*/params.yaml"]
NUMBER = re.compile(r"(?<![\w.])\d+(?:[.,]\d+)*(?:e[-+]?\d+)?(?!\w)")
# Code, formulas, addresses, tables and headings; numbers of sections, equations and figures; preprints and years.
ASIDE = re.compile(
    r"```.*?```|`[^`]*`|\$\$.*?\$\$|\$[^$\n]*?\$|\]\(.*?\)|^(?:    |\||#).*?$"
    r"|\b(?:[Ss]ections?|[Ee]quations?|eq\.|Figures?|Tables?) [\d., –and]*\d"
    r"|\b\d{4}\.\d{5}\b|\b(?:19|20)\d\d(?:–\d\d)?\b",
    re.DOTALL | re.MULTILINE,
)
MEASURE = re.compile(r"[\s\u202f]*(%|minutes|seconds|times)")  # after a number that no setting explains
SMALL = 12  # counts up to here are words as much as numbers, where none of these follows


def prose(page, kind="markdown"):
    """The text of a page; of a notebook, of its cells of one kind."""
    text = (REPOSITORY / page).read_text(encoding="utf-8")
    if page.endswith(".ipynb"):
        text = "\n\n".join("".join(cell["source"]) for cell in json.loads(text)["cells"] if cell["cell_type"] == kind)
    return text


def numbers_of(patterns):
    """All numbers of some files, of notebooks those of the code."""
    paths = [str(path.relative_to(REPOSITORY)) for pattern in patterns for path in REPOSITORY.glob(pattern)]
    return {plain(number) for path in paths for number in NUMBER.findall(prose(path, "code"))}


def plain(number):
    """1,024 and 1e-3 as one writes them elsewhere."""
    try:
        return f"{float(number.replace(',', '')):.12g}"
    except ValueError:
        return number


def lying_at(file, key):
    path = LAPTOP / file
    if path.suffix == ".csv":
        row, column = key.split(".", 1)
        with path.open(encoding="utf-8", newline="") as rows:
            return next(float(one[column]) for one in csv.DictReader(rows) if one["stage"] == row)
    document = results.read(path)
    if key.startswith("bench."):
        document = {"bench": {one["id"]: one for one in document["bench"]}}
    found = results.find(document, key)
    return sum(found) / len(found) if isinstance(found, list) else found


@pytest.mark.parametrize("page", MEASURED)
def test_measured_numbers_are_those_of_results(page):
    for sentence, (file, key, factor) in MEASURED[page].items():
        (said,) = re.findall(sentence, prose(page))
        decimals = len(said.partition(".")[2])
        assert abs(float(said) - factor * lying_at(file, key)) <= 0.5 * 10**-decimals, (sentence, lying_at(file, key))


def unaccounted(page, text):
    """Numbers of a text that are from nowhere."""
    for sentence in MEASURED.get(page, ()):
        text = re.sub(sentence, "", text)
    text = ASIDE.sub(" ", text)
    from_sources = numbers_of(LEDGERS) | {plain(number) for number in (INTERVALS, *TOLD.get(page, ()))}
    own = [page] if page.endswith(".ipynb") else []  # parameters of a notebook
    from_settings = from_sources | numbers_of([*SETTINGS, *own])
    for found in NUMBER.finditer(text):
        number, measured = plain(found.group()), MEASURE.match(text, found.end())
        small = number.isdigit() and int(number) <= SMALL
        if number not in (from_sources if measured else from_settings) and (measured or not small):
            yield found.group()


@pytest.mark.parametrize("page", PAGES)
def test_all_other_numbers_are_settings_or_a_sources(page):
    assert not list(unaccounted(page, prose(page)))


@pytest.mark.parametrize(
    "sentence", ["It is 37.4 % better.", "SJD2 takes 6.93 times fewer passes.", "It took 138 minutes."]
)
def test_a_number_from_nowhere_is_noticed(sentence):
    assert list(unaccounted("README.md", sentence))
