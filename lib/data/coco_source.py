"""A COCO-captions folder: `captions*.json` (a list of images, a list of annotations) and the pictures.

Both may lie in subfolders, as in COCO itself (`annotations/captions_train2017.json`, `train2017/*.jpg`). Several
captions files are read as one set; its own splits are not kept. An annotation's `caption` counts as English;
`caption_zh` and other `caption_<language>` beside it are read too.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from lib.data.sample import MISSING_CAPTION, MISSING_PICTURE, Sample, add_captions, captions_in
from lib.errors import EaselError


class CocoSource:
    """The pictures of a COCO-captions folder, in the order of the captions files.

    Args:
        folder: holds the captions files and the pictures.

    Raises:
        EaselError: no such folder, no captions file in it, one of another form, or one without a single picture.
    """

    def __init__(self, folder: Path):
        if not folder.is_dir():
            raise EaselError(f"No COCO-captions folder at {folder}. Set data.path in params.yaml.")
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        captions_files = [path for path in files if path.match("captions*.json")]
        if not captions_files:
            raise EaselError(f"No captions*.json in {folder} or its subfolders. Set data.path in params.yaml.")
        self._entries = [entry for path in captions_files for entry in read_captions_file(path)]
        if not self._entries:
            raise EaselError(f"{captions_files[0]} lists no image: nothing to read.")
        self._folder = folder
        self._by_name: dict[str, list[str]] = {}
        for path in files:
            self._by_name.setdefault(path.name, []).append(path.relative_to(folder).as_posix())
        if not any(self._find(name) for name, _ in self._entries):
            raise EaselError(
                f"None of the {len(self._entries)} pictures that {captions_files[0]} names (the first: "
                f"{self._entries[0][0]}) lies in {folder}. Put the pictures beside it or in a subfolder."
            )
        self.total = len(self._entries)

    def __iter__(self) -> Iterator[Sample]:
        for name, captions in self._entries:
            path = self._find(name)
            if path is None:
                yield Sample(name, captions=captions, problem=MISSING_PICTURE)
            else:
                yield Sample(name, path.read_bytes(), captions, None if captions else MISSING_CAPTION)

    def _find(self, name: str) -> Path | None:
        """The one file whose path ends in `name`; None when there is none, or when several could be meant."""
        wanted = PurePosixPath(name)
        paths = [path for path in self._by_name.get(wanted.name, []) if f"/{path}".endswith(f"/{wanted}")]
        return self._folder / paths[0] if len(paths) == 1 else None


def read_captions_file(path: Path) -> list[tuple[str, dict[str, list[str]]]]:
    """A COCO captions file as (file name, captions by language) of each image.

    Raises:
        EaselError: not JSON, or not in COCO's form.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        captions: dict[int | str, dict[str, list[str]]] = {image["id"]: {} for image in content["images"]}
        for annotation in content["annotations"]:
            for language, texts in captions_in(annotation).items():
                add_captions(captions.setdefault(annotation["image_id"], {}), language, texts)
        return [(str(image["file_name"]), captions[image["id"]]) for image in content["images"]]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise EaselError(
            f"{path} is not a COCO captions file ({type(error).__name__}: {error}). It must hold 'images' (id, "
            "file_name) and 'annotations' (image_id, caption)."
        ) from error
