"""Nothing that this repository did not make is deleted or replaced.

DVC removes the outputs of a stage before it runs it, whatever lies in them, and `data/` is replaced whenever it is not
what the lock file says. So before DVC starts, and again where a stage clears its own output, this module looks for
files that are not ours:

- a data folder's manifest names its files; one that was interrupted has no manifest, but holds nothing that a data
  folder would not;
- in results/ and paper_figs/ a file is ours that Git tracks, or that the record of the stage's last run names;
- all else that is written lies in build/ and runs/, which hold nothing but what the pipeline makes.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from lib.errors import EaselError

DATA = (Path("data"), Path("build/data"))
TRACKED = ("results", "paper_figs")  # outputs that Git tracks: <tracked>/<profile>/<folder of one stage>
OUTPUTS = ("data", "build", "runs", *TRACKED)
RECORDS = Path("build/records")
MANIFEST = "MANIFEST.sha256"
_SHOWN = 3  # files named in a message
# What a data folder holds when its manifest is not written yet.
_LAYOUT = re.compile(
    r"(?:[a-z]+/(?:images_\d+\.npy|captions\.jsonl|scenes\.jsonl)|(?:meta|report)\.json|prompts\.jsonl)"
)
_PARTIAL = re.compile(r"(?:.*/)?[^/]*\.(?:[\w-]{16,}\.)?tmp")  # a copy that DVC, or we, did not finish


def check_outputs_are_ours(where: Path, profile: str) -> None:
    """Looks through the outputs of the pipeline that runs in `where`, before anything replaces them.

    Raises:
        EaselError: names a folder with files that are not ours, and what to do.
    """
    folders = [Path(top, profile, path.name) for top in TRACKED for path in _folders(where / top / profile)]
    for folder in (*DATA, *folders):
        check_is_ours(folder, where)


def check_is_ours(folder: Path, where: Path = Path(".")) -> None:
    """Raises EaselError if `folder`, an output of the pipeline that runs in `where`, holds files that are not ours."""
    foreign = _foreign(folder, where)
    if foreign:
        names = ", ".join(foreign[:_SHOWN]) + (f" and {len(foreign) - _SHOWN} more" if len(foreign) > _SHOWN else "")
        hint = (
            "; data of your own stay where they are, and data.path in params.yaml says where" if folder in DATA else ""
        )
        raise EaselError(
            f"{where / folder} holds files that this repository did not make and a run would delete: {names}. "
            f"Move them elsewhere{hint}."
        )


def fresh(folder: Path) -> None:
    """Makes `folder` an empty one for an output, in place of what an earlier run left there.

    Raises:
        EaselError: it holds files that are not ours.
    """
    check_is_ours(folder)
    if folder.is_symlink():
        folder.unlink()  # what it points to stays
    elif folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)


def begin(stage: str, outs: Iterable[str]) -> None:
    """Notes that a stage has started: until it ends, all that is in its outputs is its own."""
    _write_record(stage, dict.fromkeys(outs))


def finish(stage: str, outs: Iterable[str]) -> None:
    """Notes the files that a stage has left in its outputs."""
    _write_record(stage, {out: _files(Path(out)) for out in outs})


def check_is_no_output(path: str) -> None:
    """Raises EaselError if a folder of the user's own lies in, is, or holds a folder that the pipeline writes to."""
    for own in {Path(path).absolute(), Path(path).resolve()}:
        for name in OUTPUTS:
            output = Path(name).absolute()
            if any(own.is_relative_to(one) or one.is_relative_to(own) for one in (output, output.resolve())):
                raise EaselError(
                    f"params.yaml: data.path is {path}, which is, holds or lies in {name}/, a folder that the pipeline "
                    "replaces. Move the data elsewhere and set data.path anew."
                )


def _foreign(folder: Path, where: Path) -> list[str]:
    """The files below a folder of outputs that are not ours, by their paths in it."""
    files = _files(where / folder)
    if not files:
        return []
    if folder in DATA:
        return _foreign_in_data(where / folder, files)
    if folder.parts[0] in TRACKED:
        untracked = _untracked(where, folder)
        recorded = _recorded(where, folder.as_posix()) if untracked else set()
        return [] if recorded is None else [name for name in files if name in untracked - recorded]
    return []


def _foreign_in_data(folder: Path, files: list[str]) -> list[str]:
    manifest = folder / MANIFEST
    others = [name for name in files if name not in (MANIFEST, ".gitignore") and not _PARTIAL.fullmatch(name)]
    if manifest.is_file():
        named = {
            line.partition("  ")[2] for line in manifest.read_text(encoding="utf-8", errors="replace").splitlines()
        }
        return [name for name in others if name not in named]
    foreign = [name for name in others if not _LAYOUT.fullmatch(name)]
    return foreign if any("/" in name for name in others) else others  # splits are written first


def _untracked(where: Path, folder: Path) -> set[str]:
    """Files in a folder that Git neither tracks nor ignores; none where there is no Git."""
    command = ["git", "ls-files", "-z", "--others", "--exclude-standard"]
    try:
        found = subprocess.run(command, cwd=where / folder, capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return set()
    return set(found.stdout.decode("utf-8", "surrogateescape").split("\0"))


def _recorded(where: Path, folder: str) -> set[str] | None:
    """Files of an output that its stage's record names; None if the stage was interrupted, which may leave others."""
    found: set[str] = set()
    for path in sorted((where / RECORDS).rglob("*.files")):
        for out, names in json.loads(path.read_text(encoding="utf-8")).items():
            if out == folder or out.startswith(f"{folder}/"):  # several stages may share a folder
                if names is None:
                    return None
                found.update(Path(out, name).relative_to(folder).as_posix() for name in names)
    return found


def _write_record(stage: str, files: dict[str, list[str] | None]) -> None:
    partial = RECORDS / f"{stage}.tmp"
    partial.parent.mkdir(parents=True, exist_ok=True)
    partial.write_text(json.dumps(files) + "\n", encoding="utf-8")
    partial.replace(RECORDS / f"{stage}.files")


def _files(folder: Path) -> list[str]:
    """Everything but folders below `folder`, by its path there, sorted; the name itself if it is no folder."""
    if not folder.is_dir():
        return [folder.name] if folder.exists() else []
    return sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_symlink() or not path.is_dir()
    )


def _folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
