"""Interactive figures over numbers that a run measured before: the numbers go into the page, a script draws them."""

import json
from collections.abc import Iterator
from html import escape
from typing import Any

from lib.errors import EaselError
from lib.evidence import results
from pages import galleries, text
from pages.describe import Axis, Chart
from pages.material import Material

PRECOMPUTED = (
    "These figures are **precomputed**: no network runs as you move a control. Each shows numbers that the run "
    "measured, and no others; between two of them nothing was measured."
)


def rows(material: Material, chart: Chart, key: str) -> Iterator[tuple[list[str], str, Any]]:
    """Path, name and content of every row below a dotted key.

    Raises:
        EaselError: neither a list nor a mapping lies there.
    """
    found = material.value(chart.file, key)
    if not isinstance(found, list | dict):
        raise EaselError(f"{material.results / chart.file}: {key} holds no rows for chart {chart.id}.")
    for name, row in found.items() if isinstance(found, dict) else enumerate(found):
        said = row["run"] if isinstance(found, list) and "run" in row else str(name)
        yield [*key.split("."), str(name)], chart.names.get(said, said), row


def _measured(row: Any, axis: Axis) -> dict[str, float] | None:
    """A row's number on an axis, with its interval if it has one; None if it has none."""
    found = results.find(row, axis.key)
    if isinstance(found, dict):
        return {end: found[end] for end in ("value", "low", "high") if end in found}
    return None if found is None else {"value": found}


def numbers(material: Material, chart: Chart) -> dict[str, Any]:
    """What the script draws: axes, and for every choice its rows with their numbers and where they are from.

    Raises:
        EaselError: a choice without any row that has all its numbers.
    """
    axes = [axis for axis in (chart.x, chart.y, *chart.values) if axis]
    choices = {}
    for choice, key in chart.rows.items():
        found = []
        for path, name, row in rows(material, chart, key):
            measured = {axis.key: _measured(row, axis) for axis in axes}
            if measured[axes[0].key] and any(measured.values()):
                found.append({"name": name, "path": path, "numbers": measured})
        if not found:
            raise EaselError(f"{material.results / chart.file}: no row at {key} has the numbers of chart {chart.id}.")
        choices[choice] = found
    return {
        "id": chart.id,
        "kind": chart.kind,
        "file": str(material.results / chart.file),
        "x": chart.x and _axis(chart.x),
        "y": chart.y and _axis(chart.y),
        "values": [_axis(axis) for axis in chart.values],
        "choices": choices,
    }


def _axis(axis: Axis) -> dict[str, str]:
    return {"key": axis.key, "label": axis.label, "better": axis.better}


def chart(material: Material, shown: Chart, up: str) -> str:
    """One interactive figure, with its numbers as a table below, for those who cannot run or see the script."""
    found = numbers(material, shown)
    if shown.pictures:
        found["pictures"] = _pictures(material, shown, up)
    # "</" would end the script element.
    embedded = json.dumps(found, ensure_ascii=False).replace("</", "<\\/")
    note = f"{text.plain(shown.note)}\n\n" if shown.note else ""
    return (
        f"### {text.plain(shown.title)}\n\n{note}"
        f'<div class="chart" id="chart-{shown.id}" data-from="{found["file"]}">\n<div class="view"></div>\n'
        f'<script type="application/json">{embedded}</script>\n'
        f"<details><summary>Its numbers as a table</summary>\n{_table(found)}</details>\n</div>\n"
    )


def _pictures(material: Material, shown: Chart, up: str) -> dict[str, Any]:
    """Value on the axis → addresses of the first pictures there, their prompts, and what the scene reader says."""
    by_value = {}
    for value, strip in strips(material, shown):
        for described in material.pages.values():
            for one in described.galleries:
                if one.strip == strip:
                    prompts = galleries.prompts(material, one)[: shown.shown]
                    folder = f"{up}{galleries.PICTURES}/{galleries.name(one)}"
                    by_value[value] = [
                        [f"{folder}/{i * one.each}.png", prompt, marks[0]] for i, (prompt, marks) in enumerate(prompts)
                    ]
    return by_value


def strips(material: Material, shown: Chart) -> Iterator[tuple[str, str]]:
    """Value on the axis and path of its pictures, for every value of a sweep."""
    for key in shown.rows.values():
        for _, _, row in rows(material, shown, key):
            value = f"{results.find(row, shown.x.key):g}"
            yield value, shown.pictures.replace("{x}", value)


def _table(found: dict[str, Any]) -> str:
    axes = [axis for axis in (found["x"], found["y"], *found["values"]) if axis]
    several, named = len(found["choices"]) > 1, found["kind"] == "points"
    body = []
    for choice, entries in found["choices"].items():
        for entry in entries:
            cells = [escape(choice)] * several + [escape(entry["name"])] * named
            for axis in axes:
                pointer = "/".join([*entry["path"], *axis["key"].split(".")])
                cells.append(_cell(found["file"], pointer, entry["numbers"][axis["key"]]))
            body.append(cells)
    head = ["group"] * several + ["decoder or setting"] * named + [escape(axis["label"]) for axis in axes]
    return text.table(head, body, numeric=range(several + named, len(head)))


def _cell(file: str, pointer: str, measured: dict[str, float] | None) -> str:
    if measured is None:
        return "–"
    digits = text.decimals(*measured.values())
    if measured["value"] == int(measured["value"]) and len(measured) == 1:
        digits = 0
    ends = {
        end: f'<data data-from="{escape(file)}#/{escape(pointer)}{f"/{end}" if len(measured) > 1 else ""}">'
        f"{text.fixed(number, digits)}</data>"
        for end, number in measured.items()
    }
    return f"{ends['value']} [{ends['low']}, {ends['high']}]" if len(ends) == 3 else ends["value"]


def page(material: Material) -> str:
    """All interactive figures on one page."""
    parts = ["# Interactive figures", PRECOMPUTED]
    for described in material.pages.values():
        if described.charts:
            parts.append(f"## {text.plain(described.title)}")
            parts += [chart(material, one, "") for one in described.charts]
    described_in = [f"studies/{study}/page.yaml" for study in material.studies]
    return text.front(["docs/page.yaml", *described_in]) + "\n\n".join(parts) + "\n"
