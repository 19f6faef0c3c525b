"""Keeps DVC's own files in a folder usable, however the last run there ended.

DVC writes dvc.lock in place, which takes it seconds: a kill in between, or a full disk, leaves it empty or cut, and a
cut one may still be valid YAML with entries missing. So a copy is kept of each, taken while DVC is not writing, and
what a cut file has lost comes back from it. An entry only says "this command made that of this", and DVC holds it
against the files before it believes it: one too many does no harm, one too few costs a training.

DVC's list of who reads and writes what (rwlock) outlives a kill too, and names processes that are gone, dying, or by
now somebody else's. If nobody is at work in the folder, nobody holds anything.
"""

import fcntl
import os
import re
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from lib.errors import EaselError

TEMPORARY = Path(".dvc/tmp")
RUN_LOCK, DVC_LOCK, RWLOCK = TEMPORARY / "run.lock", TEMPORARY / "lock", TEMPORARY / "rwlock"
KEPT = TEMPORARY / "kept"  # the copies, at the paths of their originals
RUNNING = KEPT / "running"  # there from the start of a run to its end, unless it was killed
HEADER = "schema: '2.0'\nstages:\n"  # of every dvc.lock
ENTRY = re.compile(r"^  (?=[^\s#])", re.MULTILINE)  # a stage begins
SKIPPED = {"build", "data", "runs"}  # where no dvc.lock is looked for, nor in hidden folders
PATIENCE = 5.0  # seconds that a killed process may take to go
INTERVAL = 0.2  # seconds between two looks at dvc.lock during a run


@contextmanager
def only_run(folder: Path) -> Iterator[int]:
    """Holds the folder for one run; gives the lock's file descriptor, for children that belong to the run to inherit.

    Raises:
        EaselError: another run, or a stage that one left behind, is at work in the folder, or it cannot be written.
    """
    try:
        (folder / TEMPORARY).mkdir(parents=True, exist_ok=True)
        lock = open(folder / RUN_LOCK, "a", encoding="utf-8")  # noqa: SIM115
    except OSError as error:
        raise EaselError(f"{folder.absolute()} cannot be written: {error.strerror}.") from error
    with lock:
        deadline = time.monotonic() + PATIENCE
        while not _try_lock(lock.fileno()) or at_work(folder):
            if time.monotonic() > deadline:
                names = "".join(f"\n  process {p.pid}: {' '.join(p.cmdline())[:100]}" for p in at_work(folder))
                raise EaselError(f"another run is at work in {folder.absolute()}; wait for it, or end it.{names}")
            time.sleep(INTERVAL)
        yield lock.fileno()


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def at_work(folder: Path) -> list[psutil.Process]:
    """Processes of DVC, and of stages, whose DVC folder is this one."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if (
                process.status() != psutil.STATUS_ZOMBIE
                and _is_ours(process.cmdline())
                and _dvc_folder(Path(process.cwd())) == folder.resolve()
            ):
                found.append(process)
    return found


def _is_ours(command: list[str]) -> bool:
    return any(Path(word).name == "dvc" or word in ("lib.pipeline", "lib.run") for word in command[:4])


def _dvc_folder(place: Path) -> Path | None:
    return next((parent for parent in (place, *place.parents) if (parent / ".dvc").is_dir()), None)


@contextmanager
def kept(folder: Path) -> Iterator[None]:
    """Mends DVC's files in a folder that `only_run` holds, and keeps copies of them while the enclosed DVC runs."""
    running = folder / RUNNING
    mend(folder, killed=running.exists())
    running.parent.mkdir(parents=True, exist_ok=True)
    running.touch()
    stop = threading.Event()
    watcher = threading.Thread(target=_watch, args=(folder, stop), daemon=True)
    watcher.start()
    try:
        yield
    finally:
        stop.set()
        watcher.join()
        mend(folder, killed=True)
        running.unlink(missing_ok=True)


