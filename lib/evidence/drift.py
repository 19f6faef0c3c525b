"""Drift: this run's numbers against pinned reference numbers, with a tolerance each.

DVC re-pins changed results without a word, and trained numbers differ between machines; so trust comes from here:
a report of what was reproduced, drifted or went missing, and an error when anything did.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from lib.errors import EaselError
from lib.evidence import results
from lib.evidence.ledger import DriftRule, check_tolerance

# Reports that lie beside the results: they follow from the numbers and are not numbers to pin.
REPORTS = ("claims.json", "drift.json")
REPRODUCED, DRIFTED, MISSING, NEW = "reproduced", "drifted", "missing", "new"


@dataclass(frozen=True)
class Comparison:
    """One pinned number: name is "<file>:<dotted key>"; allowed is the tolerance as text."""

    name: str
    state: str
    reference: Any
    measured: Any
    allowed: str


def pin(results_folder: str | Path, rules: Sequence[DriftRule]) -> dict[str, dict[str, Any]]:
    """Reference numbers from a run: {"<file>:<dotted key>": {"value", "tolerance"}}, sorted, first matching rule each.

    Only numbers and booleans are pinned. Files are those of the folder itself, not of folders below it.

    Raises:
        EaselError: a matching number that is NaN or infinite, or no rule that matches anything.
    """
    reference: dict[str, dict[str, Any]] = {}
    for name, value, rule in _matching(Path(results_folder), rules):
        if not math.isfinite(value):
            raise EaselError(f"{name} is {value}; a reference must be a finite number.")
        reference[name] = {"value": value, "tolerance": rule.tolerance}
    if not reference:
        raise EaselError(f"No number in {results_folder} matches a drift rule; nothing to pin.")
    return reference


def check(
    results_folder: str | Path, reference_file: str | Path, folder: str | Path, *, rules: Sequence[DriftRule] = ()
) -> list[Comparison]:
    """Compares a run with its reference and writes drift.md and drift.json into `folder`.

    Args:
        results_folder: results/<profile> of this run.
        reference_file: results/reference/<profile>.json; where there is none the report says so and nothing fails.
        folder: where the report goes.
        rules: drift rules of the ledger; numbers they match that the reference lacks are listed as new.

    Raises:
        EaselError: after the report is written, when a pinned number drifted or is missing; before, when the
            reference file itself is unusable.
    """
    results_folder, reference_file, folder = Path(results_folder), Path(reference_file), Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    report = folder / "drift.md"
    profile = results_folder.name
    if not reference_file.is_file():
        report.write_text(
            f"# Drift, profile {profile}\n\nNo reference pinned for profile {profile}.\n", encoding="utf-8"
        )
        _write_json(folder / "drift.json", profile, False, [])
        return []

    reference = results.read(reference_file)
    _check_reference(reference, reference_file)
    # By whole keys, as they were pinned: a name inside one may hold dots itself.
    found = {
        f"{file}:{key}": value
        for file, document in _documents(results_folder).items()
        for key, value in results.leaves(document)
    }
    compared = []
    for name, entry in sorted(reference.items()):
        compared.append(_compare(name, entry, found.get(name)))
    for name, value, _ in _matching(results_folder, rules):
        if name not in reference:
            compared.append(Comparison(name, NEW, None, value, ""))

    report.write_text(_markdown(profile, compared), encoding="utf-8")
    _write_json(folder / "drift.json", profile, True, compared)
    breaches = [item for item in compared if item.state in (DRIFTED, MISSING)]
    if breaches:
        first = breaches[0]
        measured = "nothing" if first.state == MISSING else _show(first.measured)
        raise EaselError(
            f"{len(breaches)} of {len(reference)} pinned numbers of profile {profile} drifted or are missing, e.g. "
            f"{first.name}: reference {_show(first.reference)}, found {measured} (allowed: {first.allowed}). "
            f"See {report}. If the change is meant, pin the new numbers."
        )
    return compared


def _compare(name: str, entry: dict, measured: Any) -> Comparison:
    reference, tolerance = entry["value"], entry["tolerance"]
    if tolerance == "exact":
        # True == 1 and 1 == 1.0 in Python; exact means the same kind of value too.
        close, allowed = measured == reference and type(measured) is type(reference), "exact"
    else:
        [(kind, bound)] = tolerance.items()
        limit = bound if kind == "absolute" else bound * abs(reference)
        allowed = f"± {bound:g}" if kind == "absolute" else f"± {100 * bound:g} %"
        number = isinstance(measured, int | float) and not isinstance(measured, bool)
        # The last bits of a difference that is just allowed must not decide; NaN compares false, so it drifts.
        close = number and abs(measured - reference) <= limit + 1e-12 * abs(reference)
    state = MISSING if measured is None else REPRODUCED if close else DRIFTED
    return Comparison(name, state, reference, measured, allowed)


def _documents(folder: Path) -> dict[str, Any]:
    return {path.name: results.read(path) for path in sorted(folder.glob("*.json")) if path.name not in REPORTS}


def _matching(folder: Path, rules: Sequence[DriftRule]) -> list[tuple[str, float, DriftRule]]:
    """(name, number, first rule that matches it) for every number of the folder's results files, sorted by name."""
    found = []
    for file, document in _documents(folder).items():
        for key, value in results.leaves(document):
            rule = next((rule for rule in rules if fnmatchcase(file, rule.file) and fnmatchcase(key, rule.key)), None)
            if rule is not None and isinstance(value, int | float):
                found.append((f"{file}:{key}", value, rule))
    return sorted(found, key=lambda item: item[0])


def _check_reference(reference: Any, path: Path) -> None:
    if not isinstance(reference, dict):
        raise EaselError(f'{path}: a reference is {{"<file>:<dotted key>": {{"value": …, "tolerance": …}}}}.')
    for name, entry in reference.items():
        if ":" not in name or not isinstance(entry, dict) or set(entry) != {"value", "tolerance"}:
            raise EaselError(f'{path}: {name}: needs a name "<file>:<dotted key>" and the fields value and tolerance.')
        check_tolerance(entry["tolerance"], f"{path}: {name}")
        if not isinstance(entry["value"], int | float):
            raise EaselError(f"{path}: {name}: value must be a number or a boolean, found {entry['value']!r}.")


def _markdown(profile: str, compared: Sequence[Comparison]) -> str:
    import pandas as pd

    counts = Counter(item.state for item in compared)
    summary = ", ".join(f"{counts[state]} {state}" for state in (REPRODUCED, DRIFTED, MISSING, NEW))
    # What needs attention comes first; a reader of a long report should not have to look for it.
    order = (DRIFTED, MISSING, NEW, REPRODUCED)
    rows = [
        [item.state, f"`{item.name}`", _show(item.reference), _show(item.measured), item.allowed]
        for item in sorted(compared, key=lambda item: (order.index(item.state), item.name))
    ]
    frame = pd.DataFrame(rows, columns=["state", "number", "reference", "this run", "allowed"])
    table = frame.to_markdown(index=False, disable_numparse=True, colalign=["left", "left", "right", "right", "right"])
    return f"# Drift, profile {profile}\n\n{summary}.\n\n{table}\n"


def _write_json(path: Path, profile: str, pinned: bool, compared: Sequence[Comparison]) -> None:
    document = {"profile": profile, "reference_pinned": pinned, "comparisons": [vars(item) for item in compared]}
    path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _show(value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
