"""Stage sources: which modules every other stage needs, read from their imports → build/sources/<study>/<stage>.txt.

    python -m lib.pipeline.sources [<study>]

A stage that depends on too few modules gives stale results; one that depends on whole folders retrains after an edit
next door. So a stage depends on the list of what its program, a module of lib/pipeline or of a study, or a notebook,
imports, with hashes: this stage runs after every edit, which takes a second, and then those run whose lists have
changed. The hashes are of what a module does, its source without comments, docstrings and blank lines, and of the
versions of the packages that the modules stand on (lib/packages.py).
"""

import sys
from pathlib import Path

from lib.config import folder
from lib.errors import command_line
from lib.imports import needed
from lib.ownership import fresh
from lib.pipeline.stage import pipeline_file

PIPELINE, OUT = Path("lib/pipeline"), Path("build/sources")


def run(study: str) -> None:
    """Writes the list of every program that the stages of a study run; of the bench's, if it is ""."""
    out = OUT / (study or "bench")
    fresh(out)
    commands = [spec["cmd"].split() for spec in pipeline_file(folder(study) / "dvc.yaml")["stages"].values()]
    notebooks = [Path(words[-1]) for words in commands if "lib.run" in words]
    for program in [*(folder(study) / "code" if study else PIPELINE).glob("[a-z]*.py"), *notebooks]:
        lines = [f"{found}  {source}\n" for source, found in needed(program).items()]
        name = program.name if program.suffix == ".ipynb" else program.stem
        (out / f"{name}.txt").write_text("".join(lines), encoding="utf-8")


@command_line
def main(arguments: list[str]) -> None:
    """Command line."""
    run("".join(arguments))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
