"""Stage check_data: is this the data set that the pinned numbers were made from? → build/data_check.json

DVC takes whatever a stage has written as the new truth, in silence; this stage is what refuses.
"""

import hashlib
import json
from pathlib import Path

from lib import config, config_tree
from lib.data import manifest
from lib.pipeline.sources import imports, module_path

DATA = Path("data")
PINNED = Path("results/reference/data.json")
OUT = Path("build/data_check.json")


def run(params: config.Params) -> None:
    """Checks data/ against its own manifest, against the pinned one if it is that data set, and for the languages that
    trainings ask for.

    Raises:
        EaselError: a file differs; the message says which, and whether parameters, code or the platform changed. Or
            there are no captions in a language.
    """
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
