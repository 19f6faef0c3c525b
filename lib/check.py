"""What a reviewer with a few minutes can see for himself: `make check`, which trains nothing.

- The drawn data come out with the pinned hashes.
- What a study can count or enumerate exactly (code/check.py, in the studies that have one) holds.
- Every table, figure and verdict, parameter counts among them, follows from the committed results, byte for byte.
"""

import importlib
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from lib import config, figures
from lib.data import manifest
from lib.errors import EaselError, command_line
from lib.hardware import use_cores
from lib.pipeline.check_data import PINNED, identity
from lib.pipeline.stage import specs
from lib.scenes.make import make


def data() -> str:
    """Draws the data set of the default profile into a folder of its own, and compares it with the pinned one.

    Raises:
        EaselError: a file differs.
    """
    params = config.load()
    with tempfile.TemporaryDirectory(dir=".") as folder:
        make(Path(folder), params.scenes, processes=params.threads)
        now = identity(params, manifest.check_manifest(Path(folder)))
    manifest.compare(manifest.read_pinned(PINNED), now)
    return f"{len(now['files'])} files of drawn data have the pinned hashes"


def drawings() -> str:
    """Draws all figures, tables and verdicts anew.

    Raises:
        EaselError: Git has another version of one of them.
    """
    figures.draw(specs())
    differing = figures.changed()
    if differing is None:
        return "figures, tables and verdicts were drawn; there is no Git here to compare them with"
    if differing:
        raise EaselError(f"{len(differing)} files differ from Git's, among them {', '.join(differing[:3])}.")
    return "figures, tables and verdicts are byte for byte those of Git"


def exact() -> list[Callable[[], str]]:
    """The checks of the studies."""
    found = []
    for study in config.studies():
        if (config.folder(study) / "code" / "check.py").is_file():
            found.append(importlib.import_module(f"{config.package(study)}.check").check)
    return found


@command_line
def main(arguments: list[str]) -> None:
    """Command line; stops at the first check that fails."""
    if arguments:
        raise EaselError("usage: python -m lib.check")
    use_cores(config.load().threads)
    for check in (data, *exact(), drawings):
        started = time.monotonic()
        print(f"[check] {check()} ({time.monotonic() - started:.0f} s)", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
