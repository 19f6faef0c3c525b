"""Sliders and a brush for notebooks: HTML that needs no package and no kernel, since all that it shows was computed
before. They are the browser's own controls, so a keyboard moves them as well."""

import base64
import html
import io
import itertools
import json
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from IPython.display import HTML
from matplotlib.figure import Figure

from lib.errors import EaselError

MARKED, PLAIN = "#", "."  # cells, as text
# No scripts and no ids, which a notebook that is shown twice would have twice: handlers find what is around them.
_MOVED = """const box = this.closest('.sliders'), all = [...box.querySelectorAll('input')];
const at = all.reduce((number, one) => number * (Number(one.max) + 1) + Number(one.value), 0);
this.nextElementSibling.textContent = JSON.parse(this.dataset.values)[this.value];
box.querySelectorAll('img').forEach((one, number) => { one.style.display = number === at ? '' : 'none'; });"""
_SAID = """const brush = this.closest('.brush'), rows = [...brush.querySelectorAll('tr')];
brush.querySelector('pre').textContent = rows.map((row) =>
  [...row.querySelectorAll('input')].map((one) => one.checked ? '#' : '.').join('')).join('\\n');"""
_DRAWN = "if (event.buttons === 1 && !this.checked) this.click();"


def sliders(shown: Mapping[tuple, Figure], names: Sequence[str]) -> HTML:
    """A slider for each setting, and the figure that belongs to where they stand; at first the first of all.

    Args:
        shown: values of the settings → figure, for every combination, the last setting changing fastest.
        names: of the settings.

    Raises:
        EaselError: combinations that are missing, or in another order.
    """
    values = [list(dict.fromkeys(column)) for column in zip(*shown, strict=True)]
    if list(shown) != list(itertools.product(*values)) or len(names) != len(values):
        raise EaselError(f"sliders for {', '.join(names)} need a figure for each combination of values, in order.")
    controls = [
        f"<label>{html.escape(name)} <input type='range' min='0' max='{len(those) - 1}' value='0' step='1' "
        f"data-values='{html.escape(json.dumps([_text(one) for one in those]))}' "
        f'oninput="{html.escape(_MOVED)}"><output>{_text(those[0])}</output></label>'
        for name, those in zip(names, values, strict=True)
    ]
    pictures = [
        f"<img src='data:image/png;base64,{_png(figure)}' style='{'display: none' if number else ''}' "
        f"alt='{html.escape(', '.join(f'{name} {_text(one)}' for name, one in zip(names, those, strict=True)))}'>"
        for number, (those, figure) in enumerate(shown.items())
    ]
    return HTML(f"<div class='sliders'><p>{' &ensp; '.join(controls)}</p>{''.join(pictures)}</div>")


def _text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _png(figure: Figure) -> str:
    content = io.BytesIO()
    figure.savefig(content, format="png")
    plt.close(figure)  # a notebook shows below a cell what is still open
    return base64.b64encode(content.getvalue()).decode()


def brush(pixels: np.ndarray, marked: np.ndarray) -> HTML:
    """A picture whose cells can be marked, with a mouse that is held down or with Tab and Space; below it stands what
    is marked, as `cells` reads it.

    Args:
        pixels: uint8 [rows, columns, 3], a pixel a cell.
        marked: at first, bool [rows, columns].
    """
    lines = [
        "<tr>"
        + "".join(
            f"<td style='padding: 2px; background: rgb{tuple(map(int, pixel))}'><input type='checkbox' "
            f"style='display: block; margin: 0' aria-label='row {row + 1}, column {column + 1}'"
            f'{" checked" if marked[row, column] else ""} onchange="{html.escape(_SAID)}" '
            f'onpointerenter="{_DRAWN}" onpointerdown="this.releasePointerCapture(event.pointerId)"></td>'
            for column, pixel in enumerate(line)
        )
        + "</tr>"
        for row, line in enumerate(pixels)
    ]
    said = "\n".join("".join(MARKED if one else PLAIN for one in row) for row in marked)
    return HTML(f"<div class='brush'><table style='touch-action: none'>{''.join(lines)}</table><pre>{said}</pre></div>")


def cells(text: str, shape: tuple[int, int]) -> np.ndarray:
    """What a brush says is marked, as bool [rows, columns].

    Raises:
        EaselError: another number of rows or columns than `shape` says, or a letter that is neither # nor a dot.
    """
    rows = text.split()
    if [len(row) for row in rows] != [shape[1]] * shape[0] or set("".join(rows)) - {MARKED, PLAIN}:
        raise EaselError(f"what the brush says has {shape[0]} lines of {shape[1]} letters, each {MARKED} or {PLAIN}.")
    return np.array([[letter == MARKED for letter in row] for row in rows])
