"""Drift: this run's numbers against pinned reference numbers, with a tolerance each.

DVC re-pins changed results without a word, and trained numbers differ between machines; so trust comes from here:
a report of what was reproduced, drifted or went missing. Where anything did, `make repro` ends with an error, after the
last table: on a machine of another kind a run of hours is whole all the same.

Pinned are the numbers that the ledger's drift rules name and, of every claim and bench requirement that has numbers,
what decides it, where it lies, and the verdict; what decides a claim over seeds is the mean of its paired differences
and their interval. A verdict may part from the reference's where the numbers moved within their tolerance: the report
names it, and it is no error. With the same numbers it means that the rule has changed. What a clock measured (`timed`
in the ledger) depends on the machine and on what else it does: up to several tolerances are reported and no error.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from lib.errors import EaselError
from lib.evidence import results
from lib.evidence.ledger import Claim, DriftRule, Metric, Requirement, check_tolerance
from lib.evidence.verdicts import BenchOutcome, Judgement

# Reports that lie beside the results: they follow from the numbers and are not numbers to pin.
REPORTS = ("claims.json", "drift.json")
REPRODUCED, DRIFTED, MISSING, NEW, OTHER = "reproduced", "drifted", "missing", "new", "other verdict"
TIMED = "another time"  # a clock's number outside its tolerance, but by less than this many of them
TIMED_MOST = 3.0
# Where a claim's numbers stand among the names: "verdicts:<id>.<number>".
VERDICTS = "verdicts"
# How far a claim's number may move: half its size or, where its interval holds zero, the whole width of that if it is
# more. Other weights draw other pictures; what moves further is another finding.
SHARE, HALF_WIDTHS = 0.5, 2.0


@dataclass(frozen=True)
class Comparison:
    """One pinned number: name is "<file>:<dotted key>"; allowed is the tolerance as text."""

    name: str
    state: str
    reference: Any
    measured: Any
    allowed: str


def pin(
    results_folder: str | Path, rules: Sequence[DriftRule], judged: Iterable[Judgement | BenchOutcome] = ()
) -> dict[str, dict[str, Any]]:
    """Reference numbers from a run: {"<file>:<dotted key>": {"value", "tolerance"}}, sorted, first matching rule each.

    Of the results, only numbers and booleans are pinned; files are those of the folder itself, not of folders below
    it. Of what was `judged` there, everything that decides it and the verdict, as "verdicts:<id>.<name>".

    Raises:
        EaselError: a matching number that is NaN or infinite, or no rule that matches anything.
    """
    found = [(name, value, rule.tolerance) for name, value, rule in _matching(Path(results_folder), rules)]
    for item in judged:
        found += [(name, value, _tolerance(name, value, item)) for name, value in _decisive(item)]
    reference: dict[str, dict[str, Any]] = {}
    for name, value, tolerance in sorted(found, key=lambda entry: entry[0]):
        if isinstance(value, float) and not math.isfinite(value):
            raise EaselError(f"{name} is {value}; a reference must be a finite number.")
        reference[name] = {"value": value, "tolerance": tolerance}
    if not reference:
        raise EaselError(f"No number in {results_folder} matches a drift rule; nothing to pin.")
    return reference


def measured_in(folder: str | Path) -> set[tuple[str, str]]:
    """(results file, dotted key) of every claim and requirement that a reference in the folder has numbers of."""
    return {
        tuple(entry["value"].split(":", 1))
        for path in sorted(Path(folder).glob("*.json"))
        for name, entry in results.read(path).items()
        if name.startswith(f"{VERDICTS}:") and name.endswith(".metric")
    }


def pinned_verdicts(reference_file: str | Path) -> dict[str, str]:
    """id → verdict of every claim and requirement in a reference; nothing where there is none."""
    path, end = Path(reference_file), ".verdict"
    if not path.is_file():
        return {}
    verdicts = {name: entry["value"] for name, entry in results.read(path).items() if name.startswith(f"{VERDICTS}:")}
    return {name[len(VERDICTS) + 1 : -len(end)]: value for name, value in verdicts.items() if name.endswith(end)}


def _entry(item: Judgement | BenchOutcome) -> Claim | Requirement:
    """The ledger's."""
    return item.requirement if isinstance(item, BenchOutcome) else item.claim


def _metric(item: Judgement | BenchOutcome) -> Metric | Requirement | None:
    """What says where the number lies; None for a claim that is not attempted."""
    return item.requirement if isinstance(item, BenchOutcome) else item.claim.metric


def _decisive(item: Judgement | BenchOutcome) -> list[tuple[str, Any]]:
    """(name, value) of what decided a claim or requirement: where it lies, what was found, the verdict."""
    entry, metric = _entry(item), _metric(item)
    if item.results is None:
        return []
    bench = isinstance(item, BenchOutcome)
    if bench:
        numbers: Any = {"value": item.value}
    elif item.effect:
        numbers = asdict(item.effect)
    elif metric.kind == "interval":
        numbers = {end: item.measured[end] for end in ("value", "low", "high")}
    else:
        numbers = {"value": item.measured}
    decided = {"metric": f"{metric.results}:{metric.key}", "verdict": item.outcome if bench else item.verdict}
    return [(f"{VERDICTS}:{entry.id}.{key}", value) for key, value in results.leaves(decided | numbers)]


