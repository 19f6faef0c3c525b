"""docs/statistics.md against the simulation, and the simulation against what the rules promise."""

import re

import pytest

from lib.evidence import simulation
from tests.house import REPOSITORY

PAGE = (REPOSITORY / "docs/statistics.md").read_text(encoding="utf-8")
NUMBER = re.compile(r"\d+\.\d")
NORMAL_OR_LONGER = ("normal", "Laplace", "t, 3 degrees of freedom")


@pytest.fixture(scope="module")
def tables():
    return {table.__name__: table() for table in simulation.TABLES}


def rows(table):
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]


def test_the_page_has_these_tables(tables):
    found = re.findall(r"(?:^\|.*\|\n)+", PAGE, re.MULTILINE)
    assert len(found) == len(tables)
    for there, table in zip(found, tables.values(), strict=True):
        assert NUMBER.sub("#", there.strip()) == NUMBER.sub("#", table)
        numbers = zip(NUMBER.findall(there), NUMBER.findall(table), strict=True)
        assert all(abs(float(first) - float(second)) < 0.11 for first, second in numbers)  # other processors round


def test_intervals_cover_what_they_promise(tables):
    for law, *cells in rows(tables["coverage"]):
        if law in (*NORMAL_OR_LONGER, "uniform"):
            assert all(93 <= float(cell) <= 97 for cell in cells), law


def test_no_law_gives_a_claim_more_than_five_percent_false_verdicts(tables):
    found = rows(tables["false_verdicts"])
    assert {law for law, *_ in found} == set(simulation.LAWS)
    assert max(float(cell) for _, *cells in found for cell in cells) <= 5


def test_a_study_gets_no_more_than_five_percent_together(tables):
    for law, seeds, claims, _, share in rows(tables["studies"]):
        if law in NORMAL_OR_LONGER:
            assert float(share) <= 5.3, (law, seeds, claims)  # 5, and two standard errors of 20,000 draws


def test_equalities_are_false_in_no_more_than_five_percent(tables):
    for *_, undiffering, inside, outside in rows(tables["equality"]):
        assert float(undiffering) <= 5 and float(inside) + float(outside) <= 5
