"""Pieces of pages, and the rule for numbers: every element with a number says which file the number is from.

A measured number is `<data data-from="file#key">`: what lies at that dotted key, rounded. Other elements with numbers,
or the page as a whole, have `data-from="file file"`: the number stands in one of these files, digit for digit.
tests/pages/test_numbers.py holds the built site against that.
"""

import math
import re
from collections.abc import Iterable, Sequence
from html import escape, unescape
from typing import Any

from pages.material import Material

MINUS = "−"


def plain(text: str) -> str:
    """`text` as Markdown that shows it letter by letter."""
    return re.sub(r"([\\`*_{}\[\]<>#$&|~])", r"\\\1", text)


def slug(text: str) -> str:
    """A file name for a title."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower().replace("·", "")).strip("-")


def decimals(*values: float) -> int:
    """Decimals that show half the spread of some values, or a twentieth of a single one, in one or two digits."""
    size = (max(values) - min(values)) / 2 if len(values) > 1 else abs(values[0]) / 20
    return min(6, max(0, -math.floor(math.log10(size / 5)))) if size else 2


def fixed(value: float, digits: int) -> str:
    """A number with so many decimals and a proper minus sign."""
    return f"{round(value, digits) + 0.0:.{digits}f}".replace("-", MINUS)


def data(material: Material, file: str, key: str, *, digits: int | None = None, times: float = 1) -> str:
    """The number at a dotted key of a results file, times a power of ten, as an element that says so."""
    value = material.value(file, key)
    if digits is None:
        whole = isinstance(value, int) and times == 1
        digits = 0 if whole else decimals(value * times)
    scale = f' data-times="{times:g}"' if times != 1 else ""
    origin = f"{material.path(file)}#{key}"
    return f'<data value="{value!r}" data-from="{escape(origin)}"{scale}>{fixed(value * times, digits)}</data>'


def count(material: Material, file: str, key: str) -> str:
    """How many entries lie at a dotted key: seeds behind a list of their values, prompts in a list of them."""
    origin = f"{material.path(file)}#{key}"
    return f'<data data-from="{escape(origin)}" data-entries>{len(material.value(file, key))}</data>'


def interval(material: Material, file: str, key: str, *, times: float = 1) -> str:
    """A value with its interval: {value, low, high} at a dotted key."""
    found = material.value(file, key)
    digits = decimals(*(found[end] * times for end in ("value", "low", "high")))
    value, low, high = (
        data(material, file, f"{key}.{end}", digits=digits, times=times) for end in ("value", "low", "high")
    )
    return f'<span class="interval">{value} [{low}, {high}]</span>'


def filled(material: Material, prose: str) -> str:
    """Prose with its numbers: `{{file key}}` becomes what lies there, `{{file key %}}` the same in per cent,
    `{{file key n}}` how many entries lie there. Files are those of results/<profile>/, and params.yaml of any folder.

    Raises:
        EaselError: nothing lies there.
    """

    def replace(match: re.Match) -> str:
        file, key, sign = match.groups()
        if sign == "n":
            return count(material, file, key)
        build = interval if isinstance(material.value(file, key), dict) else data
        return build(material, file, key, times=100 if sign else 1) + ("\u202f%" if sign else "")

    return re.sub(r"\{\{(\S+) (\S+?)(?: ([%n]))?\}\}", replace, prose)


def bare(html: str) -> str:
    """HTML as plain text."""
    return unescape(re.sub(r"<[^>]*>", "", html))


def table(
    head: Sequence[str], rows: Iterable[Sequence[Any]], *, attributes: str = "", numeric: Sequence[int] = ()
) -> str:
    """An HTML table on lines without gaps; cells are HTML. `numeric` columns stand to the right."""

    def cells(row: Sequence[Any], tag: str) -> str:
        aligned = (f"<{tag}{' class=number' if i in numeric else ''}>{cell}</{tag}>" for i, cell in enumerate(row))
        return f"<tr>{''.join(aligned)}</tr>"

    body = "\n".join(cells(row, "td") for row in rows)
    return (
        f'<div class="scroll" tabindex="0" role="group" aria-label="table">\n<table {attributes}>\n'
        f"<thead>{cells(head, 'th')}</thead>\n<tbody>\n{body}\n</tbody>\n</table>\n</div>\n"
    )


def front(sources: Iterable[str]) -> str:
    """The head of a page: the files that its numbers are from."""
    return f'---\nfrom: "{" ".join(dict.fromkeys(sources))}"\norphan: true\n---\n\n'
