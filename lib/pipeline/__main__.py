"""Runs one stage: `python -m lib.pipeline <stage> [<item of its matrix>]`; those of a study are <study>/<stage>."""

import importlib
import os
import sys
from contextlib import nullcontext

from lib import config
from lib.errors import EaselError, command_line
from lib.hardware import use_cores
from lib.pipeline import stage


@command_line
def main(arguments: list[str]) -> None:
    """Checks the configuration, pins the cores, runs the stage, records what it cost."""
    if len(arguments) not in (1, 2):
        raise EaselError("usage: python -m lib.pipeline <stage> [<item of its matrix>]")
    name, item = arguments[0], "".join(arguments[1:])
    specs = stage.specs()
    if name not in specs:
        raise EaselError(f"no stage '{name}' in dvc.yaml; there are {', '.join(specs)}.")
    items = stage.items_of(name, specs[name])
    study, _, program = name.rpartition("/")
    if item not in (items or [""]):
        raise EaselError(f"stage {name} takes " + (f"one of {', '.join(items)}." if items else "no item."))
    params = config.load(study)
    use_cores(params.threads)
    outs = [next(iter(out)) if isinstance(out, dict) else out for out in specs[name].get("outs", [])]
    filled = [out.replace("${profile}", params.profile).replace("${item.item}", item) for out in outs]
    full_name = stage.full_name(name, item)
    # Of processes that train together (lib/training/mesh.py) the first writes outputs; it knows when they are whole.
    first = os.environ.get("JAX_PROCESS_ID", "0") == "0"
    with stage.record(full_name, filled) if first else nullcontext():
        importlib.import_module(f"{config.package(study)}.{program}" if study else f"lib.pipeline.{name}").run(
            params, *arguments[1:]
        )
    if first:
        stage.forget_checkpoints(full_name)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
