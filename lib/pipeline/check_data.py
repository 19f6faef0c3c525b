"""Stage check_data: is this the data set that the pinned numbers were made from, and enough? → build/data_check.json

DVC takes whatever a stage has written as the new truth, in silence; this stage is what refuses. It also refuses data
of one's own that are too few for a later stage, before anything is trained.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from lib import config, config_tree
from lib.config_sjd2 import DRAFT_TUNED, UNTUNED
from lib.data import manifest
from lib.data.encoded import chosen_languages
from lib.data.store import Split, read_meta
from lib.errors import EaselError
from lib.pipeline.sources import imports, module_path

DATA = Path("data")
PINNED = Path("results/reference/data.json")
OUT = Path("build/data_check.json")
_SHOWN = 5  # needs named in a message


def run(params: config.Params) -> None:
    """Checks data/ against its own manifest, against the pinned one if it is that data set, for the languages that
    trainings ask for, and for the numbers of pictures that later stages need.

    Raises:
        EaselError: a file differs; the message says which, and whether parameters, code or the platform changed. Or
            there are no captions in a language, or too few pictures.
    """
    for wanted in (*params.dalle_mini.languages.values(), params.autoregressive.languages):
        chosen_languages(wanted, read_meta(DATA)["languages"])
    check_size(params, {name: Split.open(DATA, name) for name in ("train", "val", "test")})
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


class Need(NamedTuple):
    """What one key of params.yaml asks of the data.

    Attributes:
        count: of pictures, or of caption tokens where there is no size.
        size: side of the pictures in pixels; None for a need of captions, of which at least so many tokens are sure.
    """

    key: str
    split: str
    count: int
    size: int | None


def needs(params: config.Params) -> list[Need]:
    """What stages cannot do without; where a stage takes as many as there are, nothing is listed."""
    models = {name: model.pictures for name, model in params.autoregressive.models.items()}
    batches = [("dalle_mini", params.dalle_mini.batch_size, 64)]
    batches += [("glu_variants.setting", params.glu_variants.setting.batch_size, 64)]
    batches += [("glu_search.base", params.glu_search.base.batch_size, 64)]
    for name, changes in params.glu_search.trials.items():
        if "batch_size" in changes:
            batches.append((f"glu_search.trials.{name}", changes["batch_size"], 64))
    for name, model in params.autoregressive.models.items():
        batches.append((f"autoregressive.models.{name}.training", model.training.batch_size, model.pictures))
    for name, one in params.sjd2.variants.items():
        own = f"sjd2.changes.{name}" if "batch_size" in params.sjd2.changes[name] else "sjd2.recipe.training"
        batches.append((own, one.training.batch_size, models.get(one.model, 64)))
    for name, one in params.draft_tuning.variants.items():
        batches.append((f"draft_tuning.variants.{name}.training", one.training.batch_size, models.get(one.model, 64)))
    batches.append(("drafters.training", params.drafters.training.batch_size, models.get(params.drafters.model, 64)))
    found = [Need(f"{key}.batch_size", "train", count, size) for key, count, size in dict.fromkeys(batches)]
    found += [Need(f"autoregressive.models.{name}.pictures", "val", 1, size) for name, size in models.items()]
    for name in params.decoding.names:
        group = params.decoding.groups[name]
        size = next(models.get(_model(params, one.network), 64) for one in group.single.values())
        found.append(Need(f"decoding.groups.{name}.captions", "test", group.captions, size))
    found.append(Need("sampling.captions", "test", 2, 64))  # a distance between sets of pictures needs two in each
    found += [Need("glu_text.length", split, params.glu_text.length, None) for split in ("train", "test")]
    return found


def _model(params: config.Params, network: str) -> str:
    """Which of autoregressive.models a network of the decoding is, or was tuned from; "" for an unknown one."""
    if network.startswith(UNTUNED):
        return network.removeprefix(UNTUNED)
    variants = params.draft_tuning.variants if network.startswith(DRAFT_TUNED) else params.sjd2.variants
    variant = variants.get(network.removeprefix(DRAFT_TUNED))
    return variant.model if variant else ""


def check_size(params: config.Params, splits: Mapping[str, Split]) -> None:
    """Compares the data with what the configuration needs of them.

    Raises:
        EaselError: names the keys that need more than there is, and what to do.
    """
    missing, unknown_size = [], set()
    for need in needs(params):
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
