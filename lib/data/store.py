"""The data folder: what the sources write and every other stage reads.

    meta.json                source, languages, image sizes, length of each split, whether true scenes are known
    prompts.jsonl            evaluation prompts, one JSON object a line
    <split>/images_64.npy    uint8 [N, 64, 64, 3], RGB
    <split>/images_128.npy   uint8 [M, 128, 128, 3], the first M ≤ N pictures of the split
    <split>/captions.jsonl   N lines {"en": [...], "zh": [...]}
    <split>/scenes.jsonl     N lines, only where the content of each picture is known

Same input, same bytes: JSON with sorted keys and "\\n" line ends on every platform, arrays as plain `np.save` files.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from lib.errors import EaselError
from lib.ownership import MANIFEST

META, PROMPTS, CAPTIONS, SCENES = "meta.json", "prompts.jsonl", "captions.jsonl", "scenes.jsonl"
REBUILD = "Draw the data again: `dvc repro make_data`, or `make repro` for everything."


def to_float(images: np.ndarray) -> np.ndarray:
    """Pictures as networks take them: uint8 [B, S, S, 3] in 0..255 → float32 [B, 3, S, S] in [0, 1].

    Raises:
        EaselError: the array is not uint8 [B, S, S, 3].
    """
    _check_images(images, "to_float")
    return np.ascontiguousarray(np.moveaxis(images, 3, 1)).astype(np.float32) / np.float32(255)  # → [B, 3, S, S]


# ------------------------------------------------------------------------------------------------- reading


@dataclass(frozen=True)
class Split:
    """One split of a data folder, opened for reading. Pictures stay on disk until they are indexed."""

    folder: Path  # the split's own folder, e.g. data/train
    name: str
    captions: list[dict[str, list[str]]]  # N entries, language → one or more captions
    lengths: dict[int, int]  # picture size → number of pictures

    @classmethod
    def open(cls, folder: Path | str, name: str) -> Split:
        """Open split `name` of the data folder `folder`.

        Raises:
            EaselError: the folder, the split or one of its files is missing, or their lengths disagree.
        """
        folder = Path(folder)
        if not folder.is_dir():
            raise EaselError(f"No data folder at {folder}. {REBUILD}")
        path = folder / name
        if not path.is_dir():
            there = ", ".join(split_names(folder)) or "none"
            raise EaselError(f"No split '{name}' in {folder} (splits there: {there}). {REBUILD}")
        captions = read_lines(path / CAPTIONS)
        lengths = {size: len(_open_images(file, size)) for size, file in _image_files(path).items()}
        if not lengths:
            raise EaselError(f"No pictures (images_<size>.npy) in {path}. {REBUILD}")
        smallest = min(lengths)
        if lengths[smallest] != len(captions):
            raise EaselError(
                f"{path}: {lengths[smallest]} pictures in images_{smallest}.npy "
                f"but {len(captions)} lines in {CAPTIONS}. {REBUILD}"
            )
        for size, length in lengths.items():
            if length > len(captions):
                raise EaselError(
                    f"{path}: images_{size}.npy has {length} pictures, more than the split's {len(captions)}. {REBUILD}"
                )
        return cls(path, name, captions, lengths)

    def __len__(self) -> int:
        return len(self.captions)

    def images(self, size: int) -> np.memmap:
        """Pictures of side `size`, read from disk as they are indexed: uint8 [N, size, size, 3], RGB.

        The smallest size covers the whole split, a larger one its first M ≤ N pictures.

        Raises:
            EaselError: the split has no pictures of that size.
        """
        if size not in self.lengths:
            there = ", ".join(map(str, sorted(self.lengths)))
            raise EaselError(
                f"No {size}×{size} pictures in {self.folder} (sizes there: {there}). "
                f"Add {size} to data.image_sizes in params.yaml. {REBUILD}"
            )
        return _open_images(self.folder / f"images_{size}.npy", size)

    @cached_property
    def scenes(self) -> list[dict[str, Any]] | None:
        """What each picture shows, N entries; None where that is not known (real pictures).

        Raises:
            EaselError: scenes.jsonl has a different number of lines than the split.
        """
        path = self.folder / SCENES
        if not path.is_file():
            return None
        scenes = read_lines(path)
        if len(scenes) != len(self):
            raise EaselError(f"{path} has {len(scenes)} lines, the split {len(self)} pictures. {REBUILD}")
        return scenes


def read_meta(folder: Path | str) -> dict[str, Any]:
    """The folder's meta.json.

    Raises:
        EaselError: no data folder, or one without (or with an unreadable) meta.json.
    """
    path = Path(folder) / META
    if not path.parent.is_dir():
        raise EaselError(f"No data folder at {folder}. {REBUILD}")
    if not path.is_file():
        raise EaselError(f"{folder} holds no {META}: the data were not written to the end. {REBUILD}")
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise EaselError(f"{path} is not JSON ({error}). {REBUILD}") from error


def read_prompts(folder: Path | str) -> list[dict[str, Any]]:
    """The folder's evaluation prompts. Raises EaselError when they are missing or unreadable."""
    return read_lines(Path(folder) / PROMPTS)


