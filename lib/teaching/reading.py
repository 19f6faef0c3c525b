"""Claims, sources and comparisons as a notebook's cells show them: read where they stand, so that they stay true.

All paths are relative to the top of the repository, where notebooks run.
"""

import inspect
import json
from pathlib import Path
from textwrap import dedent
from typing import Any

import numpy as np
from IPython.display import Markdown

from lib import config
from lib.errors import EaselError, naming
from lib.evidence import ledger
from lib.evidence.ledger import Claim, Requirement

VERDICTS = "verdicts/claims.json"


def claims(*ids: str, profile: str = "laptop", study: str | None = None) -> Markdown:
    """A box for each claim: its sentence and source from the ledger, and what the long run said of it.

    Args:
        ids: of claims, or of what is asked of the bench.
        profile: of the run; a run without verdicts leaves them out.
        study: in a notebook that a stage runs, whose ledger is read ("": the one at the top), for the stage to depend
            on; verdicts come after such stages and are left out. All ledgers, if None.

    Raises:
        EaselError: no claim has one of these ids.
    """
    if study is None:
        book, verdicts = ledger.load_all(), _verdicts(Path("results") / profile / VERDICTS)
    else:
        book, verdicts = ledger.load(config.folder(study) / "claims.yaml", study or None), {}
    known = {entry.id: entry for entry in (*book.claims, *book.bench)}
    if unknown := [name for name in ids if name not in known]:
        raise EaselError(
            f"no ledger has a claim {', '.join(unknown)}; ids stand in claims.yaml, here and below studies/."
        )
    return Markdown("\n\n".join(_box(known[name], verdicts.get(name)) for name in ids))


def _box(entry: Claim | Requirement, verdict: str | None) -> str:
    if isinstance(entry, Requirement):
        lines = [f"**Asked of the bench, {entry.id}.** {entry.statement}", f"*{entry.source}*"]
    else:
        lines = [f"**Claim {entry.id}.** {entry.statement}", f"*{entry.source.paper}, {entry.source.place}*"]
        if entry.paper_value is not None:
            lines.append(f"The source's number: {entry.paper_value}" + (f" ({entry.unit})" if entry.unit else ""))
    if verdict:
        lines.append(f"The long run here: **{verdict}**")
    return "\n>\n".join(f"> {line}" for line in lines)


def answer(text: str) -> Markdown:
    """What follows a question, once the cell between them has computed it."""
    return Markdown(f"**Answer.** {text}")


def _verdicts(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    with naming(path, "verdicts in JSON"):
        return {entry["id"]: entry["verdict"] for entry in json.loads(path.read_text(encoding="utf-8"))["claims"]}


def source(*objects: Any) -> Markdown:
    """The source text of functions, methods or classes, each under the file and line where it stands."""
    return Markdown("\n\n".join(_shown(found, *inspect.getsourcelines(found)) for found in objects))


def excerpt(found: Any, first: str, last: str) -> Markdown:
    """A part of the source of a function, method or class: from the first line that has the text `first` to the next
    one that has `last`.

    Raises:
        EaselError: there is no such line any more.
    """
    lines, number = inspect.getsourcelines(found)
    for text in (first, last):
        if not any(text in line for line in lines):
            raise EaselError(f"the source of {found.__qualname__} has no line with {text!r}; quote what it has now.")
    start = next(place for place, line in enumerate(lines) if first in line)
    stop = next((place for place, line in enumerate(lines) if place >= start and last in line), len(lines) - 1)
    return Markdown(_shown(found, lines[start : stop + 1], number + start))


def _shown(found: Any, lines: list[str], number: int) -> str:
    file = Path(inspect.getsourcefile(found)).resolve()
    shown = file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file.name
    return f"`{shown}`, line {number}:\n\n```python\n{dedent(''.join(lines)).rstrip()}\n```"


def same(mine: Any, library: Any, what: str, within: float = 1e-5) -> None:
    """Says how far two results lie apart.

    Args:
        mine, library: numbers or arrays of one shape.
        within: largest absolute difference that rounding explains.

    Raises:
        AssertionError: other shapes, or a larger difference.
    """
    mine, library = np.asarray(mine, np.float64), np.asarray(library, np.float64)
    assert mine.shape == library.shape, f"{what}: yours has the shape {mine.shape}, the library's {library.shape}."
    apart = float(np.abs(mine - library).max(initial=0.0))
    assert apart <= within, f"{what}: yours and the library's differ by up to {apart:.3g}, more than {within:g}."
    print(f"{what}: yours and the library's agree; the largest difference is {apart:.1e}")
