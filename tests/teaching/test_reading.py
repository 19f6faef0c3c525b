"""What cells show: claims from the ledgers, sources from where they stand, comparisons that can fail."""

import numpy as np
import pytest

from lib.decoding import speculative
from lib.errors import EaselError
from lib.teaching.reading import claims, excerpt, same, source
from tests.house import REPOSITORY


@pytest.fixture(autouse=True)
def at_the_top(monkeypatch):
    monkeypatch.chdir(REPOSITORY)


def test_a_claim_comes_with_its_source_and_the_long_runs_verdict():
    shown = claims("C24").data
    assert "**Claim C24.**" in shown and "arXiv:2002.05202" in shown and "The long run here: **" in shown
    assert all(line.startswith(">") for line in shown.splitlines())
    assert "The long run" not in claims("C24", profile="nobody's").data
    with pytest.raises(EaselError, match="no ledger has a claim C999"):
        claims("C24", "C999")


def test_a_stages_notebook_reads_one_ledger_and_no_verdict():
    shown = claims("C24", study="glu").data
    assert "**Claim C24.**" in shown and "The long run" not in shown
    with pytest.raises(EaselError, match="no ledger has a claim C30"):
        claims("C24", "C30", study="glu")
    assert claims("B1", study="").data.startswith("> **Asked of the bench, B1.** The image tokenizer")


def test_a_source_is_shown_as_it_stands():
    shown = source(speculative.leading, speculative.residual).data
    assert "`lib/decoding/speculative.py`, line " in shown
    assert "return passed.cumprod(dim=1).sum(dim=1)" in shown and "def residual" in shown


def test_an_excerpt_that_is_gone_is_missed():
    shown = excerpt(speculative.residual, "rest =", "return")
    assert "rest = (p - q)" in shown.data and "def residual" not in shown.data
    with pytest.raises(EaselError, match="residual has no line with 'keep ='"):
        excerpt(speculative.residual, "keep =", "return")


def test_a_comparison_passes_within_rounding_and_fails_beyond(capsys):
    same([1.0, 2.0], np.array([1.0, 2.000001]), "numbers")
    assert "agree" in capsys.readouterr().out
    with pytest.raises(AssertionError, match=r"numbers: yours and the library's differ by up to 0\.1"):
        same([1.0, 2.0], [1.0, 2.1], "numbers")
    with pytest.raises(AssertionError, match=r"the shape \(2,\), the library's \(3,\)"):
        same([1, 2], [1, 2, 3], "numbers")
    with pytest.raises(AssertionError):
        same([np.nan], [1.0], "numbers")
