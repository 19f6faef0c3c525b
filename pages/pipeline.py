"""The pipeline drawn: every stage a box, in a lane for the bench and one for each study, with its minutes."""

from collections.abc import Mapping
from functools import cache
from html import escape
from pathlib import Path

from lib import config_tree
from pages import text
from pages.material import Material

BOX, TALL, GAP, ROW, HEAD = 152, 40, 34, 50, 26  # width and height of a box, space beside it, below it, above a lane
NOT_SHOWN = "sources"  # lists of modules, on which every stage depends


def arrows(stages: Mapping[str, Mapping]) -> dict[str, set[str]]:
    """Every stage that is shown with those whose outputs it reads."""
    shown = {name: spec for name, spec in stages.items() if name.rpartition("/")[2] != NOT_SHOWN}
    made = {name: [_path(out) for out in spec.get("outs", ())] for name, spec in shown.items()}
    imported = _imports()
    found: dict[str, set[str]] = {}
    for name, spec in shown.items():
        read = [imported.get(path, path) for path in map(_path, spec.get("deps", ()))]
        found[name] = {
            other
            for other, outs in made.items()
            if other != name and any(Path(path).is_relative_to(out) for path in read for out in outs)
        }
    return found


def direct(needs: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """The arrows without those that a way over other arrows makes plain."""

    @cache
    def above(name: str) -> frozenset[str]:
        return frozenset(needs[name]).union(*map(above, needs[name]))

    return {name: read - frozenset().union(*map(above, read)) for name, read in needs.items()}


def _path(entry: str | Mapping) -> str:
    """A dependency or output; what an item of a matrix names is cut off."""
    path = entry if isinstance(entry, str) else next(iter(entry))
    return path.partition("/${item")[0]


def _imports() -> dict[str, str]:
    """What *.dvc files take over: path → the output that it is a copy of."""
    found = {}
    for file in Path().glob("*.dvc"):
        if file.is_file():
            entry = config_tree.read_yaml(file, "deps", "outs")
            found[entry["outs"][0]["path"]] = entry["deps"][0]["path"]
    return found


def layout(needs: Mapping[str, set[str]], lanes: list[str]) -> tuple[dict[str, tuple[int, int]], dict[str, int]]:
    """Place of every stage, and where the lane of every study begins, both in pixels.

    A stage stands to the right of all that it reads, and one that reads nothing just before what reads it.
    """

    @cache
    def depth(name: str) -> int:
        return 1 + max(map(depth, needs[name]), default=-1)

    def column(name: str) -> int:
        readers = [depth(other) for other, read in needs.items() if name in read]
        return depth(name) if needs[name] or not readers else min(readers) - 1

    places, tops, top = {}, {}, 0
    for lane in lanes:
        filled: dict[int, int] = {}
        tops[lane] = top
        for name in needs:
            if name.rpartition("/")[0] == lane:
                row = filled.get(column(name), 0)
                filled[column(name)] = row + 1
                places[name] = (column(name) * (BOX + GAP) + 12, top + HEAD + row * ROW)
        top += HEAD + max(filled.values(), default=0) * ROW + 16
    return places, tops


def drawing(material: Material) -> str:
    """The SVG."""
    needs = arrows(material.stages)
    lanes = ["", *material.studies]
    places, tops = layout(needs, lanes)
    width = max(x for x, _ in places.values()) + BOX + 12
    height = max(y for _, y in places.values()) + TALL + 20
    lines = [
        f'<path d="M{places[other][0] + BOX} {places[other][1] + TALL / 2} C {places[other][0] + BOX + 24} '
        f"{places[other][1] + TALL / 2} {places[name][0] - 24} {places[name][1] + TALL / 2} {places[name][0]} "
        f'{places[name][1] + TALL / 2}"/>'
        for name, others in direct(needs).items()
        for other in sorted(others)
    ]
    boxes = []
    for name, (x, y) in places.items():
        words = name.rpartition("/")[2]
        boxes.append(
            f'<g class="stage"><rect x="{x}" y="{y}" width="{BOX}" height="{TALL}" rx="5"/>'
            f'<text x="{x + BOX / 2}" y="{y + 17}" text-anchor="middle">{escape(words)}</text>'
            f'<text class="small" x="{x + BOX / 2}" y="{y + 32}" text-anchor="middle">{_minutes(material, name)}</text>'
            "</g>"
        )
    names = "".join(
        f'<text class="lane" x="{min(x for name, (x, _) in places.items() if name.rpartition("/")[0] == lane)}" '
        f'y="{tops[lane] + 18}">{escape(material.title(lane))}</text>'
        for lane in lanes
    )
    return (
        f'<div class="scroll wide" tabindex="0" role="group" aria-label="drawing of the pipeline">\n'
        f'<svg class="pipeline" width="{width}" height="{height}" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="stages and what they read; the table below says the same" data-from="results/runtimes.md">\n'
        f'<g class="arrows">{"".join(lines)}</g>{names}\n{"".join(boxes)}\n</svg>\n</div>\n'
    )


def _minutes(material: Material, name: str) -> str:
    """Of a stage, or of every item of its matrix."""
    rows = [row for row in material.runtimes if row == name or row.startswith(f"{name}@")]
    return " + ".join(f"{material.cost(row):.2f}" for row in rows) + " min" if rows else ""


def page(material: Material) -> str:
    """The page: the drawing, and the same as a table."""
    needs = arrows(material.stages)
    rows = [
        (
            f"<code>{escape(name)}</code>",
            f"<code>{escape(material.stages[name]['cmd'])}</code>",
            ", ".join(f"<code>{escape(other)}</code>" for other in sorted(others)),
            f'<span data-from="results/runtimes.md">{_minutes(material, name)}</span>',
        )
        for name, others in needs.items()
    ]
    return text.front(["results/runtimes.md"]) + "\n\n".join(
        [
            "# The pipeline",
            "Every box is a stage of a `dvc.yaml`, with the minutes that it took; an arrow leads from what a stage "
            "writes to what reads it, where no other way leads there already. `dvc repro` runs, from left to right, "
            "the stages whose inputs have changed. Beside what is drawn, every stage depends on the list of modules "
            "that it imports.",
            drawing(material),
            "## Stage by stage",
            text.table(("stage", "command", "reads what these write", "time (min)"), rows),
        ]
    )