def read_lines(path: Path) -> list[dict[str, Any]]:
    """A JSON-lines file. Raises EaselError when it is missing or a line is not JSON (the message names the line)."""
    if not path.is_file():
        raise EaselError(f"No {path.name} in {path.parent}. {REBUILD}")
    entries = []
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            try:
                entries.append(json.loads(line))
            except ValueError as error:
                raise EaselError(f"{path}, line {number}, is not JSON ({error}). {REBUILD}") from error
    return entries


def split_names(folder: Path | str) -> list[str]:
    """Names of the splits in a data folder, in alphabetical order."""
    return sorted(path.parent.name for path in Path(folder).glob(f"*/{CAPTIONS}"))


# ------------------------------------------------------------------------------------------------- writing


def write_split(
    folder: Path | str,
    name: str,
    images: Mapping[int, np.ndarray],
    captions: Sequence[Mapping[str, Sequence[str]]],
    scenes: Sequence[Mapping[str, Any]] | None = None,
) -> None:
    """Write one split: pictures by size (uint8 [N, S, S, 3]), captions and, where known, scenes.

    Raises:
        EaselError: nothing to write, wrong dtype or shape, or lengths that disagree (the smallest size must cover
            the whole split).
    """
    if not images or not captions:
        raise EaselError(f"Split '{name}' has no pictures or no captions: make the data set larger, or its share.")
    for size, array in images.items():
        _check_images(array, f"split '{name}', size {size}", size)
        if len(array) > len(captions):
            raise EaselError(f"Split '{name}': {len(array)} pictures of size {size} but {len(captions)} captions.")
    if len(images[min(images)]) != len(captions):
        raise EaselError(f"Split '{name}': {len(images[min(images)])} pictures but {len(captions)} captions.")
    path = Path(folder) / name
    path.mkdir(parents=True, exist_ok=True)
    for size, array in images.items():
        np.save(path / f"images_{size}.npy", np.ascontiguousarray(array))
    write_texts(folder, name, captions, scenes)


def write_texts(
    folder: Path | str,
    name: str,
    captions: Sequence[Mapping[str, Sequence[str]]],
    scenes: Sequence[Mapping[str, Any]] | None = None,
) -> None:
    """The text side of a split whose pictures a `PictureWriter` has written.

    Raises:
        EaselError: numbers of captions and scenes disagree, or a picture has no caption.
    """
    if scenes is not None and len(scenes) != len(captions):
        raise EaselError(f"Split '{name}': {len(scenes)} scenes but {len(captions)} captions.")
    for index, entry in enumerate(captions):
        if not entry or not all(entry.values()):
            raise EaselError(f"Split '{name}', picture {index}: a language without a caption: {dict(entry)}.")
    write_lines(Path(folder) / name / CAPTIONS, captions)
    if scenes is not None:
        write_lines(Path(folder) / name / SCENES, scenes)


