"""Other people's pictures and captions → the data folder that everything downstream reads."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lib.data import picture, store
from lib.data.coco_source import CocoSource
from lib.data.files import printable
from lib.data.manifest import write_manifest
from lib.data.sample import REMEDIES, Sample
from lib.data.webdataset_source import WebDatasetSource
from lib.errors import EaselError

if TYPE_CHECKING:
    from lib.config import DataParams

SOURCES = {"webdataset": WebDatasetSource, "coco": CocoSource}
SPLITS = ("train", "val", "test")
REPORT = "report.json"
_NAMED = 5  # bad samples named for each reason

Captions = dict[str, list[str]]


def ingest(folder_out: Path, data: DataParams) -> dict[str, Any]:
    """Fill `folder_out` from the source that the parameters name; what an earlier run left there is replaced.

    Every readable picture with a caption is cropped, resized and put into a split by the hash of its file, so that
    the splits do not depend on order and identical files never stand on two sides. Bad samples are skipped and
    counted; the counts are printed and written to report.json. Of every shard or captions file, all pictures that were
    found at first must have been kept or skipped in the end.

    Args:
        folder_out: the data folder to write.
        data: source, path, image_sizes, val_share, test_share, max_bad_share.

    Returns:
        The report: numbers of samples read and kept, bad ones by reason with the first names, and so on.

    Raises:
        EaselError: the source is missing, empty or not whole (before anything is written), more than max_bad_share of
            its samples are bad (as soon as that is certain), it changed meanwhile, or a split comes out empty.
    """
    if data.source not in SOURCES:
        raise EaselError(f"Unknown data.source '{data.source}'; known: {', '.join(SOURCES)}.")
    source = SOURCES[data.source](Path(data.path))
    store.clear(folder_out)
    count = Count(data.source, printable(data.path), source.found, data.max_bad_share)
    captions = _write_pictures(folder_out, source, data, count)
    count.balance()

    entries = [entry for name in SPLITS for entry in captions[name]]
    empty = [name for name in SPLITS if not captions[name]]
    if empty:
        raise EaselError(
            f"No picture for {' and '.join(empty)}: {len(entries)} good samples are too few for data.val_share = "
            f"{data.val_share} and data.test_share = {data.test_share}. Raise the shares or add pictures."
        )
    languages = common_languages(entries)
    borrowed: Counter[str] = Counter()
    for name in SPLITS:
        filled = [in_all_languages(entry, languages) for entry in captions[name]]
        borrowed.update(language for entry in captions[name] for language in languages if language not in entry)
        store.write_texts(folder_out, name, filled)
        if name == "test":
            store.write_prompts(folder_out, caption_prompts(filled))
    report = count.report() | {"languages": languages, "captions_borrowed": {la: borrowed[la] for la in languages}}
    store.write_json(Path(folder_out) / REPORT, report)
    store.write_meta(folder_out, data.source, languages, has_truth=False)
    write_manifest(folder_out)
    lengths = ", ".join(f"{name} {len(captions[name])}" for name in SPLITS)
    print(f"{count.kept} of {count.read} samples kept ({lengths}); languages: {', '.join(languages)}", flush=True)
    if count.bad:
        print(f"skipped {count.bad.total()}: {count.bad_listing()}", flush=True)
    for note in (*count.notes(), *source.notes):
        print(f"note: {note}", flush=True)
    return report


class Count:
    """What was found, kept and skipped; says when too much is bad, and when the books do not balance.

    Args:
        source, path: of the data, for messages.
        found: pictures by part, a shard or a captions file.
        max_bad_share: more bad samples than this share of all are an error.
    """

    def __init__(self, source: str, path: str, found: Mapping[str, int], max_bad_share: float):
        self.source, self.path, self.found, self.max_bad_share = source, path, found, max_bad_share
        self.total = sum(found.values())
        self.kept = self.identical = self.marked = 0
        self.bad: Counter[str] = Counter()
        self._read: Counter[str] = Counter()
        self._names: dict[str, list[str]] = {}
        self._digests: set[bytes] = set()

    @property
    def read(self) -> int:
        return self._read.total()

    def good(self, sample: Sample, digest: bytes) -> None:
        """One more good sample, whose picture file has this hash."""
        self._read[sample.part] += 1
        self.kept += 1
        self.marked += sample.marked
        self.identical += digest in self._digests
        self._digests.add(digest)

    def skip(self, sample: Sample, reason: str) -> None:
        """One more bad sample. Raises EaselError when the bad share of the whole is certain to exceed the limit."""
        self._read[sample.part] += sample.number
        self.bad[reason] += sample.number
        names = self._names.setdefault(reason, [])
        if len(names) <= _NAMED:
            names.append(sample.name)
        if self.bad.total() > self.max_bad_share * self.total:
            raise EaselError(
                f"Too many bad samples in {self.path}: {self.bad.total()} among the first {self.read} of {self.total}, "
                f"more than data.max_bad_share = {self.max_bad_share} allows for the whole: {self.bad_listing()}. "
                f"Repair the data{self._remedies()}, or raise data.max_bad_share."
            )

    def balance(self) -> None:
        """Raises EaselError unless all pictures found were kept or skipped, of each part and so in all."""
        parts = [part for part in sorted(self.found | self._read) if self.found.get(part, 0) != self._read[part]]
        if parts or self.kept + self.bad.total() != self.total:
            raise EaselError(
                f"{self.path} changed while it was read: of {self.total} pictures found, {self.kept} were kept and "
                f"{self.bad.total()} skipped; the first part that differs: {parts[0] if parts else 'none'}. Run again."
            )

    def bad_listing(self) -> str:
        """Counts by reason with the first names, e.g. "2 missing caption (a.tar/0003, a.tar/0007)"."""
        parts = []
        for reason, number in sorted(self.bad.items()):
            names = self._names[reason]
            parts.append(f"{number} {reason} ({', '.join(names[:_NAMED])}{', …' if len(names) > _NAMED else ''})")
        return "; ".join(parts)

    def _remedies(self) -> str:
        known = [REMEDIES[reason] for reason in sorted(self.bad) if reason in REMEDIES]
        return f" ({'; '.join(known)})" if known else ""

    def notes(self) -> list[str]:
        """What was changed, or is odd, in the data that were kept."""
        found = []
        if self.marked:
            found.append(f"{self.marked} captions held byte-order marks, control or invisible characters; taken out")
        if self.identical:
            found.append(f"{self.identical} pictures are copies of others, byte for byte; kept, in the same split")
        return found

    def report(self) -> dict[str, Any]:
        return {
            "source": self.source,
            "read": self.read,
            "kept": self.kept,
            "bad": dict(self.bad),
            "bad_share": self.bad.total() / self.read,
            "bad_names": {reason: names[:_NAMED] for reason, names in self._names.items()},
            "identical_pictures": self.identical,  # kept: their captions may differ
            "captions_with_marks": self.marked,
        }


def _write_pictures(
    folder: Path, source: Iterable[Sample], data: DataParams, count: Count
) -> dict[str, list[Captions]]:
    """Decode, resize and write every good picture; returns the captions of each split in the pictures' order."""
    from lib.progress import Progress

    progress = Progress("ingest", count.total)
    captions: dict[str, list[Captions]] = {name: [] for name in SPLITS}
    with ExitStack() as stack:
        writers = {
            (name, size): stack.enter_context(
                closing(store.PictureWriter(Path(folder) / name / f"images_{size}.npy", size))
            )
            for name in SPLITS
            for size in data.image_sizes
        }
        for sample in source:
            if sample.problem is not None:
                count.skip(sample, sample.problem)
                continue
            try:
                image = picture.decode(sample.picture)
            except ValueError as error:
                count.skip(sample, str(error))
                continue
            digest = hashlib.sha256(sample.picture).digest()
            name = split_of(digest, data.val_share, data.test_share)
            for size in data.image_sizes:
                writers[name, size].append(picture.square(image, size))
            captions[name].append(dict(sample.captions))
            count.good(sample, digest)
            progress.update(count.read, bad=count.bad.total())
    return captions


