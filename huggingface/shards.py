"""WebDataset shards of pictures that are tokens already.

A shard is a tar file in which files of one stem make a sample: `NNN.npy` has the picture's codes, whole numbers of the
shape [length] or [rows, columns], `NNN.txt` its caption, or `NNN.json` has that under `caption`. Codes are numbers
0 … V − 1 as in huggingface/models/, in the order in which the model draws them, without end-of-line tokens.

All samples are looked at once, before anything long. From then on each is read from its place in its shard, whatever
the order: training needs no buffer for its shuffling, and resumes at any update.
"""

import io
import json
import os
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from huggingface.models.layout import Layout
from lib.errors import EaselError, naming

CODES, CAPTIONS = ".npy", (".txt", ".json")
HEADERS = 2**16  # bytes after the last sample that zeros may fill

Place = tuple[int, int]  # of a file in its shard: where it begins, and its length


class Shards:
    """The samples of some shards, by number.

    Args:
        paths: shards, and folders of them (`*.tar`, sorted by name).
        layout: of the pictures.
        codes: V, how many there are.

    Attributes:
        identity: of each shard its name and its length in bytes: what a resumed run compares.

    Raises:
        EaselError: no shard; one that is no whole tar file; a sample without caption or codes, or with codes that are
            not of such a picture.
    """

    def __init__(self, paths: Sequence[Path | str], layout: Layout, codes: int):
        self.layout, self.codes = layout, codes
        shards = [
            shard for path in map(Path, paths) for shard in (sorted(path.glob("*.tar")) if path.is_dir() else [path])
        ]
        if not shards:
            raise EaselError(f"there is no shard (*.tar) in {', '.join(map(str, paths)) or 'an empty list'}.")
        self.samples: list[tuple[Path, Place, Place, str]] = []
        for shard in shards:
            self.samples += self._scan(shard)
        self.identity = [(shard.name, shard.stat().st_size) for shard in shards]

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, number: int) -> tuple[str, np.ndarray]:
        """Caption, and codes int64 [length]."""
        shard, codes, caption, ending = self.samples[number]
        with naming(shard), open(shard, "rb") as file:
            return _caption(_read(file, caption), ending, shard), self._codes(_read(file, codes), shard)

    def _scan(self, shard: Path) -> Iterable[tuple[Path, Place, Place, str]]:
        """The samples of a shard, once all of them have been read."""
        found: dict[str, dict[str, Place]] = {}
        with naming(shard), open(shard, "rb") as file:
            try:
                with tarfile.open(fileobj=file, mode="r:") as tar:
                    for member in tar:
                        stem, ending = _split(member.name)
                        if member.isreg() and ending in (CODES, *CAPTIONS):
                            files = found.setdefault(stem, {})
                            if ending in files:
                                raise EaselError(f"{shard} has {stem}{ending} twice; give every sample its own name.")
                            files[ending] = member.offset_data, member.size
                    end = tar.offset
            except (tarfile.TarError, ValueError, OverflowError):
                raise EaselError(
                    f"{shard} is no whole tar file (compressed ones are not read); fetch it again."
                ) from None
            file.seek(end)
            rest = file.read(HEADERS)
            if len(rest) < tarfile.BLOCKSIZE or rest.strip(b"\0"):
                raise EaselError(f"{shard} is cut off or damaged behind {len(found)} samples; fetch it again.")
            samples = []
            for stem, files in found.items():
                ending = next((ending for ending in CAPTIONS if ending in files), None)
                if CODES not in files or ending is None:
                    lacks = CODES if CODES not in files else " or ".join(CAPTIONS)
                    raise EaselError(
                        f"{shard}: the sample {stem} has no {lacks}; pack codes and caption under one name."
                    )
                where = f"{shard}/{stem}"
                self._codes(_read(file, files[CODES]), where + CODES)
                _caption(_read(file, files[ending]), ending, where + ending)
                samples.append((shard, files[CODES], files[ending], ending))
        return samples

    def _codes(self, content: bytes, where: Path | str) -> np.ndarray:
        with naming(where, "array of numbers (.npy)"):
            array = np.load(io.BytesIO(content), allow_pickle=False)
        shapes = [(self.layout.length,), *(self.layout.grids if len(self.layout.grids) == 1 else ())]
        if array.dtype.kind not in "iu" or array.shape not in shapes:
            wanted = " or ".join(str(list(shape)) for shape in shapes)
            raise EaselError(f"{where} holds {array.dtype} {list(array.shape)}, must be whole numbers {wanted}.")
        if not 0 <= array.min() <= array.max() < self.codes:
            raise EaselError(
                f"{where} has codes {array.min()} … {array.max()}, must be 0 … {self.codes - 1}: codes, not the "
                "model's own tokens of them."
            )
        return array.ravel().astype(np.int64)


def _split(name: str) -> tuple[str, str]:
    """A file's name at the first dot of its last part, as WebDataset has it."""
    path = PurePosixPath(name)
    stem, dot, ending = path.name.partition(".")
    return str(path.with_name(stem)) if stem else name, dot + ending


def _read(file: io.BufferedReader, place: Place) -> bytes:
    file.seek(place[0])
    return file.read(place[1])


def _caption(content: bytes, ending: str, where: Path | str) -> str:
    with naming(where, "caption"):
        text = content.decode("utf-8")
        if ending == ".json":
            text = json.loads(text)["caption"]
        if not isinstance(text, str):
            raise ValueError("it must be text")
    return text.strip()


def write(path: Path, samples: Iterable[tuple[str, np.ndarray]]) -> None:
    """Packs captions and codes into one shard, in one atomic step."""
    part = path.with_name(path.name + ".part")
    with naming(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with tarfile.open(part, "w") as tar:
            for number, (caption, codes) in enumerate(samples):
                array = io.BytesIO()
                np.save(array, codes, allow_pickle=False)
                files: Mapping[str, bytes] = {CODES: array.getvalue(), ".txt": caption.encode("utf-8")}
                for ending, content in files.items():
                    member = tarfile.TarInfo(f"{number:08}{ending}")
                    member.size = len(content)
                    tar.addfile(member, io.BytesIO(content))
        os.replace(part, path)
