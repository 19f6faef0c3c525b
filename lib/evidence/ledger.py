"""Reads `claims.yaml`: what the papers claim, what this repository asks of itself, and how far numbers may drift.

Nothing is optional by accident: an unknown key, a missing field or a wrong type is an error that names the claim, so
that a mistyped line cannot turn a tested claim into an untested one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lib import config
from lib.errors import EaselError, naming

# Fewest seeds for a verdict: what docs/statistics.md promises was simulated from here on.
MINIMUM_SEEDS = 5

SCALES = ("reduced", "paper")
KINDS = ("direction", "exact", "threshold", "equal", "interval", "none", "possible")
SEEDED = ("direction", "threshold", "equal")  # decided by values over seeds
BETTER = ("lower", "higher")
PROFILES = ("smoke", "laptop", "gpu", "paper")
# How well the paper's own statement is known to us; "second hand" = someone else's summary of it.
KNOWN_FROM = ("paper", "excerpt", "code", "second hand")

NUMBER = (int, float)
VALUE = (int, float, str)
# The source of a question that no paper asks: a yes to it is "supported", there is nothing to be reproduced.
OWN_QUESTION = "this repository's own question"


@dataclass(frozen=True)
class Source:
    paper: str
    place: str
    known_from: str

    @property
    def own(self) -> bool:
        """Whether it is a question of ours."""
        return self.paper == OWN_QUESTION


@dataclass(frozen=True)
class Metric:
    """Where the measured numbers lie and which rule decides (see `lib.evidence.verdicts`).

    results: file below results/<profile>/; key: dotted key in it.
    kind: direction (paired seeds, baseline against treatment), threshold (per-seed values against `threshold`), equal
    (paired seeds or per-seed values, within `margin` of `about`), interval (a number with its interval over pictures
    against `threshold`), exact (equal to `equals` or not), none (measured; no number could decide the claim), possible
    (arithmetic that can rule the claim out but not prove it).
    margin: of an equality, how far off still counts as equal; of a direction, up to where a difference counts as none.
    timed: for what a clock measured, the dotted key below which the same file has the machine's records.
    absent_when: why a run may leave the key out although it has the file; no such key is an error without it.
    """

    results: str
    key: str
    kind: str
    better: str | None = None
    minimum_seeds: int = MINIMUM_SEEDS
    threshold: float | None = None
    margin: float | None = None
    about: float = 0.0
    equals: Any = None
    timed: str | None = None
    absent_when: str | None = None


@dataclass(frozen=True)
class Claim:
    """One claim of one source. Either `metric` or `needs` is set, never both."""

    id: str
    source: Source
    statement: str
    paper_value: float | str | None
    unit: str | None
    test: str
    scale: str
    study: str
    metric: Metric | None = None
    needs: str | None = None


@dataclass(frozen=True)
class Requirement:
    """What this repository asks of its own bench: the number (or every number) at `key` against `threshold`.

    profiles: where it is asked; elsewhere it counts as not measured. timed: as in `Metric`.
    """

    id: str
    statement: str
    source: str
    results: str
    key: str
    better: str
    threshold: float
    unit: str
    profiles: tuple[str, ...]
    timed: str | None = None


@dataclass(frozen=True)
class DriftRule:
    """Numbers whose file and dotted key match the patterns (fnmatch) are pinned with this tolerance; first match wins.

    tolerance: "exact", {"absolute": a} or {"relative": r}.
    """

    file: str
    key: str
    tolerance: str | Mapping[str, float]


@dataclass(frozen=True)
class Ledger:
    claims: tuple[Claim, ...]
    bench: tuple[Requirement, ...] = ()
    drift: tuple[DriftRule, ...] = field(default=())


def load_all() -> Ledger:
    """The ledger at the top, with the claims of papers that no study tests yet, and that of every study, as one.

    Raises:
        EaselError: see `load`; or an id occurs in two of them.
    """
    books = [*(load(config.folder(study) / "claims.yaml", study) for study in config.studies()), load()]
    book = Ledger(
        *(tuple(entry for one in books for entry in getattr(one, part)) for part in ("claims", "bench", "drift"))
    )
    _check_ids(book)
    return book


def load(path: str | Path = "claims.yaml", study: str | None = None) -> Ledger:
    """The ledger in `path`, that of `study`; without one its claims say themselves whose they would be.

    Raises:
        EaselError: no such file, no YAML, or an entry that breaks the rules; the message names the entry.
    """
    from ruamel.yaml import YAML

    path = Path(path)
    if not path.is_file():
        raise EaselError(f"Claims ledger {path} not found; run from the repository root.")
    with naming(f"Claims ledger {path}", "YAML"):
        document = YAML(typ="safe").load(path.read_text(encoding="utf-8"))

    _check_fields(document, {"claims": list}, {"bench": list, "drift": list}, str(path))
    claims = tuple(_claim(entry, index, study) for index, entry in enumerate(document["claims"], start=1))
    bench = tuple(_requirement(entry, index) for index, entry in enumerate(document.get("bench", ()), start=1))
    rules = tuple(_rule(entry, index) for index, entry in enumerate(document.get("drift", ()), start=1))
    book = Ledger(claims, bench, rules)
    _check_ids(book)
    return book


def _check_ids(book: Ledger) -> None:
    seen: set[str] = set()
    for entry in (*book.claims, *book.bench):
        if entry.id in seen:
            raise EaselError(f"claim {entry.id}: this id occurs twice; every id names one entry.")
        seen.add(entry.id)


def _claim(entry: Any, index: int, study: str | None) -> Claim:
    where = _name(entry, "claim", index)
    required = {"id": str, "source": dict, "statement": str, "paper_value": (*VALUE, type(None))}
    required |= {"unit": (str, type(None)), "test": str, "scale": str} | ({} if study else {"study": str})
    _check_fields(entry, required, {"metric": dict, "needs": str}, where)
    _check_fields(entry["source"], {"paper": str, "place": str, "known_from": str}, {}, f"{where}: source")
    _check_choice(entry["source"]["known_from"], KNOWN_FROM, f"{where}: source: known_from")
    _check_choice(entry["scale"], SCALES, f"{where}: scale")
    if ("metric" in entry) == ("needs" in entry):
        raise EaselError(f"{where}: give either metric (tested) or needs (not attempted), not both or neither.")
    metric = _metric(entry["metric"], where) if "metric" in entry else None
    plain = {key: value for key, value in entry.items() if key not in ("source", "metric")}
    return Claim(**({"study": study} if study else {}), **plain, source=Source(**entry["source"]), metric=metric)


def _metric(entry: dict, where: str) -> Metric:
    where = f"{where}: metric"
    # What each kind needs beyond the common fields; anything else there is an error.
    extra = {
        "direction": {"better": str},
        "threshold": {"better": str, "threshold": NUMBER},
        "equal": {"margin": NUMBER},
        "interval": {"better": str, "threshold": NUMBER},
        "exact": {"equals": (bool, int, float, str, list)},
        "none": {},
        "possible": {},
    }
    _check_choice(entry.get("kind"), KINDS, f"{where}: kind")
    required = {"results": str, "key": str, "kind": str, **extra[entry["kind"]]}
    seeded = entry["kind"] in SEEDED
    optional = {"timed": str, "absent_when": str} | ({"minimum_seeds": int} if seeded else {})
    optional |= {"direction": {"margin": NUMBER}, "equal": {"about": NUMBER}}.get(entry["kind"], {})
    _check_fields(entry, required, optional, where)
    _check_file(entry["results"], f"{where}: results")
    if "better" in entry:
        _check_choice(entry["better"], BETTER, f"{where}: better")
    if entry.get("margin", 1) <= 0:
        raise EaselError(f"{where}: margin must be above 0, found {entry['margin']}.")
    if seeded and entry.get("minimum_seeds", MINIMUM_SEEDS) < MINIMUM_SEEDS:
        raise EaselError(
            f"{where}: minimum_seeds {entry['minimum_seeds']} is too few; "
            f"a verdict needs at least {MINIMUM_SEEDS} seeds."
        )
    return Metric(**entry)


def _requirement(entry: Any, index: int) -> Requirement:
    where = _name(entry, "bench requirement", index)
    required = {"id": str, "statement": str, "source": str, "results": str, "key": str}
    required |= {"better": str, "threshold": NUMBER, "unit": str, "profiles": list}
    _check_fields(entry, required, {"timed": str}, where)
    _check_choice(entry["better"], BETTER, f"{where}: better")
    _check_file(entry["results"], f"{where}: results")
    for profile in entry["profiles"]:
        _check_choice(profile, PROFILES, f"{where}: profiles")
    return Requirement(**{**entry, "profiles": tuple(entry["profiles"])})


def _rule(entry: Any, index: int) -> DriftRule:
    where = f"drift rule {index}"
    _check_fields(entry, {"file": str, "key": str, "tolerance": (str, dict)}, {}, where)
    check_tolerance(entry["tolerance"], where)
    return DriftRule(**entry)


def check_tolerance(tolerance: Any, where: str) -> None:
    """Raises EaselError unless tolerance is "exact", {"absolute": a ≥ 0} or {"relative": r ≥ 0}."""
    if tolerance == "exact":
        return
    if isinstance(tolerance, dict) and len(tolerance) == 1:
        [(kind, bound)] = tolerance.items()
        if kind in ("absolute", "relative") and _is(bound, NUMBER) and 0 <= bound < math.inf:
            return
    raise EaselError(f'{where}: tolerance must be "exact", {{absolute: a}} or {{relative: r}}, found {tolerance!r}.')


def _name(entry: Any, noun: str, index: int) -> str:
    if isinstance(entry, dict) and isinstance(entry.get("id"), str):
        return f"{noun} {entry['id']}"
    return f"{noun} number {index}"


def _is(value: Any, types: type | tuple[type, ...]) -> bool:
    types = types if isinstance(types, tuple) else (types,)
    # bool is an int in Python; `true` where a number is meant is a mistake.
    return isinstance(value, types) and (bool in types or not isinstance(value, bool))


def _check_fields(entry: Any, required: dict, optional: dict, where: str) -> None:
    if not isinstance(entry, dict):
        raise EaselError(f"{where}: expected fields, found {entry!r}.")
    missing = [key for key in required if key not in entry]
    if missing:
        raise EaselError(f"{where}: missing {', '.join(missing)}.")
    known = {**required, **optional}
    unknown = [str(key) for key in entry if key not in known]
    if unknown:
        raise EaselError(f"{where}: unknown {', '.join(unknown)}; known here: {', '.join(known)}.")
    for key, value in entry.items():
        types = known[key] if isinstance(known[key], tuple) else (known[key],)
        if not _is(value, types):
            names = " or ".join("null" if kind is type(None) else kind.__name__ for kind in types)
            raise EaselError(f"{where}: {key} must be {names}, found {value!r}.")
        if isinstance(value, float) and not math.isfinite(value):
            raise EaselError(f"{where}: {key} must be a finite number, found {value}.")
        if isinstance(value, str) and not value.strip():
            raise EaselError(f"{where}: {key} is empty.")


def _check_choice(value: Any, choices: tuple[str, ...], where: str) -> None:
    if value not in choices:
        raise EaselError(f"{where}: must be one of {', '.join(choices)}, found {value!r}.")


def _check_file(name: str, where: str) -> None:
    path = Path(name)
    if path.is_absolute() or ".." in path.parts or path.suffix != ".json":
        raise EaselError(f"{where}: must be a .json file below results/<profile>/, found {name!r}.")
