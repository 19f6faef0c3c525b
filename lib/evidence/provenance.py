"""Where a figure or a table comes from: a JSON sidecar beside it, checks, and `whence`.

    python -m lib.evidence.provenance paper_figs/tokenizer.pdf

The sidecar is tracked by Git with the artefact, so it must come out the same on every run: it holds hashes and names
only. There is no time stamp, no machine, and no commit id (the commit that will contain the file does not exist when
the file is written); `git log -- <file>` answers that question.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from lib.config_tree import read_yaml
from lib.errors import EaselError, command_line
from lib.imports import closure

# Marks a JSON file as a sidecar (results are JSON too) and gives its layout a number.
FORMAT = "easel provenance 1"
# Every file of these kinds needs a sidecar. Markdown does not: most of it is prose.
ARTEFACTS = (".pdf", ".png", ".svg", ".csv", ".tex")


def file_hash(path: str | Path) -> str:
    """sha256 of a file, hex."""
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except IsADirectoryError as error:
        raise EaselError(
            f"Provenance input {path} is a folder; name the files (a data folder: its manifest)."
        ) from error
    except FileNotFoundError as error:
        raise EaselError(f"Provenance input {path} does not exist.") from error


def parameters_hash(parameters: Any) -> str:
    """sha256 of parameters as canonical JSON (sorted keys), hex: the same for the same values in any order."""
    try:
        text = json.dumps(parameters, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    except TypeError as error:
        raise EaselError(
            f"Provenance parameters must be plain values (dicts, lists, numbers, text): {error}"
        ) from error
    return hashlib.sha256(text.encode()).hexdigest()


def write(
    path: str | Path,
    artefacts: Iterable[str | Path],
    *,
    stage: str,
    sources: Iterable[str | Path],
    inputs: Iterable[str | Path] = (),
    parameters: Mapping[str, Any] | None = None,
    claims: Iterable[str] = (),
    lock: str | Path = "requirements.lock",
) -> Path:
    """Writes the sidecar `path` of some artefacts in its folder; returns it.

    Args:
        artefacts: files just written, in the sidecar's own folder.
        stage: pipeline stage (or notebook) that made them.
        sources: the notebook or module that made them, below the current folder (the repository root); the modules of
            `lib` that it imports are recorded with it.
        inputs: data files they were made from; their sha256 is recorded.
        parameters: the section(s) of the parameters they depend on.
        claims: ids of the claims they bear on.
        lock: the environment's lock file.

    Raises:
        EaselError: a named file does not exist or lies outside the repository.
    """
    path = Path(path)
    artefacts = sorted(Path(item) for item in artefacts)
    outside = [str(item) for item in artefacts if item.parent.resolve() != path.parent.resolve()]
    if outside:
        raise EaselError(f"Sidecar {path} must lie beside its artefacts; elsewhere: {', '.join(outside)}.")
    record = {
        "format": FORMAT,
        "stage": stage,
        "claims": sorted(claims),
        "artefacts": {item.name: file_hash(item) for item in artefacts},
        "sources": sorted({path.as_posix() for source in sources for path in closure(Path(_relative(source)))}),
        "inputs": dict(sorted((_relative(item), file_hash(item)) for item in inputs)),
        "parameters": parameters_hash(parameters) if parameters is not None else None,
        "lock": file_hash(lock),
    }
    path.write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def check_all(*roots: str | Path) -> None:
    """All below `roots`: every folder that holds a figure or a table passes `check`, and what they were made from is
    still what it was.

    Folders of pictures alone, without any sidecar, hold what was measured: those that figures show are their inputs.

    Raises:
        EaselError: as `check`, or an input that changed since or is gone.
    """
    folders = sorted({path.parent for root in roots for path in Path(root).rglob("*") if path.is_file()})
    faults = []
    for folder in folders:
        records = dict(_sidecars(folder))
        if records or any(path.suffix in ARTEFACTS and path.suffix != ".png" for path in folder.iterdir()):
            check(folder)
        for sidecar, record in records.items():
            for name, digest in record["inputs"].items():
                if not Path(name).is_file():
                    faults.append(f"{name}, from which {sidecar} was made, is gone")
                elif file_hash(name) != digest:
                    faults.append(f"{name} changed after {sidecar} was made from it")
    if faults:
        raise EaselError(f"Provenance: {'; '.join(faults)}. `make figures` draws them again.")


def check(folder: str | Path) -> None:
    """Every figure and table in `folder` has a sidecar, and is the file that the sidecar describes.

    Raises:
        EaselError: lists all files without a sidecar, changed since, or gone.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise EaselError(f"Provenance check: folder {folder} does not exist.")
    recorded = {name: digest for _, record in _sidecars(folder) for name, digest in record["artefacts"].items()}
    faults = []
    for path in sorted(folder.iterdir()):
        if path.suffix in ARTEFACTS and path.name not in recorded:
            faults.append(f"{path.name} has no sidecar")
    for name, digest in sorted(recorded.items()):
        if not (folder / name).is_file():
            faults.append(f"{name} is described by a sidecar but gone")
        elif file_hash(folder / name) != digest:
            faults.append(f"{name} changed after its sidecar was written")
    if faults:
        raise EaselError(f"Provenance of {folder}: {'; '.join(faults)}. Re-run the stage that writes them.")


