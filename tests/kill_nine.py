"""Kills a run with SIGKILL at many moments, and holds what it comes to against runs that nobody disturbed.

`python tests/kill_nine.py --moments 20` clones the last commit and runs the smoke profile there three times: twice from
nothing, which also shows what differs by itself, such as times; and once with a kill of the whole process group at
every moment, followed at once by the same command. Moments lie in all kinds of stage, and in the writing of dvc.lock.
A rerun that is refused, or a number, figure or table that differs, ends this program with an error.
"""

import argparse
import hashlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parent.parent
STARTED = re.compile(r"Running stage '([^']+)'")
Due = Callable[[str | None], bool]  # whether to kill now, asked with every line of output and, every 10 ms, with None


def start(command: Sequence[str], folder: Path) -> subprocess.Popen:
    """The command in a process group of its own, its output on a pipe."""
    return subprocess.Popen(
        command,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )


def finish(command: Sequence[str], folder: Path) -> dict[str, float]:
    """Runs the command to its end, or ends this program: stages that ran → seconds until the next one began."""
    lines, begun = [], {}
    process = start(command, folder)
    for line in process.stdout:
        lines.append(line)
        if found := STARTED.search(line):
            begun[found[1]] = time.monotonic()
    if process.wait():
        raise SystemExit("".join([*lines[-30:], f"{' '.join(command)} ended with status {process.returncode}"]))
    ends = [*begun.values(), time.monotonic()][1:]
    return {stage: end - begin for (stage, begin), end in zip(begun.items(), ends, strict=True)}


def kill_when(process: subprocess.Popen, due: Due) -> bool:
    """Kills the process's group as soon as it is due. False if it ended before that."""
    killed, turn = threading.Event(), threading.Lock()

    def ask(line: str | None) -> None:
        with turn:
            if not killed.is_set() and due(line):
                killed.set()
                os.killpg(process.pid, signal.SIGKILL)

    def look() -> None:
        while process.poll() is None and not killed.is_set():
            ask(None)
            time.sleep(0.01)

    looking = threading.Thread(target=look)
    looking.start()
    for line in process.stdout:
        ask(line)
    process.wait()
    looking.join()
    return killed.is_set()


def after_stage(name: str, seconds: float) -> Due:
    """Due `seconds` after the stage `name` has begun."""
    begun = []

    def due(line: str | None) -> bool:
        if line and (found := STARTED.search(line)) and found[1] == name:
            begun.append(time.monotonic())
        return bool(begun) and time.monotonic() - begun[0] >= seconds

    return due


def while_written(lock: Path, name: str) -> Due:
    """Due when dvc.lock, after the stage `name` has begun, is shorter than it was: DVC has begun to write it anew."""
    begun, longest = after_stage(name, 0), [0]

    def due(line: str | None) -> bool:
        size = lock.stat().st_size if lock.is_file() else 0
        longest[0] = max(longest[0], size)
        return begun(line) and size < longest[0]

    return due


def values(folder: Path, parts: Sequence[str] = ("results", "paper_figs")) -> dict[str, Any]:
    """Every leaf of every JSON file below these folders, and a hash of every other file."""
    found: dict[str, Any] = {}
    for file in sorted(file for part in parts for file in (folder / part).rglob("*") if file.is_file()):
        name = str(file.relative_to(folder))
        if file.suffix == ".json":
            found.update(_leaves(json.loads(file.read_text(encoding="utf-8")), name))
        else:
            found[name] = hashlib.sha256(file.read_bytes()).hexdigest()
    return found


def _leaves(tree: Any, name: str) -> Iterator[tuple[str, Any]]:
    if isinstance(tree, dict | list):
        for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree):
            yield from _leaves(value, f"{name}:{key}")
    else:
        yield name, repr(tree)


def with_names(differing: Sequence[str], values: dict[str, Any]) -> set[str]:
    """Values that differ by themselves, and texts beside one in its object: which run took longest, for instance."""
    objects = {name.rpartition(":")[0] for name in differing} - {""}
    return {
        *differing,
        *(n for n, value in values.items() if isinstance(value, str) and n.rpartition(":")[0] in objects),
    }


def differing(a: dict[str, Any], b: dict[str, Any]) -> list[str]:
    """Names whose values are not the same in both, or that stand in one alone."""
    return sorted(name for name in a.keys() | b.keys() if a.get(name) != b.get(name))


def lock_of(folder: Path, stage: str) -> Path:
    """The lock file in which DVC, running in `folder`, notes a stage, by the name that it prints."""
    return folder / stage.rpartition("dvc.yaml:")[0] / "dvc.lock"


def choose(seconds: dict[str, float], count: int, folder: Path, chance: random.Random) -> list[tuple[str, Due]]:
    """Moments in the order of the stages, given as name → length, spread over the kinds of stage; every fourth in the
    writing of dvc.lock. DVC runs in `folder`."""
    kinds: dict[str, list[str]] = {}
    for stage in seconds:
        kinds.setdefault(stage.split("@")[0], []).append(stage)
    chosen = [chance.choice(kinds[list(kinds)[i * len(kinds) // count]]) for i in range(count)]
    moments = []
    for number, stage in enumerate(sorted(chosen, key=list(seconds).index)):
        if number % 4 == 3:
            moments.append(
                (f"the writing of dvc.lock after {stage} began", while_written(lock_of(folder, stage), stage))
            )
        else:
            delay = chance.uniform(0, seconds[stage])
            moments.append((f"{stage} after {delay:.1f} s", after_stage(stage, delay)))
    return moments


def run_killed(command: Sequence[str], folder: Path, moments: Sequence[tuple[str, Due]]) -> int:
    """Runs the command, killed at every moment, again and again until it ends. Returns how many kills there were."""
    kills = 0
    for what, due in moments:
        killed = kill_when(start(command, folder), due)
        kills += killed
        print(f"{what}: {'killed' if killed else 'had passed'}", flush=True)
    finish(command, folder)
    return kills


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--moments", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("folder", type=Path, help="of the clone; it must not exist yet")
    options = parser.parse_args()
    top = options.folder
    subprocess.run(["git", "clone", "--quiet", REPOSITORY, top], check=True)
    (top / ".venv").symlink_to((REPOSITORY / ".venv").resolve())
    command, shadow = ("make", "repro", "PROFILE=smoke"), top / "runs" / "smoke"

    def from_nothing() -> None:  # else DVC takes all from its run cache
        shutil.rmtree(top / "runs", ignore_errors=True)
        shutil.rmtree(top / ".dvc" / "cache", ignore_errors=True)

    seconds = finish(command, top)
    first = values(shadow)
    from_nothing()
    finish(command, top)
    by_itself = with_names(differing(first, values(shadow)), first)
    from_nothing()
    moments = choose(seconds, options.moments, shadow, random.Random(options.seed))
    kills = run_killed(command, top, moments)
    wrong = [name for name in differing(first, values(shadow)) if name not in by_itself]
    print(f"{kills} kills; {len(first) - len(by_itself)} values compared, {len(by_itself)} differ by themselves")
    if wrong:
        raise SystemExit("differ after kills: " + ", ".join(wrong))


if __name__ == "__main__":
    sys.exit(main())
