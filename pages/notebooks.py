"""The notebooks as pages: equations and code as Git has them, the committed figures below the cells that draw them."""

import json
import re
from pathlib import Path
from typing import Any

from lib.errors import naming
from pages import plots, text
from pages.links import Links
from pages.material import Figure, Material

FOLDER = Path("notebooks")
LONG = 20  # lines; longer cells, which mostly plot, are folded, and so are imports


def pages(material: Material, links: Links) -> dict[str, str]:
    """Page → notebook (JSON), and the list of them."""
    found, entries = {}, []
    for path in paths():
        page = path.with_suffix("").as_posix()
        with naming(path, "notebook"):
            notebook = json.loads(path.read_text(encoding="utf-8"))
            cells = notebook["cells"]
        drawn = [figure for figure in material.figures if figure.png.parent.name == path.stem]
        made: list[dict[str, Any]] = []
        for number, cell in enumerate(cells):
            source = "".join(cell["source"])
            if cell["cell_type"] == "markdown":
                made.append(_markdown(links.rewritten(source, str(path), page), number))
                continue
            made.append(_folded(cell) if source.count("\n") >= LONG or source.startswith("import") else cell)
            below = [figure for figure in drawn if _draws(source, figure)]
            if below:
                text_below = "\n".join(plots.figure(material, figure, "../") for figure in below)
                made.append(_markdown(text_below, f"figure-{number}"))
        found[page] = json.dumps(notebook | {"cells": made}, ensure_ascii=False)
        title = re.search(r"^# (.+)$", "".join(cells[0]["source"]), re.MULTILINE)
        entries.append(f"- [{title.group(1) if title else path.stem}]({path.relative_to(FOLDER)}): `{path}`")
    said = (
        "The committed notebooks, with the committed figures below the cells that draw them. Those in `play` draw only "
        "when they run, in a minute each, on a clone without any run. To run one: `make lab`; "
        "to have them executed, tables and all: `make figures`, which leaves copies in `build/notebooks/`."
    )
    index = text.front([]) + "\n\n".join(["# Notebooks", said, "\n".join(entries)]) + "\n"
    return found | {"notebooks/index": index}


def paths() -> list[Path]:
    """The notebooks, those to play with last."""
    return [*sorted(FOLDER.glob("*.ipynb")), *sorted(FOLDER.glob("play/*.ipynb"))]


def _markdown(source: str, number: int | str) -> dict[str, Any]:
    return {"cell_type": "markdown", "id": f"text-{number}", "metadata": {}, "source": source}


def _folded(cell: dict[str, Any]) -> dict[str, Any]:
    return cell | {"metadata": cell["metadata"] | {"tags": [*cell["metadata"].get("tags", ()), "hide-input"]}}


def _draws(source: str, figure: Figure) -> bool:
    """Whether a cell saves this figure under its name as it stands."""
    return "save" in source and re.search(rf'"{re.escape(figure.png.stem)}"', source) is not None
