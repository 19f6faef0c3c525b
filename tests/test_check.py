"""`make check`: what it looks at, and that it objects."""

import dataclasses

import pytest

from lib import check, figures
from lib.errors import EaselError
from studies.sjd2.code import check as sjd2


@pytest.mark.parametrize(
    ("differing", "said"), [(["a.pdf", "b.csv"], None), ([], "byte for byte"), (None, "no Git here")], ids=str
)
def test_what_differs_from_git_is_an_error(differing, said, monkeypatch):
    monkeypatch.setattr(figures, "draw", lambda stages: None)
    monkeypatch.setattr(figures, "changed", lambda: differing)
    if said is None:
        with pytest.raises(EaselError, match=r"2 files differ from Git's, among them a\.pdf, b\.csv"):
            check.drawings()
    else:
        assert said in check.drawings()


def test_drawn_data_with_other_hashes_are_an_error(monkeypatch):
    def few(folder, params, processes):
        (folder / "MANIFEST.sha256").write_text("")

    monkeypatch.setattr(check, "make", few)
    with pytest.raises(EaselError):
        check.data()


def test_a_study_with_exact_laws_is_asked():
    assert sjd2.check in check.exact()


def test_a_decoder_that_is_called_lossless_and_is_not_is_found(monkeypatch):
    found = sjd2.cases()
    lossy, honest = found["SJD++, threshold 0.1"], found["autoregressive"]
    monkeypatch.setattr(sjd2, "cases", lambda: {"honest": honest, "lossy": lossy})
    assert "1 decoders" in sjd2.check()
    monkeypatch.setattr(sjd2, "cases", lambda: {"honest": honest, "lossy": dataclasses.replace(lossy, lossless=True)})
    with pytest.raises(EaselError, match="lossy is lossless on paper, but misses the law"):
        sjd2.check()
