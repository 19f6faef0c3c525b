"""Stage inputs: what lies in the folder of somebody's data, by name, size and time → build/inputs.txt; what studies
need of the data → build/needs.json.

DVC knows of the repository's own files only. This stage runs every time; when the list has changed, make_data runs
again. It comes before anything that replaces data/, so it also looks whether what lies there is ours to replace.
"""

import importlib
import json
from pathlib import Path

from lib import config
from lib.config import Params
from lib.data.files import entries_below, printable
from lib.data.needs import Languages, Need
from lib.ownership import check_outputs_are_ours

OUT, NEEDS = Path("build/inputs.txt"), Path("build/needs.json")


def run(params: Params) -> None:
    """Writes one line a file: size in bytes, time of its last change in ns, path.

    Raises:
        EaselError: there is no such folder, or files that are not ours lie in an output.
    """
    check_outputs_are_ours(Path("."), params.profile)
    lines = [] if params.data.source == "scenes" else listing(Path(params.data.path))
    OUT.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    NEEDS.write_text(json.dumps(needs(), indent=1) + "\n", encoding="utf-8")


def needs() -> dict[str, list]:
    """What all studies ask of the data, in pictures and in languages."""
    asked = [
        one
        for study in config.studies()
        for one in importlib.import_module(f"{config.package(study)}.needs").needs(config.load(study))
    ]
    return {
        "languages": [one for one in asked if isinstance(one, Languages)],
        "pictures": [one for one in asked if isinstance(one, Need)],
    }


def listing(folder: Path) -> list[str]:
    """All files below `folder`, behind links too."""
    lines = []
    for path in entries_below(folder):
        known = path.stat() if path.exists() else path.lstat()  # of a broken link, what there is
        lines.append(f"{known.st_size} {known.st_mtime_ns} {printable(path.relative_to(folder).as_posix())}")
    return lines