def mend(folder: Path, killed: bool) -> None:
    """Gives cut files back what they have lost, and drops locks of processes that are gone.

    Args:
        killed: whether the last run may have been stopped while it wrote. If not, a dvc.lock that is whole is the
            truth, even if it holds less than its copy: somebody has put it there.

    Raises:
        EaselError: a file with the marks of a merge conflict, which only a person can settle.
    """
    (folder / RWLOCK).unlink(missing_ok=True)
    for file in lock_files(folder):
        copy = folder / KEPT / file.relative_to(folder)
        text = _read(file)
        mended = mended_text(text, _read(copy), killed)
        if re.search(r"^<<<<<<< ", text, re.MULTILINE):
            raise EaselError(f"{file} holds the marks of a merge conflict; settle it, or take one side as it is.")
        if mended != text or not text:  # DVC reads no empty file
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, copy.with_name(f"{copy.name}.cut"))
            _replace(file, mended)
            print(f"{file} was cut when a run was stopped; {_restored(mended)}.", flush=True)
        if mended:
            _replace(copy, mended)


def _restored(text: str) -> str:
    return "what it had lost is back" if text else "it held nothing yet, and is gone"


def mended_text(text: str, copy: str, killed: bool) -> str:
    """What a lock file should say, from what it says and from its copy, both maybe empty; see `mend`."""
    if text == copy:
        return text
    old, new = entries(copy), entries(text)
    whole = is_whole(text)
    if whole and not (killed and old):
        return text
    if new:  # the entry in which the writing was stopped; at the end of a line, that only shows beside the copy
        name, last = list(new.items())[-1]
        if not whole or last.count("\n") < old.get(name, "").count("\n"):
            del new[name]
    mended = HEADER + "".join((old | new).values())
    return mended if is_whole(mended) else copy


def is_whole(text: str) -> bool:
    """Whether a lock file, or a .dvc file, was written to its end as far as one can see, and DVC will read it."""
    from dvc.schema import COMPILED_LOCKFILE_SCHEMA, COMPILED_SINGLE_STAGE_SCHEMA  # takes a second
    from voluptuous import Invalid

    if not text.endswith("\n"):
        return False
    try:
        tree = YAML(typ="safe").load(text)
        (COMPILED_LOCKFILE_SCHEMA if "stages" in tree else COMPILED_SINGLE_STAGE_SCHEMA)(tree)
    except (YAMLError, Invalid, ValueError, TypeError):
        return False
    return True


def entries(text: str) -> dict[str, str]:
    """The stages of a dvc.lock: name → its lines, in order. The last may be cut."""
    if not text.startswith(HEADER):
        return {}
    blocks = ENTRY.split(text.removeprefix(HEADER))[1:]
    return {block.partition("\n")[0].removesuffix(":"): f"  {block}" for block in blocks}


def lock_files(folder: Path) -> list[Path]:
    """Every file in the folder's own part of the tree that DVC writes in place: dvc.lock and *.dvc."""
    found = []
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in SKIPPED and not name.startswith("."))
        found += [Path(place, name) for name in sorted(names) if name == "dvc.lock" or Path(name).suffix == ".dvc"]
    return found


def keep(folder: Path, seen: dict[Path, tuple[int, int]]) -> None:
    """Copies the lock files that have changed since they were last `seen`, if DVC is not at them and none has lost any.

    DVC holds its lock whenever it may write; whoever gets that lock sees whole files, for as long as he has it.
    """
    with open(folder / DVC_LOCK, "a") as lock:
        if not _try_lock(lock.fileno()):
            return
        texts = {}
        for file in lock_files(folder):
            stat = file.stat()
            state = (stat.st_mtime_ns, stat.st_size)
            if seen.get(file) != state:
                seen[file], texts[file] = state, _read(file)
    for file, text in texts.items():
        copy = folder / KEPT / file.relative_to(folder)
        if is_whole(text) and entries(_read(copy)).keys() <= entries(text).keys():
            _replace(copy, text)


def _watch(folder: Path, stop: threading.Event) -> None:
    seen: dict[Path, tuple[int, int]] = {}
    while not stop.wait(INTERVAL):
        with suppress(OSError):  # a full disk, a file that has just gone: the copies from before stay
            keep(folder, seen)


def _read(file: Path) -> str:
    return file.read_text(encoding="utf-8", errors="replace") if file.is_file() else ""


def _replace(file: Path, text: str) -> None:
    """Writes a file anew, whole or not at all; an empty one goes, as if DVC had never written it."""
    if not text:
        file.unlink(missing_ok=True)
    elif _read(file) != text:
        file.parent.mkdir(parents=True, exist_ok=True)
        temporary = file.with_name(f".{file.name}.new")
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(file)
