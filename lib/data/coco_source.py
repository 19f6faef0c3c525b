"""A COCO-captions folder: `captions*.json` (a list of images, a list of annotations) and the pictures.

Both may lie in subfolders, as in COCO itself (`annotations/captions_train2017.json`, `train2017/*.jpg`), or behind
links. Several captions files are read as one set; its own splits are not kept. An annotation's `caption` counts as
English; `caption_zh` and other `caption_<language>` beside it are read too.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from lib.data.files import entries_below, printable, unreadable
from lib.data.sample import (
    AMBIGUOUS_NAME,
    MISSING_CAPTION,
    MISSING_PICTURE,
    UNREADABLE_PICTURE,
    CaptionSet,
    Sample,
)
from lib.errors import EaselError

_ELSEWHERE = re.compile(r"/|\w+:/")  # how names begin that hold on another machine, and addresses


class CocoSource:
    """The pictures of a COCO-captions folder, in the order of the captions files.

    Args:
        folder: holds the captions files and the pictures.

    Attributes:
        found: pictures listed, by captions file.
        notes: what the user should know of the whole.

    Raises:
        EaselError: no such folder, no captions file in it, one of another form, or one without a single picture.
    """

    def __init__(self, folder: Path):
        paths = entries_below(folder)
        captions_files = [path for path in paths if path.match("captions*.json")]
        if not captions_files:
            raise EaselError(
                f"No captions*.json in {printable(folder)} or its subfolders. Set data.path in params.yaml."
            )
        self._entries = [entry for path in captions_files for entry in read_captions_file(path, folder)]
        if not self._entries:
            raise EaselError(f"{printable(captions_files[0])} lists no image: nothing to read.")
        self._folder = folder
        self._by_name: dict[str, list[PurePosixPath]] = {}
        for path in paths:
            there = PurePosixPath(path.relative_to(folder).as_posix())
            self._by_name.setdefault(_key(there.name), []).append(there)
        if not any(self._find(entry.file_name) for entry in self._entries):
            raise EaselError(
                f"None of the {len(self._entries)} pictures that {printable(captions_files[0])} names (the first: "
                f"{printable(self._entries[0].file_name)}) lies in {printable(folder)}. "
                "Put the pictures beside it or in a subfolder."
            )
        self.found = dict(Counter(entry.part for entry in self._entries))
        again = len(self._entries) - len({entry.file_name for entry in self._entries})
        self.notes = (f"{again} pictures are listed more than once and stand in the data as often",) if again else ()

    def __iter__(self) -> Iterator[Sample]:
        for entry in self._entries:
            name, captions = printable(entry.file_name), entry.captions.by_language
            paths = self._find(entry.file_name)
            picture, problem = b"", None if captions else MISSING_CAPTION
            if len(paths) != 1:
                problem = AMBIGUOUS_NAME if paths else MISSING_PICTURE
            elif not problem:
                try:
                    picture = (self._folder / paths[0]).read_bytes()
                except OSError:
                    problem = UNREADABLE_PICTURE
            yield Sample(name, picture, captions, problem, part=entry.part, marked=entry.captions.marked)

    def _find(self, name: str) -> list[PurePosixPath]:
        """The plain files that a name in a captions file can mean.

        Their paths end in it; of names that hold elsewhere, those whose paths have the longest end in common with it.
        Unicode's forms and, where that leaves one file, capital letters do not matter.
        """
        wanted = PurePosixPath(name.replace("\\", "/"))
        parts = [_key(part) for part in wanted.parts]
        common = {path: _common_end([_key(part) for part in path.parts], parts) for path in self._same_name(wanted)}
        enough = max(common.values(), default=0) if _ELSEWHERE.match(str(wanted)) else len(parts)
        paths = [path for path, length in common.items() if length == enough]
        exact = [path for path in paths if path.name == wanted.name]
        return exact if len(paths) > 1 and exact else paths

    def _same_name(self, wanted: PurePosixPath) -> list[PurePosixPath]:
        return [path for path in self._by_name.get(_key(wanted.name), []) if (self._folder / path).is_file()]


def _key(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _common_end(one: list[str], other: list[str]) -> int:
    """How many of the last parts of two paths are the same."""
    same = 0
    for left, right in zip(reversed(one), reversed(other), strict=False):
        if left != right:
            break
        same += 1
    return same


@dataclass(frozen=True)
class Entry:
    """One image of a captions file."""

    part: str  # the captions file
    file_name: str
    captions: CaptionSet


def read_captions_file(path: Path, folder: Path) -> list[Entry]:
    """The images of a COCO captions file somewhere in `folder`, with their captions.

    Raises:
        EaselError: not readable, not JSON, or not in COCO's form.
    """
    part = printable(path.relative_to(folder).as_posix())
    try:
        content = json.loads(path.read_bytes())  # of bytes, JSON finds out the encoding and passes over its mark
        captions = {str(image["id"]): CaptionSet() for image in content["images"]}
        for annotation in content["annotations"]:
            captions.setdefault(str(annotation["image_id"]), CaptionSet()).add_record(annotation)
        return [Entry(part, str(image["file_name"]), captions[str(image["id"])]) for image in content["images"]]
    except OSError as error:
        raise unreadable(path, error) from error
    except RecursionError as error:
        raise EaselError(f"{printable(path)} is not a COCO captions file: it is nested too deep.") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise EaselError(
            f"{printable(path)} is not a COCO captions file ({type(error).__name__}: {_short(error)}). It must hold "
            "'images' (id, file_name) and 'annotations' (image_id, caption). If it is something else, move it away."
        ) from error


def _short(error: Exception) -> str:
    text = printable(error)
    return text if len(text) < 120 else f"{text[:117]}…"