def whence(path: str | Path, lock: str | Path = "dvc.lock") -> str:
    """The chain behind one artefact as text: its sidecar, then through dvc.lock every stage back to the start."""
    path = Path(path)
    if not path.is_file():
        raise EaselError(f"{path} does not exist.")
    found = [pair for pair in _sidecars(path.parent) if path.name in pair[1]["artefacts"]]
    if not found:
        raise EaselError(f"{path} has no provenance sidecar in {path.parent}; re-run the stage that writes it.")
    sidecar, record = found[0]
    state = (
        "unchanged" if file_hash(path) == record["artefacts"][path.name] else "CHANGED since the sidecar was written"
    )
    lines = [
        f"{path} ({state})",
        f"  sidecar      {sidecar.name}",
        f"  stage        {record['stage']}",
        f"  claims       {', '.join(record['claims']) or 'none'}",
        f"  made by      {', '.join(record['sources'])}",
        f"  parameters   {record['parameters'] or 'none'}",
        f"  environment  {record['lock']}",
    ]
    stages = _stages(Path(lock))
    if not stages:
        lines.append(f"  no stages in {lock}: the chain ends at the inputs")
    visited: set[str] = set()
    for name, digest in record["inputs"].items():
        now = "missing here" if not Path(name).is_file() else "same" if file_hash(name) == digest else "CHANGED since"
        lines.append(f"  from {name} (sha256 {digest[:12]}, {now})")
        lines += _chain(name, stages, visited, "    ")
    return "\n".join(lines)


def _chain(name: str, stages: dict[str, dict], visited: set[str], indent: str) -> list[str]:
    """Stages whose outputs hold `name`, and recursively what they read; each stage is written out once."""
    lines = []
    for stage, entry in stages.items():
        if not any(name == out or name.startswith(f"{out}/") for out in entry["outs"]):
            continue
        if stage in visited:
            lines.append(f"{indent}by stage {stage} (above)")
            continue
        visited.add(stage)
        lines.append(f"{indent}by stage {stage}: {entry['cmd']}")
        for dependency, digest in entry["deps"].items():
            lines.append(f"{indent}  from {dependency} (md5 {digest[:12]})")
            lines += _chain(dependency, stages, visited, indent + "    ")
    return lines


def _stages(lock: Path) -> dict[str, dict]:
    """Stage → {"cmd", "outs", "deps": path → md5} of dvc.lock and of the .dvc imports beside it."""
    entries: dict[str, dict] = {}
    if lock.is_file():
        entries |= read_yaml(lock).get("stages", {})
    for path in sorted(lock.parent.glob("*.dvc")):
        if path.is_file():  # DVC's own folder is called .dvc
            entries[path.name] = {"cmd": "import", **read_yaml(path)}
    return {
        name: {
            "cmd": entry.get("cmd", ""),
            "outs": [out["path"] for out in entry.get("outs", ())],
            "deps": {item["path"]: item.get("md5", "") for item in entry.get("deps", ())},
        }
        for name, entry in entries.items()
    }


def _sidecars(folder: Path) -> Iterator[tuple[Path, dict]]:
    for path in sorted(folder.glob("*.json")):
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            continue  # not ours; whoever reads that file reports it
        if isinstance(record, dict) and record.get("format") == FORMAT:
            yield path, record


def _relative(path: str | Path) -> str:
    """Path relative to the repository root: a file in Git must not name the folders of one machine."""
    root = Path.cwd().resolve()
    resolved = Path(path).resolve()
    if not resolved.is_relative_to(root):
        raise EaselError(f"Provenance: {path} lies outside the repository ({root}); copy it in, or name its manifest.")
    if not resolved.exists():
        raise EaselError(f"Provenance: {path} does not exist.")
    return resolved.relative_to(root).as_posix()


@command_line
def main(arguments: list[str]) -> None:
    """Command line; prints the chain."""
    if len(arguments) != 1:
        raise EaselError("usage: python -m lib.evidence.provenance <figure or table>")
    print(whence(arguments[0]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