def write_prompts(folder: Path | str, prompts: Iterable[Mapping[str, Any]]) -> None:
    """Write the evaluation prompts. Raises EaselError when two have the same id."""
    prompts = list(prompts)
    seen: set[str] = set()
    for prompt in prompts:
        if prompt["id"] in seen:
            raise EaselError(f"Two prompts have the id '{prompt['id']}'.")
        seen.add(prompt["id"])
    write_lines(Path(folder) / PROMPTS, prompts)


def write_meta(folder: Path | str, source: str, languages: Sequence[str], has_truth: bool) -> None:
    """Write meta.json last: sizes and lengths are read from the splits that are there.

    Raises:
        EaselError: no split in the folder, or a split that does not open.
    """
    splits = {name: Split.open(folder, name) for name in split_names(folder)}
    if not splits:
        raise EaselError(f"No split in {folder}: nothing to describe in {META}.")
    meta = {
        "source": source,
        "languages": list(languages),
        "image_sizes": sorted({size for split in splits.values() for size in split.lengths}),
        "splits": {name: len(split) for name, split in splits.items()},
        "has_truth": has_truth,
    }
    write_json(Path(folder) / META, meta)


def clear(folder: Path | str) -> None:
    """Make `folder` ready for a new data set: create it, and remove what an earlier one left there (nothing else)."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    written = [folder / name for name in (META, PROMPTS, MANIFEST, "report.json")]
    for split in [path for path in folder.iterdir() if path.is_dir()]:
        written += [*_image_files(split).values(), split / CAPTIONS, split / SCENES]
    for path in filter(Path.exists, written):
        path.unlink()
        if path.parent != folder and not any(path.parent.iterdir()):
            path.parent.rmdir()


class PictureWriter:
    """Appends pictures to an `images_<size>.npy` file one by one, so that a data set need not fit in memory.

    The finished file has the bytes `np.save` would have written: NumPy pads its header so that the length of the
    first axis can grow in place.
    """

    def __init__(self, path: Path, size: int):
        path.parent.mkdir(parents=True, exist_ok=True)
        self.size, self.length = size, 0
        self._file = path.open("wb")
        self._write_header()

    def append(self, image: np.ndarray) -> None:
        """Add one picture, uint8 [S, S, 3]."""
        _check_images(image[None], "PictureWriter", self.size)
        self._file.write(np.ascontiguousarray(image).tobytes())
        self.length += 1

    def close(self) -> None:
        """Enter the final length in the header and close the file."""
        self._file.seek(0)
        self._write_header()
        self._file.close()

    def _write_header(self) -> None:
        shape = (self.length, self.size, self.size, 3)
        header = {"descr": "|u1", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(self._file, header)


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """One JSON object, indented, with sorted keys and a final line end."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, indent=2)
    path.write_text(text + "\n", encoding="utf-8", newline="\n")


def write_lines(path: Path, entries: Iterable[Mapping[str, Any]]) -> None:
    """JSON lines: one object a line, sorted keys."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for entry in entries:
            file.write(json.dumps(entry, sort_keys=True, ensure_ascii=False) + "\n")


# ------------------------------------------------------------------------------------------------- checks


def _image_files(path: Path) -> dict[int, Path]:
    found = {}
    for file in path.glob("images_*.npy"):
        size = file.stem.removeprefix("images_")
        if size.isdigit():
            found[int(size)] = file
    return dict(sorted(found.items()))


def _open_images(path: Path, size: int) -> np.memmap:
    try:
        array = np.load(path, mmap_mode="r")
    except (OSError, ValueError) as error:
        raise EaselError(f"{path} cannot be read ({error}). {REBUILD}") from error
    try:
        _check_images(array, str(path), size)
    except EaselError as error:
        raise EaselError(f"{error} {REBUILD}") from None
    return array


def _check_images(images: np.ndarray, where: str, size: int | None = None) -> None:
    side = images.shape[1] if size is None and images.ndim == 4 else size
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != (side, side, 3):
        expected = "S" if size is None else size
        raise EaselError(
            f"{where}: expected uint8 pictures [N, {expected}, {expected}, 3], got {images.dtype} {list(images.shape)}."
        )
