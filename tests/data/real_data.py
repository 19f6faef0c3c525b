"""Small shards and COCO folders that the tests of lib/data write themselves."""

import io
import json
import tarfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image


@dataclass
class Settings:
    """Stands for the configuration's data section."""

    source: str
    path: str
    image_sizes: tuple[int, ...] = (16,)
    val_share: float = 0.2
    test_share: float = 0.2
    max_bad_share: float = 0.4


def png(seed: int, size: int = 24) -> bytes:
    """A PNG file of noise, different for every seed."""
    pixels = np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def sample(index: int, **replaced: bytes | None) -> dict[str, bytes]:
    """The files of one sample, endings → bytes; `replaced` changes them or, with None, leaves them out."""
    record = {"caption": f"picture {index}", "caption_zh": f"图{index}"}
    files = {"png": png(index), "txt": f"picture {index}\n".encode(), "json": json.dumps(record).encode()}
    return {ending: data for ending, data in (files | replaced).items() if data is not None}


def write_shard(path: Path, samples: list[dict[str, bytes]], first: int = 0) -> None:
    files = [(f"{index:04d}", files) for index, files in enumerate(samples, start=first)]
    write_tar(path, [(f"{stem}.{ending}", data) for stem, files in files for ending, data in files.items()])


def write_tar(path: Path, files: list[tuple[str, bytes | str]]) -> None:
    """A tar file of (name, content) in that order; content that is text is the target of a symbolic link."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, data in files:
            info = tarfile.TarInfo(name)
            if isinstance(data, str):
                info.type, info.linkname = tarfile.SYMTYPE, data
                tar.addfile(info)
            else:
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))


def write_coco(folder: Path, number: int, missing: tuple[int, ...] = (), silent: tuple[int, ...] = ()) -> None:
    """`number` pictures with two captions each; those in `missing` have no file, those in `silent` no caption."""
    (folder / "annotations").mkdir(parents=True)
    (folder / "train").mkdir()
    images, annotations = [], []
    for index in range(number):
        images.append({"id": 100 + index, "file_name": f"{index:012d}.png"})
        if index not in missing:
            (folder / "train" / f"{index:012d}.png").write_bytes(png(index))
        if index not in silent:
            annotations += [{"image_id": 100 + index, "caption": f"{word} {index} "} for word in ("picture", "noise")]
    content = {"images": images, "annotations": annotations}
    (folder / "annotations" / "captions_train.json").write_text(json.dumps(content))
