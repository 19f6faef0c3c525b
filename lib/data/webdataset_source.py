"""WebDataset shards: tar files in which files of one stem make a sample.

`NNN.png` (or .jpg, .jpeg, .webp) is the picture; captions stand in `NNN.txt` (English) or in `NNN.json` under
`caption` (English), `caption_zh` and other `caption_<language>`: the layout the usual image–text downloaders write.

The webdataset library groups files to samples. It takes a shard that is cut between two files, or that has a damaged
header in its middle, for one that ends there; so a pass over the headers with `tarfile` comes first. It finds every
kind of cut, and empty shards, before any picture is decoded.
"""

from __future__ import annotations

import json
import statistics
import tarfile
from collections.abc import Iterator
from pathlib import Path

from lib.data.sample import (
    DEFAULT_LANGUAGE,
    MISSING_CAPTION,
    MISSING_PICTURE,
    TRUNCATED_SHARD,
    UNREADABLE_CAPTION,
    Sample,
    add_captions,
    captions_in,
)
from lib.errors import EaselError

PICTURES = ("png", "jpg", "jpeg", "webp")


class WebDatasetSource:
    """The samples of all shards (`*.tar`) in a folder, in the order of shard names.

    Args:
        folder: holds the shards.

    Raises:
        EaselError: no such folder, no shard in it, or a shard without a single picture.
    """

    def __init__(self, folder: Path):
        if not folder.is_dir():
            raise EaselError(f"No folder of WebDataset shards at {folder}. Set data.path in params.yaml.")
        self.shards = sorted(folder.glob("*.tar"))
        if not self.shards:
            raise EaselError(f"No shard (*.tar) in {folder}. Set data.path in params.yaml to the folder of the shards.")
        scans = {shard: scan(shard) for shard in self.shards}
        empty = [shard.name for shard in self.shards if not scans[shard][0]]
        if empty:
            raise EaselError(
                f"Empty shard in {folder}: {', '.join(empty)}: no picture ({', '.join(PICTURES)}) can be read there. "
                "Remove the shard or fetch it again."
            )
        whole = [pictures for pictures, is_whole in scans.values() if is_whole]
        # Shards of a set are mostly of one length, so the whole ones tell about how much a truncated one has lost.
        usual = statistics.median_low(whole) if whole else 0
        self._expected = {shard: max(n, usual) for shard, (n, is_whole) in scans.items() if not is_whole}
        self.total = sum(whole) + sum(self._expected.values())

    def __iter__(self) -> Iterator[Sample]:
        for shard in self.shards:
            samples = read_shard(shard)
            if shard in self._expected:
                samples = _mark_cut(samples, shard, self._expected[shard])
            yield from samples


def scan(shard: Path) -> tuple[int, bool]:
    """Read a shard's headers only.

    Returns:
        Number of pictures, and whether the shard is whole: it ends on the zero block that ends every tar file.
    """
    pictures = 0
    with shard.open("rb") as stream:
        try:
            with tarfile.open(fileobj=stream, mode="r:") as tar:
                while (member := tar.next()) is not None:
                    pictures += member.isreg() and member.name.lower().endswith(tuple(f".{e}" for e in PICTURES))
                    tar.members = []  # tarfile keeps every header otherwise
                stream.seek(tar.offset)
                return pictures, stream.read(tarfile.BLOCKSIZE) == bytes(tarfile.BLOCKSIZE)
        except tarfile.ReadError:
            return pictures, False


def read_shard(shard: Path) -> Iterator[Sample]:
    """The samples of one shard, up to its end or to where it is cut."""
    from webdataset.tariterators import group_by_keys, tar_file_expander  # slow import

    def go_on(_: Exception) -> bool:
        return True  # at a cut the rest is lost, the samples before it are not; `scan` has found the cut

    with shard.open("rb") as stream:
        files = tar_file_expander([{"url": shard.name, "stream": stream}], handler=go_on)
        for files_of_sample in group_by_keys(files, handler=go_on):
            yield _sample(f"{shard.name}/{files_of_sample['__key__']}", files_of_sample)


def _sample(name: str, files: dict[str, bytes]) -> Sample:
    picture = next((files[ending] for ending in PICTURES if ending in files), None)
    try:
        record = json.loads(files.get("json", b"{}"))
        captions = captions_in(record if isinstance(record, dict) else {})
        add_captions(captions, DEFAULT_LANGUAGE, files.get("txt", b"").decode("utf-8"))
    except ValueError:  # not JSON, or not UTF-8
        return Sample(name, picture or b"", problem=UNREADABLE_CAPTION)
    if picture is None:
        return Sample(name, captions=captions, problem=MISSING_PICTURE)
    return Sample(name, picture, captions, None if captions else MISSING_CAPTION)


def _mark_cut(samples: Iterator[Sample], shard: Path, expected: int) -> Iterator[Sample]:
    """Ends a truncated shard on one sample that stands for all that are lost: of `expected`, at least one.

    A sample that the cut has left incomplete is among them.
    """
    before, last = 0, None
    for sample in samples:
        if last is not None:
            before += 1
            yield last
        last = sample
    if last is not None and last.problem is None:
        before += 1
        yield last
        name = f"behind {last.name}"
    else:
        name = last.name if last is not None else shard.name
    yield Sample(name, problem=TRUNCATED_SHARD, number=max(1, expected - before))
