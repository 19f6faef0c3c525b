"""Takes results of parts over after a refactor that cannot change them: a sample is computed anew and compared.

`python -m lib.pipeline.take_over` prints what was taken over so far, as a table in Markdown.

A part's key holds the hashes of its modules, so an edit that moves code about makes all parts new. The variable
EASEL_TAKE_OVER, which `make` fills from TAKE_OVER, says how many parts of a stage `lib.pipeline.parts` then computes
with the new code, one of every kind at least. They are compared bit for bit with what the old code has left. If all are
equal, that is recorded, and only then do the other old results get the new keys. What the old code has left is known
from the index of the stage's last run that ended well.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np

from lib.errors import EaselError, command_line, naming, shortened
from lib.weights import checkpoint

VARIABLE = "EASEL_TAKE_OVER"
RECORDS = Path("build/parts/taken_over.jsonl")
INDEX = "index.json"  # in the folder of a stage's parts
# Numbers of a part that say how long it took, and on what.
TIMING = re.compile(r"machine|(?:\w+_)?(?:minutes|seconds)")
_HASH = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Identity:
    """What a part is known by.

    Attributes:
        key: sha256 of all that decides the result.
        given: sha256 of all of that but the sources.
        sources: path → hash of what the module does.
    """

    key: str
    given: str
    sources: Mapping[str, str]

    def path(self, folder: Path) -> Path:
        """Where the result lies, in the folder of the stage's parts."""
        return folder / f"{self.key[:32]}.safetensors"


@dataclass(frozen=True)
class Candidate:
    """A part of which only the sources have changed, and whose result by the old ones is there.

    Attributes:
        name: of the part.
        kind: its work and the modules that it loads by name; a sample has one of every kind.
        old, new: what it was known by, and is.
        before, after: where the results lie.
    """

    name: str
    kind: tuple[str, ...]
    old: Identity
    new: Identity
    before: Path
    after: Path


@dataclass(frozen=True)
class Record:
    """What was taken over, and why that was right.

    Attributes:
        stage: whose parts.
        time: when, in UTC.
        commit: of Git; None where there is none.
        recomputed: names of the parts that were computed with the new code and came out the same.
        taken: name → new key of the others.
        modules: path, old hash, new hash; None where there was or is no such module.
    """

    stage: str
    time: str
    commit: str | None
    recomputed: list[str]
    taken: dict[str, str]
    modules: list[tuple[str, str | None, str | None]]

    def row(self) -> str:
        """A row of the table."""
        commit = self.commit[:10] if self.commit else "–"
        cells = [self.time, self.stage, commit, str(len(self.taken)), ", ".join(self.recomputed), self.edits()]
        return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"

    def edits(self) -> str:
        """The modules that differ, for people."""
        return ", ".join(f"{path} {(old or 'none')[:8]} → {(new or 'none')[:8]}" for path, old, new in self.modules)


def asked() -> int:
    """How many parts of a stage EASEL_TAKE_OVER wants in a sample; 0 if nothing is to be taken over.

    Raises:
        EaselError: it is no whole number from 1 on.
    """
    text = os.environ.get(VARIABLE, "")
    if not re.fullmatch(r"|[1-9][0-9]{0,5}", text):
        raise EaselError(
            f"TAKE_OVER is {text!r}; it can be nothing, or a whole number from 1 on: how many parts of a stage are "
            "computed anew and compared."
        )
    return int(text or 0)


def read_index(folder: Path) -> dict[str, Identity]:
    """The parts of the stage's last run that ended well, by name; none if there is no index or it is damaged."""
    try:
        index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        found = {
            name: Identity(entry["key"], entry["given"], dict(index["sources"][entry["sources"]]))
            for name, entry in index["parts"].items()
        }
        whole = all(_HASH.fullmatch(text) for one in found.values() for text in (one.key, one.given))
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return {}
    return found if whole else {}


def write_index(folder: Path, parts: Mapping[str, Identity]) -> None:
    """Notes what the parts of a run that ended well were known by; lists of sources that are equal once."""
    sources: list[Mapping[str, str]] = []
    entries = {}
    for name, one in parts.items():
        if one.sources not in sources:
            sources.append(one.sources)
        entries[name] = {"key": one.key, "given": one.given, "sources": sources.index(one.sources)}
    _replace(folder / INDEX, json.dumps({"sources": sources, "parts": entries}) + "\n")


def candidates(folder: Path, kinds: Mapping[str, tuple[str, ...]], parts: Mapping[str, Identity]) -> list[Candidate]:
    """The parts, each result once, of which only the sources have changed; not those that were taken over already.

    Args:
        folder: of the stage's parts.
        kinds: name → work and modules of the parts that may be taken over.
        parts: name → what a part is known by now.

    Raises:
        EaselError: the records cannot be read.
    """
    index = read_index(folder)
    settled = {key for record in records() for key in record.taken.values()}
    found: dict[Path, Candidate] = {}
    for name, kind in kinds.items():
        old, new = index.get(name), parts[name]
        if old is None or old.given != new.given or old.key == new.key:
            continue
        before, after = old.path(folder), new.path(folder)
        if before.is_file() and not (after.is_file() and new.key in settled):
            found.setdefault(after, Candidate(name, kind, old, new, before, after))
    return list(found.values())


