"""`make repro`: checks what can be checked first, runs a profile's pipeline, prints what it found.

`python -m lib.repro [argument of dvc repro …]`. The profile, its settings, the study, if not all are meant, where parts
run (lib/pipeline/engine.py), how many of them are compared after a refactor (lib/pipeline/take_over.py) and a bundle to
start from (lib/bundle.py) come in the variables EASEL_PROFILE, EASEL_SET, EASEL_STUDY, EASEL_ENGINE, EASEL_TAKE_OVER
and EASEL_FROM, which `make` fills from PROFILE, SET, STUDY, ENGINE, TAKE_OVER and FROM: no shell reads them.
"""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

import psutil
from configobj import ConfigObj

from lib import bundle, config, config_tree, dvc_state, hardware, profile
from lib.errors import EaselError, command_line
from lib.ownership import check_outputs_are_ours
from lib.pipeline import engine, take_over

# Gigabytes that a run writes from nothing: data, networks, samples, and DVC's cache where it cannot link.
NEEDED = {"smoke": 1.0}
NEEDED_ELSE = 4.0
# Variables of Python and of the system that would reach the outputs, or keep stages from starting.
DROPPED = ("PYTHONPATH", "PYTHONHOME", "PYTHONSAFEPATH", "PYTHONSTARTUP", "PYTHONOPTIMIZE", "PYTHONWARNINGS")
DROPPED_TOO = ("PYTHONHASHSEED", "PYTHONIOENCODING", "PYTHONCOERCECLOCALE", "LANG", "LANGUAGE", "DVC_ROOT", "DVC_STAGE")
FIXED = {"LC_ALL": "C.UTF-8", "PYTHONUTF8": "1", "SHELL": "/bin/sh", "DVC_NO_ANALYTICS": "1"}
UMASK = 0o022
PASSED_ON = (engine.VARIABLE, take_over.VARIABLE)  # to the stages


def run(name: str, settings: list[str], arguments: list[str], source: str = "") -> int:
    """Runs `dvc repro` with `arguments` where profile `name` with `settings` belongs. Returns the exit status.

    Args:
        source: a bundle, file or address, to start from.

    Raises:
        EaselError: a mistake in the profile or the settings, a folder that cannot be written or in which another run is
            at work, too little room on the disk, a bundle that is damaged or does not fit.
    """
    bundle.check_source(source)
    folder, trees = profile.resolve(name, settings)
    check_outputs_are_ours(folder, name)
    os.umask(UMASK)
    variables = environment(name)
    with dvc_state.only_run(folder) as lock:
        try:
            check_disk(folder, NEEDED.get(name, NEEDED_ELSE))
            profile.synchronise(folder, trees)
            if folder == Path("."):  # a shadow never asks Git
                without_git()
            with dvc_state.kept(folder):
                if source:
                    print(f"{bundle.start_from(source, folder)}.", flush=True)
                status = call(["-m", "dvc", "repro", *arguments], folder, variables, lock)
        except OSError as error:
            raise EaselError(f"{folder.absolute()} cannot be written: {error}.") from error
        if status == 0 and not arguments:
            status = call(["-m", "lib.pipeline.summary"], folder, variables, lock)
    return status


def environment(name: str) -> dict[str, str]:
    """The variables in which a run's processes start: the same for everybody, wherever they could reach a result."""
    switches = hardware.switches(os.environ)
    if switches:
        print(f"ignored, since a result must not depend on it: {', '.join(switches)}", flush=True)
    dropped = (*switches, *DROPPED, *DROPPED_TOO)
    kept = {
        key: value
        for key, value in os.environ.items()
        if key in PASSED_ON or (key not in dropped and not key.startswith(("LC_", "EASEL_")))
    }
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    compiling = {"XLA_FLAGS": hardware.FAST_COMPILING} if name == "smoke" else {}
    kept.pop("XLA_FLAGS", None)
    return {**kept, **hardware.OURS, **FIXED, **compiling, "PATH": path}


def check_disk(folder: Path, needed: float) -> None:
    """Refuses a run that would fill the disk: `needed` GB, less what the folder holds already."""
    there = sum(file.stat().st_size for file in (folder / "build").rglob("*") if file.is_file()) / 1e9
    free = shutil.disk_usage(folder).free / 1e9
    if free < needed - there:
        raise EaselError(
            f"{folder.absolute()} has {free:.1f} GB of disk free; this run needs {needed - there:.1f} GB more than it"
            " has written so far."
        )


def without_git() -> None:
    """Tells DVC, in the file for settings of one machine, that there is no Git repository, if there is none."""
    here = Path.cwd()
    if any((parent / ".git").exists() for parent in (here, *here.parents)):
        return
    settings = ConfigObj(".dvc/config.local", encoding="utf-8")
    if settings.setdefault("core", {}).get("no_scm") != "true":
        settings["core"]["no_scm"] = "true"
        settings.write()


def call(arguments: list[str], folder: Path, variables: dict[str, str], lock: int) -> int:
    """Runs this Python with `arguments` in `folder` to its end. Returns the exit status as a shell would give it.

    It inherits `lock`, so that the folder stays taken for as long as it lives, whatever becomes of this process.
    """
    process = subprocess.Popen([sys.executable, *arguments], cwd=folder, env=variables, pass_fds=[lock])
    with passing_on(process):
        status = process.wait()
    return status if status >= 0 else 128 - status


@contextmanager
def passing_on(process: subprocess.Popen) -> Iterator[None]:
    """While `process` runs, SIGTERM goes to all that it started, which DVC would leave at work, and to itself.

    Ctrl-C reaches them from the terminal; this process then waits for them to end.
    """

    def end(number: int, frame: FrameType | None) -> None:
        with suppress(psutil.NoSuchProcess):
            for child in psutil.Process(process.pid).children(recursive=True):
                child.send_signal(number)
        process.send_signal(number)

    before = signal.signal(signal.SIGINT, lambda number, frame: None), signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        for number, handler in zip((signal.SIGINT, signal.SIGTERM), before, strict=True):
            signal.signal(number, handler)


@command_line
def main(arguments: list[str]) -> None:
    """Command line; ends with the status of what failed."""
    name = os.environ.get("EASEL_PROFILE", config_tree.read_yaml("params.yaml")["profile"])
    settings = profile.split_settings(os.environ.get("EASEL_SET", ""))
    if study := os.environ.get("EASEL_STUDY"):
        if study not in config.studies():
            raise EaselError(f"unknown study '{study}'; there are {', '.join(config.studies())}.")
        arguments = [*arguments, str(config.folder(study) / "dvc.yaml")]
    take_over.asked()
    engine.check(os.environ.get(engine.VARIABLE, ""))
    status = run(name, settings, arguments, os.environ.get("EASEL_FROM", ""))
    if status:
        raise SystemExit(status)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
