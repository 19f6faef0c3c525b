"""What lies in somebody's folder of data: every file, in subfolders and behind symbolic links too."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from lib.errors import EaselError


def entries_below(folder: Path) -> list[Path]:
    """Everything but folders that lies below `folder`, sorted; links to folders are followed, each folder once.

    macOS's companions (`._name`) are left out: they hold no data of their own.

    Raises:
        EaselError: no such folder, or one that cannot be listed.
    """
    if not folder.is_dir():
        raise EaselError(f"data.path: there is no folder {printable(folder)}. Set data.path in params.yaml.")
    return sorted(_walk(folder, {folder.resolve()}))


def _walk(folder: Path, seen: set[Path]) -> Iterator[Path]:
    try:
        found = list(folder.iterdir())
    except OSError as error:
        raise unreadable(folder, error) from error
    for path in found:
        if path.name.startswith("._"):
            continue
        if not path.is_dir():
            yield path
        elif (target := path.resolve()) not in seen:
            seen.add(target)
            yield from _walk(path, seen)


def unreadable(path: Path, error: OSError) -> EaselError:
    """What to tell the user about a file or folder that the system does not let us read."""
    reason = error.strerror or str(error)
    return EaselError(f"{printable(path)} cannot be read ({reason}). Repair it or its permissions, or move it away.")


def printable(name: object) -> str:
    """A file's name as a terminal can show it: control characters and bytes that are not UTF-8 as escapes."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in str(name))