def sample(found: Sequence[Candidate], number: int) -> list[Candidate]:
    """`number` of the candidates, or as many as there are kinds: one of every kind, one more of every kind, and so on.

    Which ones depends on the keys alone.
    """
    kinds: dict[tuple[str, ...], list[Candidate]] = {}
    for one in sorted(found, key=lambda one: (one.kind, one.new.key)):
        kinds.setdefault(one.kind, []).append(one)
    in_turn = [one for each in zip_longest(*kinds.values()) for one in each if one]
    return in_turn[: max(number, len(kinds))]


def take(stage: str, found: Sequence[Candidate]) -> list[Path]:
    """Compares the candidates that are computed anew, and takes the others over. Returns where those lie.

    Raises:
        EaselError: one has come out differently; nothing is taken over. Or a result is damaged.
    """
    computed = [one for one in found if one.after.is_file()]
    others = [one for one in found if not one.after.is_file()]
    for one in computed:
        if differing := list(differences(one.before, one.after)):
            raise EaselError(
                f"stage {stage}: with the new code part {one.name!r} comes out differently: "
                f"{shortened('; '.join(differing))}. Nothing was taken over; run the same command without TAKE_OVER."
            )
    record = Record(
        stage=stage,
        time=datetime.now(UTC).isoformat(timespec="seconds"),
        commit=_commit(),
        recomputed=[one.name for one in computed],
        taken={one.name: one.new.key for one in others},
        modules=_modules(found),
    )
    # First, so that nothing is ever taken over of which no record tells.
    _replace(RECORDS, "".join(json.dumps(asdict(one)) + "\n" for one in [*records(), record]))
    for one in others:
        _copy(one.before, one.after)
    print(
        f"[{stage}] {len(others)} parts are taken over, since these came out the same bit for bit: "
        f"{', '.join(record.recomputed)}. Modules that differ: {record.edits()}. Commit: {record.commit or 'none'}. "
        f"{RECORDS} has the record of {record.time}.",
        flush=True,
    )
    return [one.after for one in others]


def differences(before: Path, after: Path) -> Iterator[str]:
    """What two results differ in, but for times: arrays bit for bit, numbers as they are written.

    Raises:
        EaselError: one of them is damaged.
    """
    (old, old_numbers), (new, new_numbers) = checkpoint.load(before), checkpoint.load(after)
    for name in sorted(old.keys() | new.keys()):
        if name not in old or name not in new:
            yield f"array {name} is {'new' if name in new else 'missing'}"
            continue
        was, now = old[name], new[name]
        if (was.dtype, was.shape) != (now.dtype, now.shape):
            yield f"array {name} is {now.dtype} {list(now.shape)}, was {was.dtype} {list(was.shape)}"
        elif count := int((_bytes(was) != _bytes(now)).any(axis=1).sum()):
            yield f"array {name} differs in {count} of {was.size} values"
    for name in sorted(old_numbers.keys() | new_numbers.keys()):
        was, now = (
            json.dumps(_untimed(numbers[name]), sort_keys=True) if name in numbers else "missing"
            for numbers in (old_numbers, new_numbers)
        )
        if was != now and not TIMING.fullmatch(name):
            yield f"number {name} is {shortened(now, 80)}, was {shortened(was, 80)}"


def records() -> list[Record]:
    """What was taken over in this folder so far.

    Raises:
        EaselError: the file cannot be read, or is damaged.
    """
    if not RECORDS.exists():
        return []
    with naming(RECORDS, "as a list of records"):
        return [Record(**json.loads(line)) for line in RECORDS.read_text(encoding="utf-8").splitlines()]


def _bytes(array: np.ndarray) -> np.ndarray:
    """[values, bytes of one]"""
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).reshape(array.size, array.dtype.itemsize)


def _untimed(value: Any) -> Any:
    """A number, or a tree of numbers, without those that are times."""
    if isinstance(value, dict):
        return {name: _untimed(one) for name, one in value.items() if not TIMING.fullmatch(name)}
    return [_untimed(one) for one in value] if isinstance(value, list) else value


def _modules(found: Sequence[Candidate]) -> list[tuple[str, str | None, str | None]]:
    """The modules that differ, as in a record."""
    differing = {
        (path, one.old.sources.get(path), one.new.sources.get(path))
        for one in found
        for path in one.old.sources.keys() | one.new.sources.keys()
        if one.old.sources.get(path) != one.new.sources.get(path)
    }
    return sorted(differing, key=str)


def _commit() -> str | None:
    """What Git calls the last commit."""
    try:
        answer = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return answer.stdout.strip()


def _copy(source: Path, target: Path) -> None:
    """Gives a file a second name, or copies it where the disk cannot do that, in one step."""
    try:
        os.link(source, target)
    except OSError:
        partial = target.with_name(target.name + ".part")
        shutil.copyfile(source, partial)
        partial.replace(target)


def _replace(path: Path, text: str) -> None:
    """Writes a file in one step."""
    partial = path.with_name(path.name + ".part")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


@command_line
def main(arguments: list[str]) -> None:
    """Prints the table."""
    if arguments:
        raise EaselError("usage: python -m lib.pipeline.take_over")
    found = records()
    if not found:
        print("nothing has been taken over here")
        return
    print("| time | stage | commit | taken over | recomputed, the same bit for bit | modules that differ |")
    print("|---|---|---|---:|---|---|")
    for record in found:
        print(record.row())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
