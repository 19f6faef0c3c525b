"""One screen: what will and will not run here, and how long it takes: `make doctor`."""

import csv
import json
import os
import shutil
import sys
import textwrap
from pathlib import Path

from lib import environment
from lib.errors import EaselError, command_line, naming
from lib.hardware import machine, switches

NAMED = 4  # variables; more would not fit the line
RUNTIMES = Path("results/runtimes.csv")
VERDICTS = Path("results/laptop/verdicts/claims.json")
NEAR = 5  # a p within this factor of the threshold may fall on its other side on another processor
SPARE_GB = 1  # of memory, beside what the stage that needs most took
SMOKE_MINUTES = 8  # the limit on two fast, idle cores; no test measures it, and others take up to twice as long
# GB of disk: README.md names their sum.
ENVIRONMENT_GB, PROFILE_GB = 2, 4
SLOW = "no: PyTorch trains in fp32, which takes up to twice as long; numbers differ a little from the pinned ones"


@command_line
def main(arguments: list[str]) -> int:
    """Prints the screen, first what needs no environment. Returns 1 if the environment itself is broken."""
    if arguments:
        raise EaselError("usage: python -m lib.doctor")
    here = machine()
    free = shutil.disk_usage(".").free / 1e9
    need = PROFILE_GB + (0 if environment.PYTHON.exists() else ENVIRONMENT_GB)
    print(f"machine      {here['cpu']}, {here['cores']} cores, {here['memory_gb']} GB, {free:.0f} GB of disk free")
    print(f"             GPU: {here['gpu'] or 'none'}")
    print(f"fast bf16    {'yes' if here['bf16'] else SLOW}")
    print(f"laptop       {verdict(here['memory_gb'] > 7 and here['cores'] >= 2, 'needs 2 cores and 8 GB')}{expected()}")
    print(f"smoke        {verdict(here['memory_gb'] > 7, 'needs 8 GB')}; about {SMOKE_MINUTES} minutes on 2 fast cores")
    print(f"memory       {memory(available())}")
    gpu = verdict(here["gpu"], "needs an NVIDIA GPU with CUDA builds of torch and jax")
    print(f"gpu          {gpu}; never run: time, memory unknown")
    print(
        "paper        does not run on one machine: 15 million pairs, many accelerators; its settings alone are tested"
    )
    enough = f"needs {need} GB free (environment {ENVIRONMENT_GB} GB, one profile {PROFILE_GB} GB)"
    print(f"disk         {verdict(free > need, enough)}")
    ignored = switches(os.environ)
    more = f" and {len(ignored) - NAMED} more" if len(ignored) > NAMED else ""
    print(f"variables    a run ignores {', '.join(ignored[:NAMED]) or 'none of yours'}{more}")
    if not environment.PYTHON.exists():
        raise EaselError(f"there is no environment here ({environment.VENV}); `make doctor` creates it.")
    if environment.check():
        return 1
    # Only now: they need the environment.
    from lib import config

    params = config.load()
    print(f"profile      {params.profile} is the default; others: {', '.join(others())}")
    for line in near_thresholds():
        print(line)
    for name, path in (("inception", params.evaluation.inception), ("clip", params.evaluation.clip)):
        print(f"{name:12} {path or f'none named in params.yaml (evaluation.{name}): this repository’s own is used'}")
    return 0


def others() -> list[str]:
    """Profiles beside the default one."""
    return sorted(path.stem for path in Path("profiles").glob("*.yaml"))


def verdict(condition: object, otherwise: str) -> str:
    """What the screen says of one need: it runs here, or what is missing."""
    return "runs here" if condition else f"does not run here: {otherwise}"


def expected() -> str:
    """The time of the pinned run, from results/runtimes.csv; nothing where there is none."""
    pinned = whole_run()
    return f"; the pinned run took {float(pinned['time (min)']):.0f} minutes on 2 cores" if pinned else ""


def memory(free: float | None) -> str:
    """Whether the stage of the pinned run that needed most memory would find it here now; `free` in GB, if known."""
    pinned = whole_run()
    if not pinned or free is None:
        return "how much is free, or was needed, is not known here"
    peak = float(pinned["peak memory (GB)"])
    close = verdict(free > peak + SPARE_GB, "close other programs")
    return f"{free:.1f} GB free now; the pinned run took {peak:.1f} GB at most: {close}"


def whole_run() -> dict[str, str]:
    """The last row of results/runtimes.csv, of all stages together; empty where there is no such file."""
    if not RUNTIMES.is_file():
        return {}
    with naming(RUNTIMES, "CSV"):
        rows = csv.DictReader(RUNTIMES.read_text(encoding="utf-8").splitlines())
        return next(row for row in rows if row["stage"] == "all")


def available() -> float | None:
    """Memory that programs could take now, in GB (Linux); None where it cannot be read."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    found = [int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")]
    return found[0] * 1024 / 1e9 if found else None


def near_thresholds() -> list[str]:
    """The claims whose verdicts in the pinned run lie near their thresholds, in lines; none without that run."""
    from lib.evidence.inference import ALPHA

    if not VERDICTS.is_file():
        return []
    with naming(VERDICTS, "JSON"):
        claims = json.loads(VERDICTS.read_text(encoding="utf-8"))["claims"]
    near = [one["id"] for one in claims if ALPHA / NEAR <= (one["corrected"] or 0) <= ALPHA * NEAR]
    said = (
        f"networks differ between processors, so these {len(near)} of {len(claims)} may come out otherwise here "
        f"(p within a factor {NEAR} of {ALPHA:g}): {', '.join(near) or 'none'}"
    )
    return textwrap.wrap(said, 118, initial_indent="verdicts     ", subsequent_indent=" " * 13)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