def split_of(digest: bytes, val_share: float, test_share: float) -> str:
    """The split of a picture, from the SHA-256 of its file read as a number in [0, 1)."""
    position = int.from_bytes(digest[:8], "big") / 2**64
    if position < val_share:
        return "val"
    return "test" if position < val_share + test_share else "train"


def common_languages(entries: Sequence[Captions]) -> list[str]:
    """Languages in which at least half of the samples have a caption, else the most frequent one; sorted."""
    frequency = Counter(language for entry in entries for language in entry)
    common = sorted(language for language, number in frequency.items() if 2 * number >= len(entries))
    return common or [min(frequency, key=lambda language: (-frequency[language], language))]


def in_all_languages(entry: Captions, languages: Sequence[str]) -> Captions:
    """The captions in each of the languages; one that is missing is filled with those of a language that is there."""
    available = [language for language in languages if language in entry] or sorted(entry)
    return {language: entry.get(language, entry[available[0]]) for language in languages}


def caption_prompts(entries: Iterable[Captions]) -> list[dict[str, Any]]:
    """Evaluation prompts: the first caption of every picture, in every language, with nothing to require of it."""
    return [
        {"id": f"caption-{index:05d}", "category": "caption", "require": None}
        | {language: texts[0] for language, texts in entry.items()}
        for index, entry in enumerate(entries)
    ]
