"""Finds in a run's results what an entry of the ledger asks for, and refuses an entry that asks for what nothing has.

A mistyped key would otherwise turn a tested claim into one that is not attempted.
"""

from __future__ import annotations

import difflib
from collections.abc import Container, Iterator, Mapping
from pathlib import Path
from typing import Any

from lib.errors import EaselError
from lib.evidence import results
from lib.evidence.ledger import Metric, Requirement


def measured(
    entry: Metric | Requirement, where: str, folder: Path, elsewhere: Container[tuple[str, str]]
) -> tuple[Any, str]:
    """What the results have under an entry's key, None where they may lack it, and a sentence on machine or lack."""
    path, known = folder / entry.results, (entry.results, entry.key) in elsewhere
    if not path.is_file():
        if elsewhere and not known:
            there = [file.relative_to(folder).as_posix() for file in sorted(folder.glob("*.json"))]
            raise EaselError(
                f"{where}: neither {folder} nor a reference has {entry.results}; the name most alike there is "
                f"{difflib.get_close_matches(entry.results, there, n=1, cutoff=0.0)[0] if there else 'none'}."
            )
        return None, f"there is no {entry.results} for this profile"
    document = results.read(path)
    found = results.find(document, entry.key)
    if found is not None:
        return found, _timed_on(document, entry.timed, f"{where}: {path}") if entry.timed else ""
    if reason := getattr(entry, "absent_when", None):
        return None, f"{entry.results} has no {entry.key}: {reason}"
    if not known:
        raise EaselError(
            f"{where}: {path} has no {entry.key}; the key most alike is {results.nearest(document, entry.key)}. "
            "Only a key that a pinned run of another profile has may be missing."
        )
    return None, f"{entry.results} has no {entry.key}"


def _timed_on(document: Any, key: str, where: str) -> str:
    """The machines that the records at or below a dotted key name, and their load where it was recorded."""
    records = list(_machines(results.find(document, key)))
    if not records:
        raise EaselError(f"{where} has no record of a machine below {key}, where the ledger says that it was timed.")
    names = sorted({f"{record['cpu']}, {record['cores']} cores" for record in records})
    loads = [record["load"] for record in records if "load" in record]
    load = f"load {min(loads):.3g} to {max(loads):.3g}" if loads else "its load not recorded"
    return f" Timed on {'; '.join(names)}, {load}."


def _machines(document: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(document, dict):
        for name, inner in document.items():
            yield from [inner] if name == "machine" else _machines(inner)
