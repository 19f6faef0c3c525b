"""What people write for the pages: every fault of theirs is one sentence that names it."""

from contextlib import chdir

import numpy as np
import pytest

from lib.errors import EaselError
from lib.evidence.strips import write_strip
from pages import charts, describe, galleries, links, pipeline, text
from pages.describe import Axis, Chart, Gallery
from tests.house import REPOSITORY


class Made:
    """Results of a made-up run."""

    def __init__(self, folder, documents):
        self.results, self.documents = folder, documents

    def path(self, file):
        return self.results / file

    def value(self, file, key):
        from lib.evidence import results

        found = results.find(self.documents[file], key)
        if found is None:
            raise EaselError(f"{file} has no {key}")
        return found


def test_an_unknown_key_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/page.yaml").write_text("title: x\ngaleries: []\n")
    with pytest.raises(EaselError, match="galeries"):
        describe.page("")


@pytest.mark.parametrize(
    "changes",
    [{"x": None}, {"y": Axis(key="b", label="b")}, {"values": ()}, {"kind": "points"}],
)
def test_a_chart_without_what_its_kind_needs_is_refused(changes):
    axis = Axis(key="a", label="a")
    given = {"id": "c", "kind": "sweep", "title": "t", "file": "f.json", "rows": {"all": "r"}, "x": axis}
    with pytest.raises(EaselError):
        Chart(**(given | {"values": (axis,)} | changes))


def test_rows_that_lie_nowhere_are_an_error(tmp_path):
    axis = Axis(key="a", label="a")
    made = Made(tmp_path, {"f.json": {"r": [{"b": 1}], "n": 3}})
    given = {"id": "c", "kind": "sweep", "title": "t", "file": "f.json", "x": axis, "values": (axis,)}
    for key, said in (("nothing", "no nothing"), ("r", "chart c"), ("n", "no rows")):
        with pytest.raises(EaselError, match=said):
            charts.numbers(made, Chart(**given, rows={"all": key}))


def test_marks_of_the_reader_are_shown_where_the_run_kept_them(tmp_path):
    (tmp_path / "p").mkdir()
    write_strip(tmp_path / "p/s.png", np.zeros((2, 8, 8, 3), dtype=np.uint8))
    entries = [{"text": "a <star>", "right": True}, {"text": "a ring", "right": False}]
    made = Made(tmp_path, {"t.json": {"k": entries}})
    shown = Gallery(title="G", strip="p/s.png", texts="t.json", key="k")
    written = galleries.gallery(made, "", shown, "")
    assert written.count("✓</span>") == 1 and written.count("✗</span>") == 1
    assert "a &lt;star&gt;" in written and "<star>" not in written
    galleries.cut(made, shown, tmp_path / "site")
    assert len(list((tmp_path / "site").rglob("*.png"))) == 2


def test_pictures_and_prompts_must_be_as_many(tmp_path):
    write_strip(tmp_path / "s.png", np.zeros((3, 8, 8, 3), dtype=np.uint8))
    made = Made(tmp_path, {"t.json": {"k": ["a", "b"], "m": [{"text": "a", "right": [True, True]}]}})
    with pytest.raises(EaselError, match="3 pictures"):
        galleries.cut(made, Gallery(title="G", strip="s.png", texts="t.json", key="k"), tmp_path)
    with pytest.raises(EaselError, match="2 marks"):
        galleries.prompts(made, Gallery(title="G", strip="s.png", texts="t.json", key="m"))


def test_a_number_that_lies_nowhere_is_named(tmp_path):
    made = Made(tmp_path, {"f.json": {"a": {"b": 0.123}, "seeds": [1, 1, 1]}})
    assert ">0.123<" in text.filled(made, "{{f.json a.b}}") and ">12.3<" in text.filled(made, "{{f.json a.b %}}")
    assert ">3<" in text.filled(made, "{{f.json seeds n}}")
    with pytest.raises(EaselError, match=r"no a\.c"):
        text.filled(made, "{{f.json a.c}}")


@pytest.mark.parametrize(
    ("values", "digits"),
    [
        ((5.779, 5.700, 5.858), 2),
        ((-7.81, -12.1, -3.55), 1),
        ((0.0423, 0.0381, 0.0465), 4),
        ((1e6,), 0),
        ((0.0, 0.0), 2),
    ],
)
def test_decimals(values, digits):
    assert text.decimals(*values) == digits


def test_links_lead_to_pages_or_sources_or_nowhere(tmp_path):
    with chdir(REPOSITORY):
        known = links.Links({"README.md": "index", "notebooks/n.ipynb": "notebooks/n"})
        written = known.rewritten(
            "[a](../README.md#x) [b](../lib/errors.py) [c](../nowhere.py) [d](https://a.b) [e](../notebooks/n.ipynb)",
            "docs/d.md",
            "docs/d",
        )
    assert written == "[a](../index.md#x) [b](../code/lib/errors_py.md) c [d](https://a.b) [e](../notebooks/n.ipynb)"


def test_the_drawing_leaves_out_arrows_that_others_make_plain():
    needs = {"a": set(), "b": {"a"}, "c": {"a", "b"}, "s/d": {"c"}, "s/e": set(), "s/f": {"s/d", "s/e"}}
    assert pipeline.direct(needs)["c"] == {"b"}
    places, _ = pipeline.layout(needs, ["", "s"])
    for name, read in needs.items():
        assert all(places[other][0] < places[name][0] for other in read)
    assert len(set(places.values())) == len(needs)
    assert places["s/e"][0] == places["s/d"][0]
