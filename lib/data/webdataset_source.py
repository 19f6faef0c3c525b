"""WebDataset shards: tar files in which files of one stem make a sample.

`NNN.png` (or .jpg, .jpeg, .webp) is the picture; captions stand in `NNN.txt` (English) or in `NNN.json` under
`caption` (English), `caption_zh` and other `caption_<language>`: the layout the usual image–text downloaders write.
As for WebDataset itself, a stem ends at the first dot of a file's name.

WebDataset reads a shard as a stream, and what does not fit its order is lost without a word: files of a sample that are
not adjacent, a name used twice, and all that stands behind a cut, a damaged header or the first of two joined tar
files. So here a pass over the headers comes first, before any picture is decoded. It groups files by name, wherever
they stand, counts all pictures, and refuses shards that are not whole: how much is missing there, nobody knows.
"""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from lib.data.files import entries_below, printable, unreadable
from lib.data.sample import (
    DEFAULT_LANGUAGE,
    DOTTED_NAME,
    MISSING_CAPTION,
    MISSING_PICTURE,
    NAME_TWICE,
    NO_PLAIN_FILE,
    SEVERAL_PICTURES,
    UNREADABLE_CAPTION,
    CaptionSet,
    Sample,
)
from lib.errors import EaselError

PICTURES, TEXTS = ("png", "jpg", "jpeg", "webp"), ("txt", "json")
COMPRESSED = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst")
# What shards turn out to be that are none, by their first bytes.
IMPOSTORS = {
    b"version https://git-lfs": "a Git LFS pointer: run `git lfs pull` where it comes from",
    b"\x1f\x8b": "compressed: unpack it with gunzip",
    b"BZh": "compressed: unpack it with bunzip2",
    b"\xfd7zXZ": "compressed: unpack it with unxz",
    b"\x28\xb5\x2f\xfd": "compressed: unpack it with unzstd",
    b"PK\x03\x04": "a zip file: unpack it and make a tar file of what is in it",
    b"<": "a web page, perhaps an error message that was saved in its place: fetch it again",
}
_BLOCK = 1 << 20  # bytes read at a time

Place = tuple[int, int] | None  # where a file begins in its shard, and its length; None for links and sparse files
Files = dict[str, list[Place]]  # of one stem: ending → the files of that name, in their order


class WebDatasetSource:
    """The samples of all shards (`*.tar`) in a folder and its subfolders, in the order of shard names.

    Args:
        folder: holds the shards.

    Attributes:
        found: pictures by shard, samples without one included, as counted from the headers alone.
        notes: what the user should know of the whole, none here.

    Raises:
        EaselError: no such folder, no shard in it, or one that is no tar file, not whole, or without a single picture.
    """

    notes: tuple[str, ...] = ()

    def __init__(self, folder: Path):
        entries = entries_below(folder)
        packed = [path for path in entries if path.name.lower().endswith(COMPRESSED)]
        if packed:
            raise EaselError(f"Compressed shards are not read: unpack {_listing(packed)} (gunzip), or move them away.")
        folders = sorted({path for path in folder.rglob("*.tar") if path.is_dir()})
        if folders:
            raise EaselError(f"Folders, not shards: {_listing(folders)}. Rename them, or make tar files of them.")
        shards = [path for path in entries if path.name.lower().endswith(".tar")]
        if not shards:
            raise EaselError(
                f"No shard (*.tar) in {printable(folder)}. Set data.path in params.yaml to the folder of the shards; "
                "pictures and texts that lie there as single files must be packed into one."
            )
        self.shards = {printable(path.relative_to(folder).as_posix()): path for path in shards}
        self.found = {name: scan(path).found for name, path in self.shards.items()}

    def __iter__(self) -> Iterator[Sample]:
        for name, path in self.shards.items():
            yield from read_shard(path, name)


def _listing(paths: list[Path]) -> str:
    return ", ".join(map(printable, paths[:3])) + (f" and {len(paths) - 3} more" if len(paths) > 3 else "")


@dataclass
class Scan:
    """What the headers of a shard say.

    Attributes:
        pictures: files with a picture's ending.
        files: stem → its files.
    """

    pictures: int = 0
    files: dict[str, Files] = field(default_factory=dict)

    @property
    def samples(self) -> dict[str, Files]:
        """Stem → files of what has a picture or a text."""
        return {stem: files for stem, files in self.files.items() if _pictures_of(files) or files.keys() & set(TEXTS)}

    @property
    def found(self) -> int:
        """Pictures, and samples that should have one: those with a text but no picture."""
        return self.pictures + sum(not _pictures_of(files) for files in self.samples.values())


