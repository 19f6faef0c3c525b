"""The one figure style: venue widths, embedded fonts, colours that survive colour blindness and grey printing.

Every figure is written as PDF (for papers) and PNG (for pages and notebooks), with the data it plots as CSV and a
provenance sidecar; all of it byte-identical for identical content.

    with figures.style():
        figure, axes = figures.axes(width="single")
        axes.plot(steps, loss, label="GEGLU", **figures.series(0))
        axes.set(xlabel="step", ylabel="loss (nat)")
        axes.legend()
        figures.save(figure, "paper_figs/loss", frame, stage="…", sources=["notebooks/…"], claims=["C21"])
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from lib.errors import EaselError
from lib.evidence import provenance

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Inches: one and two columns of the usual two-column venues.
WIDTHS = {"single": 3.25, "double": 6.75}
DPI = 300

# Okabe and Ito's colour-blind-safe set (2008), ordered so that neighbours in a legend differ in grey as well.
# Yellow comes last: a thin yellow line on white is hard to see.
PALETTE = {
    "black": "#000000",
    "vermillion": "#D55E00",
    "sky blue": "#56B4E9",
    "green": "#009E73",
    "orange": "#E69F00",
    "blue": "#0072B2",
    "purple": "#CC79A7",
    "yellow": "#F0E442",
}
LINES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1, 1, 1)), (0, (1, 1)), (0, (8, 2)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")

SETTINGS: dict[str, Any] = {
    # DejaVu comes with matplotlib: the same letters, hence the same bytes, on every machine.
    "font.family": "DejaVu Sans",
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "legend.frameon": False,
    # Long enough to show a dash pattern on both sides of the marker.
    "legend.handlelength": 3.2,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "0.88",
    "grid.linewidth": 0.5,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "lines.linewidth": 1.2,
    "lines.markersize": 4.5,
    # A thin white rim keeps markers apart where curves cross.
    "lines.markeredgecolor": "white",
    "lines.markeredgewidth": 0.3,
    "errorbar.capsize": 2,
    "figure.dpi": 150,
    # Type 42 embeds TrueType outlines; many venues refuse matplotlib's default, Type 3.
    "pdf.fonttype": 42,
    "ps.fonttype": 42,
    "svg.hashsalt": "easel",
    # The exact width that was asked for: a tight bounding box would change it.
    "savefig.bbox": "standard",
}

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")


@contextmanager
def style() -> Iterator[None]:
    """The style of this repository for everything plotted inside the `with` block.

    It starts from the library's defaults: a matplotlibrc of the machine, or of whoever called, changes nothing.
    """
    import matplotlib as mpl
    from cycler import cycler

    cycle = cycler(color=list(PALETTE.values())) + cycler(linestyle=LINES) + cycler(marker=MARKERS)
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update({**SETTINGS, "axes.prop_cycle": cycle})
        yield


def series(index: int) -> dict[str, Any]:
    """Colour, line style and marker of series number `index` (0–7), so that it looks the same in every figure.

    Raises:
        EaselError: more series than can be told apart; split the figure.
    """
    colours = list(PALETTE.values())
    if not 0 <= index < len(colours):
        raise EaselError(f"A figure can tell {len(colours)} series apart; number {index} needs a second panel.")
    return {"color": colours[index], "linestyle": LINES[index], "marker": MARKERS[index]}


def axes(
    width: str = "single", *, aspect: float = 0.7, rows: int = 1, columns: int = 1, **subplots: Any
) -> tuple[Figure, Any]:
    """A figure of a venue's width and its axes (one, or an array [rows, columns] without its singleton sides).

    Args:
        width: "single" (3.25 in) or "double" (6.75 in).
        aspect: height over width of one panel.
        **subplots: passed to `matplotlib.pyplot.subplots` (sharex, sharey, …).
    """
    import matplotlib.pyplot as plt

    inches = _width(width)
    return plt.subplots(
        rows, columns, figsize=(inches, inches / columns * aspect * rows), layout="constrained", **subplots
    )


def save(
    figure: Figure, path: str | Path, data: pd.DataFrame | Mapping[str, pd.DataFrame], **origin: Any
) -> list[Path]:
    """Writes <path>.pdf, .png, the plotted data (<path>.csv, or <path>.<key>.csv each) and the sidecar <path>.json.

    Args:
        path: without suffix; the name in lower case letters, digits, - and _.
        data: exactly what is plotted, so that others can plot it their way.
        **origin: what `provenance.write` takes (stage, sources, inputs, parameters, claims).

    Raises:
        EaselError: a bad name, nothing in `data`, or letters that would be cut off at the edge of the page.
    """
    path = Path(path)
    if not _NAME.fullmatch(path.name):
        raise EaselError(f"Figure name {path.name!r}: lower case letters, digits, - and _ only, no suffix.")
    if isinstance(data, pd.DataFrame):
        frames = {path.with_name(f"{path.name}.csv"): data}
    else:
        frames = {path.with_name(f"{path.name}.{key}.csv"): frame for key, frame in data.items()}
    if not frames or any(frame.empty for frame in frames.values()):
        raise EaselError(f"Figure {path.name}: there is no plotted data to write beside it.")

    pdf, png = path.with_name(f"{path.name}.pdf"), path.with_name(f"{path.name}.png")
    with style():
        _check_inside(figure, path.name)
        path.parent.mkdir(parents=True, exist_ok=True)
        # Without this the PDF holds the time of its making.
        figure.savefig(pdf, metadata={"CreationDate": None}, dpi=DPI)
        figure.savefig(png, dpi=DPI)
    for file, frame in frames.items():
        frame.to_csv(file, index=False, lineterminator="\n")
    sidecar = provenance.write(path.with_name(f"{path.name}.json"), [pdf, png, *frames], **origin)
    return [pdf, png, *frames, sidecar]


def _check_inside(figure: Figure, name: str) -> None:
    figure.draw_without_rendering()
    drawn, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
    beyond = max(-drawn.x0, -drawn.y0, drawn.x1 - width, drawn.y1 - height)
    if beyond > 0.02:  # inches; less is the white margin of a letter's box
        raise EaselError(f"Figure {name}: something sticks out of the page by {beyond:.2f} in; shorten the labels.")


def drawable(text: str) -> bool:
    """Whether the fonts of this machine can draw `text`; matplotlib's own have no Chinese."""
    try:
        families(text)
    except EaselError:
        return False
    return True


def families(text: str) -> list[str]:
    """Font families that together have every letter of `text`; DejaVu alone wherever that is enough.

    Raises:
        EaselError: no font here has all of them.
    """
    from matplotlib import font_manager

    def lacks(path: str, letters: set[str]) -> set[str]:
        font = font_manager.get_font(path)
        return {letter for letter in letters if not font.get_char_index(ord(letter))}

    default = SETTINGS["font.family"]
    missing = lacks(font_manager.findfont(default), {letter for letter in text if not letter.isspace()})
    if not missing:
        return [default]
    # Sorted by name, so that the choice does not depend on the order in which fonts were found.
    for entry in sorted(font_manager.fontManager.ttflist, key=lambda entry: (entry.name, entry.fname)):
        if "CJK" in entry.name and not lacks(entry.fname, missing):
            return [default, entry.name]
    raise EaselError(
        f"No font here has the letters {''.join(sorted(missing))[:20]}. Give English titles, or install a font such as "
        "Noto Sans CJK."
    )


def _width(width: str) -> float:
    if width not in WIDTHS:
        raise EaselError(f"Figure width must be one of {', '.join(WIDTHS)}, not {width!r}.")
    return WIDTHS[width]
