"""Sliders and the brush: every combination has its picture, and the handlers do in Node what they say."""

import html
import json
import re
import shutil
import subprocess

import numpy as np
import pytest
from matplotlib.figure import Figure

from lib.errors import EaselError
from lib.teaching import controls

NODE = shutil.which("node")
SHOWN = {(window, keep): Figure(figsize=(1, 1)) for window in (1, 2) for keep in (float("inf"), 0.5, 0.0)}


def handlers(page, event):
    return [html.unescape(text) for text in re.findall(rf'{event}="(.*?)"', page, re.DOTALL)]


def run(script):
    """What a script prints as JSON."""
    done = subprocess.run([NODE, "-e", script], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_every_combination_has_a_picture_and_only_the_first_is_shown():
    page = controls.sliders(SHOWN, ["window", "keep <"]).data
    assert page.count("<img") == 6 and page.count("display: none") == 5 and "<script" not in page
    assert re.findall("alt='(.*?)'", page)[1] == "window 1, keep &lt; 0.5"
    assert json.loads(html.unescape(re.findall("data-values='(.*?)'", page)[1])) == ["inf", "0.5", "0"]
    for wrong in ({key: SHOWN[key] for key in list(SHOWN)[1:]}, dict(reversed(list(SHOWN.items())[:2]))):
        with pytest.raises(EaselError, match="each combination"):
            controls.sliders(wrong | {(2, 0.25): SHOWN[2, 0.5]}, ["window", "keep"])


@pytest.mark.skipif(NODE is None, reason="no node here")
def test_a_slider_that_is_moved_shows_its_picture():
    moved = handlers(controls.sliders(SHOWN, ["window", "keep"]).data, "oninput")[1]
    found = run(
        f"""const pictures = Array.from({{length: 6}}, () => ({{style: {{}}}}));
        const one = {{max: '1', value: '1'}}, said = {{}};
        const other = {{max: '2', value: '2', dataset: {{values: '["inf", "0.5", "0"]'}}, nextElementSibling: said,
          closest: () => ({{querySelectorAll: (what) => what === 'img' ? pictures : [one, other]}})}};
        (function () {{ {moved} }}).call(other);
        console.log(JSON.stringify([pictures.map((picture) => picture.style.display), said.textContent]));"""
    )
    assert found == [["none"] * 5 + [""], "0"]


MARKED = np.array([[True, False, False], [False, True, True]])


def test_what_the_brush_says_is_read_back():
    page = controls.brush(np.zeros((2, 3, 3), np.uint8), MARKED).data
    assert page.count("<input") == 6 and page.count(" checked") == 3 and "aria-label='row 2, column 3'" in page
    text = re.search("<pre>(.*?)</pre>", page, re.DOTALL)[1]
    assert (controls.cells(f"\n{text}\n", (2, 3)) == MARKED).all()
    for wrong in ("##.\n.##\n...", "##\n.#", "##x\n.##", ""):
        with pytest.raises(EaselError, match="2 lines of 3 letters"):
            controls.cells(wrong, (2, 3))


@pytest.mark.skipif(NODE is None, reason="no node here")
def test_a_cell_that_is_marked_is_said():
    said = handlers(controls.brush(np.zeros((2, 3, 3), np.uint8), MARKED).data, "onchange")[0]
    found = run(
        f"""const cells = {json.dumps(MARKED.tolist())}, text = {{}};
        const rows = cells.map((row) => ({{querySelectorAll: () => row.map((checked) => ({{checked}}))}}));
        const brush = {{querySelectorAll: () => rows, querySelector: () => text}};
        (function () {{ {said} }}).call({{closest: () => brush}});
        console.log(JSON.stringify(text.textContent));"""
    )
    assert found == "#..\n.##"
