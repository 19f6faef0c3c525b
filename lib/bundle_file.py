"""The file of a bundle (lib/bundle.py): how it is written, read and checked.

A gzip-compressed ustar without times and owners, its manifest first, so that equal content gives equal bytes.
"""

import gzip
import hashlib
import io
import json
import os
import re
import tarfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from lib.errors import EaselError, naming
from lib.progress import Progress

FORMAT = "easel bundle 1"
MANIFEST, ABOUT = "MANIFEST.sha256", "bundle.json"
OBJECT = re.compile(r"files/md5/([0-9a-f]{2})/([0-9a-f]{30}(?:\.dir)?)")
LOCK = re.compile(r"locks/((?:studies/\w+/)?dvc\.lock)")
LINE = re.compile(r"([0-9a-f]{64})  (\S+)")  # of the manifest
READ = 64_000_000  # bytes at most of what is read as a whole: lists of files, lock files
CHUNK = 1 << 20
COMPRESSION = 6


@dataclass(frozen=True)
class Content:
    """What a bundle that was checked holds."""

    objects: set[str]  # by their MD5, those of folders with .dir
    folders: dict[str, list[str]]  # a folder's object → those of its files
    locks: dict[str, str]  # path below the top of a run → text

    def holds(self, name: str) -> bool:
        """Whether an output with this hash can be made from the bundle alone."""
        return name in self.objects and all(part in self.objects for part in self.folders.get(name, []))

    def parts(self, name: str) -> list[str]:
        """The objects of an output."""
        return [name, *self.folders.get(name, [])]


def object_path(md5: str) -> str:
    return f"files/md5/{md5[:2]}/{md5[2:]}"


def object_name(path: str) -> str:
    """The object that a member is, "" if none."""
    matched = OBJECT.fullmatch(path)
    return matched[1] + matched[2] if matched else ""


def hashes(file: BinaryIO) -> tuple[str, str]:
    """SHA-256 and MD5 of what is left to read."""
    sha256, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
    while part := file.read(CHUNK):
        sha256.update(part)
        md5.update(part)
    return sha256.hexdigest(), md5.hexdigest()


def listed(text: bytes) -> list[str]:
    """The MD5 of every file of a folder, from the folder's object. Raises ValueError if it is none."""
    try:
        found = [entry["md5"] for entry in json.loads(text)]
    except (TypeError, KeyError, RecursionError) as error:
        raise ValueError("no list of files") from error
    if not all(isinstance(md5, str) and re.fullmatch(r"[0-9a-f]{32}", md5) for md5 in found):
        raise ValueError("a name that is no MD5")
    return found


@contextmanager
def compressed(file: BinaryIO) -> Iterator[tarfile.TarFile]:
    """A tar to add to, compressed without name and time."""
    with (
        gzip.GzipFile("", "wb", COMPRESSION, file, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w|", format=tarfile.USTAR_FORMAT) as tar,
    ):
        yield tar


def member(path: str, size: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(path)
    entry.size, entry.mode = size, 0o644
    return entry


@contextmanager
def written(target: Path) -> Iterator[BinaryIO]:
    """A file to write that takes its name when all is written; if that fails, nothing is left of it."""
    new = target.with_name(f".{target.name}.new")
    with naming(target):
        if target.is_dir():
            raise EaselError(f"{target} is a folder; name a file.")
        try:
            with open(new, "wb") as file:
                yield file
            new.replace(target)
        finally:
            with suppress(OSError):
                new.unlink()


def read(file: Path, visit: Callable[[str, BinaryIO], None]) -> None:
    """Goes through all members of a bundle in order, the manifest first, and gives each to `visit` to read.

    Raises:
        EaselError: it cannot be read, is cut or no bundle, or holds a member of another kind or name than bundles have.
    """
    broken = (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile, ValueError)
    with naming(file), open(file, "rb") as raw:
        progress = Progress(file.name, max(os.fstat(raw.fileno()).st_size, 1))
        seen = set()
        try:
            with gzip.GzipFile(fileobj=raw) as packed, tarfile.open(fileobj=packed, mode="r|") as tar:
                for entry in tar:
                    path = entry.name
                    if not _is_allowed(entry) or path in seen or bool(seen) == (path == MANIFEST):
                        raise EaselError(
                            f"{file} is no bundle: it holds {path!r}, which no bundle does. Nothing was used."
                        )
                    seen.add(path)
                    with closing(tar.extractfile(entry)) as content:
                        visit(path, content)
                    progress.update(raw.tell())
                while packed.read(CHUNK):  # to the checksum at its end
                    pass
        except broken as error:
            raise EaselError(f"{file} is damaged, or no bundle ({error}); get it anew. Nothing was used.") from error
    if not seen:
        raise EaselError(f"{file} is no bundle: it is empty.")


def _is_allowed(entry: tarfile.TarInfo) -> bool:
    named = entry.name in (MANIFEST, ABOUT) or LOCK.fullmatch(entry.name) or OBJECT.fullmatch(entry.name)
    return bool(named) and entry.type in (tarfile.REGTYPE, tarfile.AREGTYPE)


def check(file: Path) -> Content:
    """Compares every checksum of a bundle. Returns what it holds.

    Raises:
        EaselError: as `read`; a checksum differs, or a file is missing.
    """
    sums: dict[str, str] = {}
    found = Content(set(), {}, {})
    seen = set()

    def visit(path: str, content: BinaryIO) -> None:
        matched = OBJECT.fullmatch(path)
        text = b""
        if not matched or path.endswith(".dir"):
            text = content.read(READ + 1)
            if len(text) > READ:
                raise ValueError(f"{path} is too long")
            content = io.BytesIO(text)
        if path == MANIFEST:
            for line in text.decode().splitlines():
                if not (parts := LINE.fullmatch(line)):
                    raise ValueError(f"a line of {MANIFEST}")
                sums[parts[2]] = parts[1]
            return
        seen.add(path)
        sha256, md5 = hashes(content)
        if sums.get(path) != sha256 or (matched and md5 != matched[1] + matched[2].removesuffix(".dir")):
            raise ValueError(f"the checksum of {path} differs")
        if matched:
            name = matched[1] + matched[2]
            found.objects.add(name)
            if name.endswith(".dir"):
                found.folders[name] = listed(text)
        elif lock := LOCK.fullmatch(path):
            found.locks[lock[1]] = text.decode()
        elif _format(text) != FORMAT:
            raise ValueError(f"it is not of the format '{FORMAT}'")

    read(file, visit)
    if missing := sorted(sums.keys() - seen):
        raise EaselError(f"{file} is damaged: {missing[0]} is missing. Get it anew; nothing was used.")
    return found


def _format(about: bytes) -> object:
    try:
        return json.loads(about)["format"]
    except (TypeError, KeyError, RecursionError) as error:
        raise ValueError(f"{ABOUT} says nothing") from error
