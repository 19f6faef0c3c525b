"""Runs one stage: `python -m lib.pipeline <stage>`."""

import importlib
import sys

from lib import config
from lib.errors import EaselError, command_line
from lib.hardware import use_cores
from lib.pipeline import stage


@command_line
def main(arguments: list[str]) -> None:
    """Checks the configuration, pins the cores, runs the stage, records what it cost."""
    if len(arguments) != 1:
        raise EaselError("usage: python -m lib.pipeline <stage>")
    (name,) = arguments
    specs = stage.pipeline_file()["stages"]
    if name not in specs:
        raise EaselError(f"no stage '{name}' in dvc.yaml; there are {', '.join(specs)}.")
    params = config.load()
    use_cores(params.threads)
    outs = [next(iter(out)) if isinstance(out, dict) else out for out in specs[name].get("outs", [])]
    with stage.record(name, [out.replace("${profile}", params.profile) for out in outs]):
        importlib.import_module(f"lib.pipeline.{name}").run(params)
    stage.forget_checkpoints(name)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
