"""One screen: what will and will not run here, and how long it takes: `make doctor`."""

import csv
import os
import shutil
import sys
from pathlib import Path

from lib import config, environment
from lib.errors import command_line
from lib.hardware import machine, switches
from lib.repro import NEEDED_ELSE

RUNTIMES = Path("results/runtimes.csv")


@command_line
def main(arguments: list[str]) -> None:
    """Prints the screen; ends with status 1 if the environment itself is broken."""
    here = machine()
    free = shutil.disk_usage(".").free / 1e9
    print(f"machine      {here['cpu']}, {here['cores']} cores, {here['memory_gb']} GB, {free:.0f} GB of disk free")
    print(f"             fast bf16: {'yes' if here['bf16'] else 'no'}   GPU: {here['gpu'] or 'none'}")
    status = environment.check()
    params = config.load()
    print(f"profile      {params.profile} is the default; others: {', '.join(others())}")
    print(f"laptop       {verdict(here['memory_gb'] > 7 and here['cores'] >= 2, 'needs 2 cores and 8 GB')}{expected()}")
    print(f"smoke        {verdict(here['memory_gb'] > 7, 'needs 8 GB')}")
    print(f"gpu          {verdict(here['gpu'], 'needs an NVIDIA GPU with CUDA builds of torch and jax')}")
    print(f"disk         {verdict(free > NEEDED_ELSE, f'needs {NEEDED_ELSE:.0f} GB free for one profile')}")
    print(f"variables    a run ignores {', '.join(switches(os.environ)) or 'none of yours'}")
    for name, path in (("inception", params.evaluation.inception), ("clip", params.evaluation.clip)):
        print(f"{name:12} {path or f'none named in params.yaml (evaluation.{name}): this repository’s own is used'}")
    if status:
        raise SystemExit(status)


def others() -> list[str]:
    """Profiles beside the default one."""
    return sorted(path.stem for path in Path("profiles").glob("*.yaml"))


def verdict(condition: object, otherwise: str) -> str:
    """What the screen says of one need: it runs here, or what is missing."""
    return "runs here" if condition else f"does not run here: {otherwise}"


def expected() -> str:
    """The time of the pinned run, from results/runtimes.csv."""
    if not RUNTIMES.is_file():
        return ""
    with open(RUNTIMES, encoding="utf-8") as file:
        total = next(row for row in csv.DictReader(file) if row["stage"] == "all")
    return f"; the pinned run took {float(total['time (min)']):.0f} minutes on 2 cores"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
