"""Pictures in rows, under their prompts, each with the scene reader's ✓ or ✗: how every figure shows what was drawn."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from lib.errors import EaselError
from lib.evidence import figures

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Everything in points, the unit of the letters: a grid is laid out exactly, without a layout engine.
SIZE, LINE, GAP, BESIDE = 7.0, 8.4, 5.0, 68.0
HINTED = 1.05  # on a screen letters stand on whole pixels, which makes lines wider than their outlines
MARKS = {True: ("✓", figures.PALETTE["green"]), False: ("✗", figures.PALETTE["vermillion"])}


def picture_grid(
    images: np.ndarray,
    columns: int,
    titles: Sequence[str] | None = None,
    *,
    rows: Sequence[str] | None = None,
    marks: Sequence[bool | None] | None = None,
    heading: str = "",
    width: str = "double",
) -> Figure:
    """Pictures in rows of `columns`, sharp pixels, a wrapped title above each.

    Args:
        images: uint8 [N, S, S, 3].
        titles: N texts in a script that the installed fonts can draw (see `figures.drawable`); a row without any takes
            no room for them.
        rows: a text to the left of every row.
        marks: N judgements, a ✓ or a ✗ in the picture's lower right corner, nothing for None.
        heading: a line or more above all.

    Raises:
        EaselError: images of another shape or type, a wrong number of texts or marks, letters that no font here has.
    """
    import matplotlib.pyplot as plt

    images = np.asarray(images)
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1] != images.shape[2] or images.shape[3] != 3:
        raise EaselError(f"picture_grid: needs uint8 [N, S, S, 3], got {images.dtype} {list(images.shape)}.")
    if len(images) == 0 or columns < 1:
        raise EaselError(f"picture_grid: {len(images)} pictures in {columns} columns make no grid.")
    starts = range(0, len(images), columns)
    for what, given, count in (("titles", titles, len(images)), ("marks", marks, len(images))):
        if given is not None and len(given) != count:
            raise EaselError(f"picture_grid: {len(given)} {what} for {count} pictures.")
    if rows is not None and len(rows) != len(starts):
        raise EaselError(f"picture_grid: {len(rows)} texts for {len(starts)} rows.")
    families = figures.families("".join([*(titles or ()), *(rows or ()), heading]))

    total, beside = figures.WIDTHS[width] * 72, BESIDE if rows is not None else 0.0
    cell = (total - beside - GAP * (columns + 1)) / columns
    wrapped = [wrap(title, cell + GAP - 2, families) for title in titles or [""] * len(images)]
    heads = [max(map(len, wrapped[start : start + columns])) for start in starts]  # lines above each row
    above = wrap(heading, total - 2 * GAP, families)
    heights = [head * LINE + (2 if head else 0) + cell + GAP for head in heads]
    height = GAP + len(above) * LINE + (GAP if above else 0) + sum(heights)

    with figures.style():
        figure = plt.figure(figsize=(total / 72, height / 72))
        panel = figure.add_axes((0, 0, 1, 1))
        panel.set_axis_off()

        def write(lines: Sequence[str], x: float, bottom: float, align: str) -> None:
            """Lines one by one, so that all are equally far apart whatever letters they have."""
            for number, line in enumerate(reversed(lines)):
                at = bottom - 0.25 * SIZE - number * LINE
                panel.text(x, at, line, va="baseline", ha=align, fontsize=SIZE, family=families, parse_math=False)

        top = GAP + len(above) * LINE
        write(above, GAP, top, "left")
        top += GAP if above else 0
        for number, (start, head) in enumerate(zip(starts, heads, strict=True)):
            upper = top + head * LINE + (2 if head else 0)
            if rows is not None:
                lines = wrap(rows[number], beside - GAP, families)
                write(lines, GAP, upper + cell / 2 + len(lines) * LINE / 2, "left")
            for i in range(start, min(start + columns, len(images))):
                left = beside + GAP + (i - start) * (cell + GAP)
                extent = (left, left + cell, upper + cell, upper)
                panel.imshow(images[i], extent=extent, interpolation="nearest")
                write(wrapped[i], left + cell / 2, upper - 2, "center")
                if marks is not None and marks[i] is not None:
                    _mark(panel, bool(marks[i]), left + cell - SIZE, upper + cell - SIZE)
            top += heights[number]
        # After imshow, which sets limits of its own. y points down, as in the pictures.
        panel.set(xlim=(0, total), ylim=(height, 0), aspect="auto")
    return figure


def _mark(panel, right: bool, x: float, y: float) -> None:
    """A sign in a white disc, which shows on every picture, in colour and in grey."""
    sign, colour = MARKS[right]
    disc = {"boxstyle": "circle,pad=0.12", "facecolor": "white", "edgecolor": colour, "linewidth": 0.7}
    look = {"fontsize": SIZE, "color": colour, "fontweight": "bold"}
    panel.text(x, y, sign, va="center", ha="center", family=figures.SETTINGS["font.family"], bbox=disc, **look)


def wrap(text: str, points: float, families: Sequence[str]) -> list[str]:
    """`text` in lines no wider than `points`, as the letters are; between words, and anywhere in Chinese."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextPath

    def width(line: str) -> float:
        outlines = TextPath((0, 0), line, size=SIZE, prop=FontProperties(family=families))
        return outlines.get_extents().width * HINTED

    lines: list[str] = []
    for piece in re.findall(r"[\u2e80-\uffff]|[^\s\u2e80-\uffff]+\s*", text):
        if lines and width((lines[-1] + piece).rstrip()) <= points:
            lines[-1] += piece
        else:
            lines.append(piece)
    return [line.rstrip() for line in lines]


def counted(marks: Sequence[bool | None]) -> str:
    """A sentence on marks, for a heading; nothing if nothing was judged."""
    judged = [mark for mark in marks if mark is not None]
    if not judged:
        return ""
    return f"✓ exactly what is asked for, says the scene reader: {sum(judged)} of {len(judged)}."