def scan(shard: Path) -> Scan:
    """Read a shard's headers only.

    Raises:
        EaselError: it is not a plain file or cannot be read, is something else than a tar file, holds no picture or
            further shards, is cut off or damaged, or something stands behind its end.
    """
    if not shard.is_file():
        raise EaselError(f"{printable(shard)} is not a plain file (a pipe, or a broken link?). Move it away.")
    result = Scan()
    try:
        with shard.open("rb") as stream:
            start = stream.read(tarfile.BLOCKSIZE)
            stream.seek(0)
            try:
                with tarfile.open(fileobj=stream, mode="r:") as tar:
                    while (member := tar.next()) is not None:
                        tar.members = []  # tarfile keeps every header otherwise
                        _enter(result, member, shard)
                    end = tar.offset
            except (tarfile.TarError, ValueError, OverflowError, RecursionError):  # damaged numbers raise the others
                end = 0 if not result.files else None
            if not result.pictures and end in (0, None):
                _refuse_what_is_no_tar(shard, start)
            if not result.pictures:
                raise EaselError(
                    f"Empty shard {printable(shard)}: no picture ({', '.join(PICTURES)}) can be read there. "
                    "Remove the shard or fetch it again."
                )
            if end is None or not _only_zeros(stream, end):
                raise EaselError(
                    f"{printable(shard)} is not whole: behind {result.pictures} readable pictures it is cut off or "
                    "damaged, or another tar file was joined to it, and what stands there is lost. Fetch or pack it "
                    "again (`tar --concatenate` joins shards, cat does not), or remove it."
                )
    except OSError as error:
        raise unreadable(shard, error) from error
    return result


def _enter(result: Scan, member: tarfile.TarInfo, shard: Path) -> None:
    """Notes one member of a shard."""
    path = PurePosixPath(member.name)
    if member.isdir() or path.name.startswith("._"):
        return
    if path.name.lower().endswith((".tar", *COMPRESSED)):
        raise EaselError(
            f"{printable(shard)} holds further shards ({printable(member.name)}). Unpack it: shards lie in folders."
        )
    stem, _, ending = path.name.partition(".")
    ending = ending.lower()
    result.pictures += _is_picture(ending)
    place = (member.offset_data, member.size) if member.isreg() and not member.issparse() else None
    result.files.setdefault((path.parent / stem).as_posix(), {}).setdefault(ending, []).append(place)


def _is_picture(ending: str) -> bool:
    """Whether "png", or "seg.png" of a second picture, is the ending of one."""
    return ending.rpartition(".")[2] in PICTURES


def _pictures_of(files: Files) -> Files:
    return {ending: places for ending, places in files.items() if _is_picture(ending)}


def _refuse_what_is_no_tar(shard: Path, start: bytes) -> None:
    """Says what a file is that should be a tar file, where its first bytes tell."""
    for first, what in IMPOSTORS.items():
        if start.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(first):
            raise EaselError(f"{printable(shard)} is no tar file but {what}.")


def _only_zeros(stream: BinaryIO, start: int) -> bool:
    """Whether a stream from `start` holds the zero block that ends every tar file, and nothing but zeros."""
    stream.seek(start)
    length = 0
    while block := stream.read(_BLOCK):
        if block.count(0) != len(block):
            return False
        length += len(block)
    return length >= tarfile.BLOCKSIZE


def read_shard(shard: Path, name: str) -> Iterator[Sample]:
    """The samples of one shard, good and bad: together they stand for every picture that `scan` finds."""
    samples = scan(shard).samples
    try:
        with shard.open("rb") as stream:
            for stem, files in samples.items():
                yield from _samples_of(f"{name}/{printable(stem)}", name, files, stream)
    except OSError as error:
        raise unreadable(shard, error) from error


def _samples_of(name: str, part: str, files: Files, stream: BinaryIO) -> Iterator[Sample]:
    """The sample of one stem, or what stands for its pictures where they make none."""
    pictures = _pictures_of(files)
    plain = [ending for ending in pictures if "." not in ending]
    if pictures and not plain:
        for ending, places in pictures.items():
            yield Sample(f"{name}.{printable(ending)}", problem=DOTTED_NAME, number=len(places), part=part)
        return
    number = sum(map(len, pictures.values())) or 1
    wanted = {ending: files[ending] for ending in (*plain, *TEXTS) if ending in files}
    if len(pictures) > 1:
        yield Sample(name, problem=SEVERAL_PICTURES, number=number, part=part)
    elif any(len(places) > 1 for places in wanted.values()):  # which text belongs to which picture?
        yield Sample(name, problem=NAME_TWICE, number=number, part=part)
    elif any(places == [None] for places in wanted.values()):
        yield Sample(name, problem=NO_PLAIN_FILE, part=part)
    else:
        content = {}
        for ending, ((start, length),) in wanted.items():
            stream.seek(start)
            content[ending] = stream.read(length)
        yield _sample(name, part, content[plain[0]] if plain else None, content)


def _sample(name: str, part: str, picture: bytes | None, files: dict[str, bytes]) -> Sample:
    captions = CaptionSet()
    try:
        record = json.loads(files.get("json", b"{}"))
        captions.add_record(record if isinstance(record, dict) else {})
        captions.add(DEFAULT_LANGUAGE, files.get("txt", b"").decode("utf-8"))
    except (ValueError, RecursionError):  # not JSON, nested too deep, or not UTF-8
        return Sample(name, problem=UNREADABLE_CAPTION, part=part)
    if picture is None:
        return Sample(name, problem=MISSING_PICTURE, part=part)
    found = captions.by_language
    return Sample(name, picture, found, None if found else MISSING_CAPTION, part=part, marked=captions.marked)
