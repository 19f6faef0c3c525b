"""Checksums of the data folder: are these the data the numbers were made from?

DVC pins whatever a stage has just written, so data that came out differently would be taken as new truth in silence.
Two lists stand against that. `MANIFEST.sha256` in the folder says what was written (it shows data edited since);
the *pinned* manifest, a small JSON file in Git, says what should have been written: a drift of the platform, the
generator's code or its parameters shows there.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lib.data.store import REBUILD
from lib.errors import EaselError
from lib.ownership import MANIFEST

_SHOWN = 5  # differing files named in a message
_BLOCK = 1 << 20  # bytes read at a time


def file_hash(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def folder_hashes(folder: Path | str) -> dict[str, str]:
    """Relative path → SHA-256 of every file in the folder but the manifest itself and Git's, sorted by path.

    Raises:
        EaselError: no such folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise EaselError(f"No data folder at {folder}. {REBUILD}")
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return {name: file_hash(files[name]) for name in sorted(files) if name not in (MANIFEST, ".gitignore")}


def write_manifest(folder: Path | str) -> dict[str, str]:
    """Write MANIFEST.sha256, a "<sha256>  <relative/path>" line for every file (`sha256sum -c` reads it too).

    Returns:
        Relative path → SHA-256.
    """
    hashes = folder_hashes(folder)
    text = "".join(f"{digest}  {name}\n" for name, digest in hashes.items())
    partial = Path(folder) / f"{MANIFEST}.tmp"
    partial.write_text(text, encoding="utf-8", newline="\n")
    partial.replace(Path(folder) / MANIFEST)  # whole or not there: it says which files are ours
    return hashes


def read_manifest(folder: Path | str) -> dict[str, str]:
    """The lines of MANIFEST.sha256 as relative path → SHA-256.

    Raises:
        EaselError: no manifest, or a line of another form.
    """
    path = Path(folder) / MANIFEST
    if not path.is_file():
        raise EaselError(f"{folder} holds no {MANIFEST}: the data were not written to the end. {REBUILD}")
    hashes = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        digest, gap, name = line.partition("  ")
        if len(digest) != 64 or not gap or not name:
            raise EaselError(f"{path}, line {number}, is not '<sha256>  <path>'. {REBUILD}")
        hashes[name] = digest
    return hashes


def check_manifest(folder: Path | str) -> dict[str, str]:
    """Recompute every checksum of the data folder and compare with its own manifest.

    Returns:
        Relative path → SHA-256, as found.

    Raises:
        EaselError: a file was edited, added or removed since the folder was written. The message names up to five.
    """
    found = folder_hashes(folder)
    edited = differing(read_manifest(folder), found)
    if edited:
        raise EaselError(
            f"The data in {folder} are not as they were written; changed since: {_listing(edited)}. "
            f"{REBUILD} To use data of your own, see data.source in params.yaml."
        )
    return found


def read_pinned(path: Path | str) -> dict[str, Any]:
    """A pinned manifest. Raises EaselError when the file is missing or has another form."""
    path = Path(path)
    if not path.is_file():
        raise EaselError(f"No pinned manifest at {path}. Restore it from Git, or pin the data anew.")
    try:
        pinned = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise EaselError(f"The pinned manifest {path} is not JSON ({error}). Restore it from Git.") from error
    if not isinstance(pinned, dict) or set(pinned) != {"params", "code", "files"}:
        raise EaselError(f"The pinned manifest {path} must hold params, code and files. Restore it from Git.")
    return pinned


def compare(pinned: Mapping[str, Any], current: Mapping[str, Any]) -> None:
    """Compare what was drawn with what was pinned, and say what moved.

    Both are {"params": hash of the parameters, "code": hash of the sources, "files": {relative path: SHA-256}}.

    Raises:
        EaselError: the files differ. The message says whether the parameters, the generator's code, or neither
            (another platform, or edited files) changed, names up to five files, and says what to do. Code or
            parameters that changed without changing a single byte of the data are no error.
    """
    files = differing(pinned["files"], current["files"])
    if not files:
        return
    moved = []
    if pinned["params"] != current["params"]:
        moved.append("its parameters (params.yaml)")
    if pinned["code"] != current["code"]:
        moved.append("the generator's code")
    if moved:
        reason = f"Since they were pinned, {' and '.join(moved)} changed."
        remedy = "If that was meant, pin the new data and commit the pinned manifest; if not, undo the change."
    else:
        reason = (
            "Neither parameters nor code changed since they were pinned: the files were edited, or this platform "
            "(NumPy's version, the processor) draws them differently."
        )
        remedy = "Draw the data again: `dvc repro make_data`; if they still differ, report the platform as a fault."
    raise EaselError(f"The data differ from the pinned manifest: {_listing(files)}. {reason} {remedy}")


def differing(expected: Mapping[str, str], found: Mapping[str, str]) -> list[str]:
    """Files that are not the same in both, as "path (edited|missing|new)", sorted by path."""
    kinds = {}
    for name in sorted(expected.keys() | found.keys()):
        if name not in found:
            kinds[name] = "missing"
        elif name not in expected:
            kinds[name] = "new"
        elif expected[name] != found[name]:
            kinds[name] = "edited"
    return [f"{name} ({kind})" for name, kind in kinds.items()]


def _listing(files: list[str]) -> str:
    rest = len(files) - _SHOWN
    return ", ".join(files[:_SHOWN]) + (f" and {rest} more" if rest > 0 else "")