def _tolerance(name: str, value: Any, item: Judgement | BenchOutcome) -> str | dict[str, float]:
    """What a claim's number may drift by; text, and what is exact by its kind, not at all."""
    if isinstance(item, BenchOutcome):
        return {"relative": SHARE} if isinstance(value, float) else "exact"
    numbers = dict(_decisive(item))
    ends = [numbers.get(f"{VERDICTS}:{item.claim.id}.{end}") for end in ("value", "low", "high")]
    if isinstance(value, str) or item.claim.metric.kind in ("exact", "possible"):
        return "exact"
    if None in ends:
        return {"relative": SHARE}
    value, low, high = ends
    noise = HALF_WIDTHS * (high - low) / 2 if low <= 0 <= high else 0.0
    return {"absolute": max(SHARE * abs(value), noise)}


def check(
    results_folder: str | Path,
    reference_file: str | Path,
    folder: str | Path,
    *,
    rules: Sequence[DriftRule] = (),
    judged: Iterable[Judgement | BenchOutcome] = (),
) -> list[Comparison]:
    """Compares a run with its reference and writes drift.md and drift.json into `folder`.

    Args:
        results_folder: results/<profile> of this run.
        reference_file: results/reference/<profile>.json; where there is none the report says so and nothing fails.
        folder: where the report goes.
        rules: drift rules of the ledger; numbers they match that the reference lacks are listed as new.
        judged: the verdicts on this run, as given to `pin`.

    Raises:
        EaselError: the reference file is unusable.
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
    judged = list(judged)
    decided = dict(pair for item in judged for pair in _decisive(item))
    found |= decided
    compared = [_compare(name, entry, found.get(name)) for name, entry in sorted(reference.items())]
    moved = {item.name.rpartition(".")[0] for item in compared if item.name in decided and _moved(item)}
    compared = [
        replace(item, state=OTHER)
        if item.state == DRIFTED and item.name in {f"{one}.verdict" for one in moved}
        else item
        for item in compared
    ]
    timed = {f"{VERDICTS}:{_entry(item).id}" for item in judged if _metric(item) and _metric(item).timed}
    compared = [
        replace(item, state=TIMED)
        if item.state == DRIFTED
        and item.name.rpartition(".")[0] in timed
        and _compare(item.name, reference[item.name], item.measured, TIMED_MOST).state == REPRODUCED
        else item
        for item in compared
    ]
    new = [(name, value) for name, value, _ in _matching(results_folder, rules)] + list(decided.items())
    compared += [Comparison(name, NEW, None, value, "") for name, value in new if name not in reference]

    report.write_text(_markdown(profile, compared), encoding="utf-8")
    _write_json(folder / "drift.json", profile, True, compared)
    return compared


def breach(compared: Sequence[Comparison], report: Path) -> str:
    """A sentence on the pinned numbers that drifted or are missing; "" if none is.

    Args:
        report: where all of them are.
    """
    breaches = [item for item in compared if item.state in (DRIFTED, MISSING)]
    if not breaches:
        return ""
    first, pinned = breaches[0], sum(item.state != NEW for item in compared)
    measured = "nothing" if first.state == MISSING else _show(first.measured)
    return (
        f"{len(breaches)} of {pinned} pinned numbers drifted or are missing, e.g. {first.name}: reference "
        f"{_show(first.reference)}, found {measured} (allowed: {first.allowed}). See {report}. If the change is meant, "
        "pin the new numbers."
    )


def parted(compared: Iterable[Comparison]) -> list[str]:
    """A line for every verdict that is not the reference's."""
    return [
        f"{item.name.removeprefix(f'{VERDICTS}:').removesuffix('.verdict')}: {item.reference} in the reference, "
        f"{item.measured or 'none'} here"
        for item in compared
        if item.name.startswith(f"{VERDICTS}:") and item.name.endswith(".verdict") and item.measured != item.reference
    ]


def _moved(item: Comparison) -> bool:
    """Whether a number differs by more than rounding, within its tolerance or not."""
    if item.name.endswith((".verdict", ".metric")) or item.measured == item.reference:
        return False
    numbers = isinstance(item.measured, int | float) and isinstance(item.reference, int | float)
    return not (numbers and math.isclose(item.measured, item.reference, rel_tol=1e-9))


def _compare(name: str, entry: dict, measured: Any, tolerances: float = 1.0) -> Comparison:
    """One number with its reference, within so many times its tolerance."""
    reference, tolerance = entry["value"], entry["tolerance"]
    if tolerance == "exact":
        # True == 1 and 1 == 1.0 in Python; exact means the same kind of value too.
        close, allowed = measured == reference and type(measured) is type(reference), "exact"
    else:
        [(kind, bound)] = tolerance.items()
        limit = tolerances * (bound if kind == "absolute" else bound * abs(reference))
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
        if not isinstance(entry["value"], int | float) and not name.startswith(f"{VERDICTS}:"):
            raise EaselError(f"{path}: {name}: value must be a number or a boolean, found {entry['value']!r}.")


def _markdown(profile: str, compared: Sequence[Comparison]) -> str:
    import pandas as pd

    counts = Counter(item.state for item in compared)
    summary = ", ".join(f"{counts[state]} {state}" for state in (REPRODUCED, DRIFTED, MISSING, OTHER, TIMED, NEW))
    # What needs attention comes first; a reader of a long report should not have to look for it.
    order = (DRIFTED, MISSING, OTHER, TIMED, NEW, REPRODUCED)
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
