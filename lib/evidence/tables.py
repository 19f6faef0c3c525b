"""One call writes a table three times: CSV (full numbers), Markdown and LaTeX (rounded, captioned), with a sidecar.

The bytes depend on the content only, so a re-run that changes nothing leaves Git clean.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from lib.errors import EaselError
from lib.evidence import provenance
from lib.evidence.report import Interval
from lib.ownership import fresh

MISSING = "–"

# Characters that LaTeX reads as commands, and signs that pdflatex's fonts lack. Chinese passes through (XeLaTeX).
LATEX = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "{": r"\{",
        "}": r"\}",
        "$": r"\$",
        "&": r"\&",
        "%": r"\%",
        "#": r"\#",
        "_": r"\_",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "–": "--",
        "…": r"\dots{}",
        "·": r"\textperiodcentered{}",
        "“": "``",
        "”": "''",
        "’": "'",
        "−": "$-$",
        "×": r"$\times$",
        "χ": r"$\chi$",
        "±": r"$\pm$",
        "→": r"$\rightarrow$",
        "↑": r"$\uparrow$",
        "↓": r"$\downarrow$",
        "≥": r"$\geq$",
        "≤": r"$\leq$",
        "≠": r"$\neq$",
        "≈": r"$\approx$",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "|": r"\textbar{}",
        "²": r"$^2$",
        "π": r"$\pi$",
        "Δ": r"$\Delta$",
        "√": r"$\surd$",
    }
)
# Made smaller where the column of the paper is narrower, and left as it is elsewhere.
FITTED = r"""\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%
\begin{tabular}"""


@dataclass(frozen=True)
class Number:
    """A measured value, with or without an interval; prints as "27.4" or "27.4 [27.1, 27.7]" (`digits` decimals)."""

    value: float
    low: float | None = None
    high: float | None = None
    digits: int = 2

    def __post_init__(self) -> None:
        if (self.low is None) != (self.high is None):
            raise EaselError(f"Number {self.value}: an interval needs both ends.")

    def __str__(self) -> str:
        text = _fixed(self.value, self.digits)
        if self.low is None or self.high is None:
            return text
        return f"{text} [{_fixed(self.low, self.digits)}, {_fixed(self.high, self.digits)}]"


def interval(found: Interval | None, digits: int = 2, scale: float = 1.0) -> Number | None:
    """A value with its interval, times `scale`, as a table cell; an empty one for None."""
    return found and Number(*(scale * end for end in (found.value, found.low, found.high)), digits=digits)


def write_all(
    out: Path, tables: Iterable[tuple[str, Sequence[Mapping[str, Any]], Mapping[str, Any]]], profile: str, **origin: Any
) -> None:
    """Writes (name, rows, options of `write`) of every table that has rows into a new folder."""
    fresh(out)
    for name, rows, options in tables:
        if rows:
            write(out / name, rows, **({"source": f"Profile {profile}."} | dict(options)), **origin)


def write(
    path: str | Path,
    rows: Sequence[Mapping[str, Any]],
    *,
    caption: str,
    source: str,
    units: Mapping[str, str] | None = None,
    notes: Sequence[str] = (),
    text_widths: Mapping[str, float] | None = None,
    csv_only: Collection[str] = (),
    n: Mapping[str, int | None] | None = None,
    **origin: Any,
) -> list[Path]:
    """Writes <path>.csv, .md, .tex and the sidecar <path>.provenance.json; returns the four paths.

    Args:
        path: without suffix; its last part becomes the LaTeX label `tab:<name>`.
        rows: one mapping per row, all with the same keys in the same order. Cells: `Number`, text, int, float, bool
            or None (printed as a dash, empty in the CSV).
        caption: one sentence saying what the table shows.
        source: where the numbers come from, printed below the table.
        units: column → unit, added to the header in round brackets.
        notes: further sentences below the table.
        text_widths: LaTeX width in cm of columns whose text should wrap; with any, the table may break over pages.
        csv_only: columns that would make a page too wide.
        n: what the numbers rest on (prompts, seeds) → how many; the last note. None is not known, and left out.
        **origin: what `provenance.write` takes (stage, sources, inputs, parameters, claims).

    Raises:
        EaselError: no rows, rows with different columns, or a word on a column that is not there.
    """
    path, units, text_widths = Path(path), dict(units or {}), dict(text_widths or {})
    _check(path, rows, (*units, *text_widths, *csv_only))
    columns = list(rows[0])
    shown = [name for name in columns if name not in csv_only]
    headers = {name: f"{name} ({units[name]})" if name in units else name for name in shown}
    right = {name: _is_numeric([row[name] for row in rows]) for name in shown}
    counts = [f"{what} {count:,}" for what, count in (n or {}).items() if count is not None]
    below = [source, *notes, *([f"n: {'; '.join(counts)}."] if counts else [])]

    path.parent.mkdir(parents=True, exist_ok=True)
    outputs = {suffix: path.with_name(f"{path.name}.{suffix}") for suffix in ("csv", "md", "tex")}
    _full(rows, columns, units).to_csv(outputs["csv"], index=False, lineterminator="\n")
    outputs["md"].write_text(_markdown(rows, headers, right, caption, below), encoding="utf-8")
    latex = _latex(rows, headers, right, caption, below, f"tab:{path.name}", text_widths)
    outputs["tex"].write_text(latex, encoding="utf-8")
    # Not <path>.json: beside a table, that name belongs to the numbers themselves.
    sidecar = provenance.write(path.with_name(f"{path.name}.provenance.json"), outputs.values(), **origin)
    return [*outputs.values(), sidecar]


def escape_latex(text: str) -> str:
    """`text` as plain LaTeX text; the hyphen before a number becomes a minus sign."""
    return re.sub(r"(?<![\w-])-(?=\d)", "−", text).translate(LATEX)


def _check(path: Path, rows: Sequence[Mapping], named: Iterable[str]) -> None:
    if not rows:
        raise EaselError(f"Table {path.name}: no rows.")
    for index, row in enumerate(rows):
        if list(row) != list(rows[0]):
            raise EaselError(f"Table {path.name}: row {index} has columns {list(row)}, the first has {list(rows[0])}.")
    unknown = [name for name in named if name not in rows[0]]
    if unknown:
        raise EaselError(f"Table {path.name}: no column {', '.join(unknown)}; columns are {', '.join(rows[0])}.")


def _full(rows: Sequence[Mapping], columns: Sequence[str], units: Mapping[str, str]) -> pd.DataFrame:
    """Unrounded values; a column with intervals becomes three: value, low, high."""
    table: dict[str, list] = {}
    for name in columns:
        unit = f" ({units[name]})" if name in units else ""
        cells = [row[name] for row in rows]
        table[name + unit] = [cell.value if isinstance(cell, Number) else cell for cell in cells]
        if any(isinstance(cell, Number) and cell.low is not None for cell in cells):
            for end in ("low", "high"):
                ends = [getattr(cell, end) if isinstance(cell, Number) else None for cell in cells]
                table[f"{name} {end}{unit}"] = ends
    # dtype=object: otherwise a missing value would turn a column of integers into floats.
    return pd.DataFrame(table, dtype=object)


def _markdown(rows: Sequence[Mapping], headers: Mapping, right: Mapping, caption: str, below: Sequence[str]) -> str:
    def cell(value: Any) -> str:
        return " ".join(_text(value).split()).replace("|", "\\|")

    frame = pd.DataFrame([{headers[name]: cell(row[name]) for name in headers} for row in rows])
    align = ["right" if right[name] else "left" for name in headers]
    table = frame.to_markdown(index=False, disable_numparse=True, colalign=align)
    return "\n\n".join([f"**{caption}**", table, *below]) + "\n"


def _latex(
    rows: Sequence[Mapping],
    headers: Mapping,
    right: Mapping,
    caption: str,
    below: Sequence[str],
    label: str,
    text_widths: Mapping[str, float],
) -> str:
    frame = pd.DataFrame(
        [{escape_latex(headers[name]): escape_latex(_text(row[name])) for name in headers} for row in rows]
    )
    formats = [
        f"p{{{text_widths[name]}cm}}" if name in text_widths else "r" if right[name] else "l" for name in headers
    ]
    table = frame.to_latex(
        index=False,
        escape=False,
        caption=escape_latex(caption),
        label=label,
        column_format="".join(formats),
        longtable=bool(text_widths),
        position=None if text_widths else "t",
    )
    note = r"\par\smallskip{\footnotesize " + " ".join(escape_latex(text) for text in below) + "}\n"
    if not text_widths:
        fitted = table.replace("\\begin{tabular}", FITTED).replace("\\end{tabular}", "\\end{tabular}%\n}")
        return "% needs \\usepackage{booktabs,graphicx}\n" + fitted.replace("\\end{table}", note + "\\end{table}")
    small = "\\begingroup\\footnotesize\\setlength{\\tabcolsep}{3pt}\n"
    return f"% needs \\usepackage{{booktabs,longtable}}; best in landscape\n{small}{table}{note}\\endgroup\n"


def _is_numeric(cells: Sequence[Any]) -> bool:
    filled = [cell for cell in cells if cell is not None]
    return bool(filled) and all(
        isinstance(cell, Number | int | float) and not isinstance(cell, bool) for cell in filled
    )


def _text(cell: Any) -> str:
    if cell is None:
        return MISSING
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    if isinstance(cell, float):
        return f"{cell:.6g}"
    return str(cell)


def _fixed(value: float, digits: int) -> str:
    if not math.isfinite(value):
        return MISSING
    # Adding 0.0 turns a rounded −0.0 into 0.0.
    return f"{round(value, digits) + 0.0:.{digits}f}"
