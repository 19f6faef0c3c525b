"""Stage check_data: is this the data set that the pinned numbers were made from, and enough? → build/data_check.json

DVC takes whatever a stage has written as the new truth, in silence; this stage is what refuses. It also refuses data
of one's own that are too few for a later stage, before anything is trained.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from lib import config, config_tree
from lib.data import manifest
from lib.data.encoded import chosen_languages
from lib.data.needs import Languages, Need
from lib.data.store import Split, read_meta
from lib.errors import EaselError
from lib.imports import imports, module_path

DATA = Path("data")
PINNED = Path("results/reference/data.json")
NEEDS = Path("build/needs.json")
OUT = Path("build/data_check.json")
_SHOWN = 5  # needs named in a message


def run(params: config.Params) -> None:
    """Checks data/ against its own manifest, against the pinned one if it is that data set, for the languages that
    trainings ask for, and for the numbers of pictures that later stages need.

    Raises:
        EaselError: a file differs; the message says which, and whether parameters, code or the platform changed. Or
            there are no captions in a language, or too few pictures.
    """
    asked = json.loads(NEEDS.read_text(encoding="utf-8"))
    for one in asked["languages"]:
        chosen_languages(Languages(*one).languages, read_meta(DATA)["languages"])
    needs = [Need(*one) for one in asked["pictures"]]
    check_size(needs, params, {name: Split.open(DATA, name) for name in ("train", "val", "test")})
    now = identity(params, manifest.check_manifest(DATA))
    applies = PINNED.is_file() and manifest.read_pinned(PINNED)["params"] == now["params"]
    if applies:
        manifest.compare(manifest.read_pinned(PINNED), now)
        print(f"data/ is the pinned data set: {len(now['files'])} files agree with {PINNED}")
    else:
        print(f"data/ is whole; it is not the data set pinned in {PINNED}, since its parameters are others")
    answer = {"files": len(now["files"]), "pinned": applies, "source": params.data.source}
    OUT.write_text(json.dumps(answer, indent=1) + "\n")


def identity(params: config.Params, files: dict[str, str]) -> dict:
    """What a data set is: hashes of its files, of the parameters and of the code that made it."""
    sections = [config_tree.plain(params.data), config_tree.plain(params.scenes)]
    parameters = hashlib.sha256(json.dumps(sections, sort_keys=True).encode()).hexdigest()
    sources = sorted(imports("lib.scenes.make"))
    code = hashlib.sha256(b"".join(module_path(module).read_bytes() for module in sources)).hexdigest()
    return {"params": parameters, "code": code, "files": files}


def check_size(needs: Sequence[Need], params: config.Params, splits: Mapping[str, Split]) -> None:
    """Compares the data with what the configuration needs of them.

    Raises:
        EaselError: names the keys that need more than there is, and what to do.
    """
    missing, unknown_size = [], set()
    for need in needs:
        there = available(splits[need.split], need.size, params)
        if need.count > there:
            what = f"pictures of {need.size}×{need.size}" if need.size else "tokens of captions"
            missing.append(f"{need.key} needs {need.count} {what} in {need.split}, there are {there}")
            if there == 0 and need.size:
                unknown_size.add(str(need.size))
    if missing:
        remedies = ["Add pictures", "raise data.val_share or data.test_share (counts of scenes for drawn data)"]
        remedies += [f"add {' and '.join(sorted(unknown_size))} to data.image_sizes"] if unknown_size else []
        more = f"; and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
        raise EaselError(
            f"The data are too few for this configuration: {'; '.join(missing[:_SHOWN])}{more}. "
            f"{', '.join(remedies)}, or lower these keys."
        )


def available(split: Split, size: int | None, params: config.Params) -> int:
    """Pictures of a split that models can see, or tokens of its captions: two a caption and one a word, or more."""
    most = params.encode.pictures
    if size is not None:
        there = split.lengths.get(size, 0)
        return there if split.name == "test" else min(there, most)
    language = read_meta(split.folder.parent)["languages"][0]
    texts = [text for entry in split.captions[:most] for text in entry[language]]
    return sum(min(_words(text) + 2, params.text.length) for text in texts)


def _words(text: str) -> int:
    """Words of a text; where a writing has no spaces, two letters count as one."""
    return sum(1 if word.isascii() else max(1, len(word) // 2) for word in text.split())
