"""Draws every figure, table and verdict anew from the results that Git tracks: `python -m lib.figures`.

Needs neither data nor networks: it runs the commands of those stages of dvc.yaml that read nothing which DVC keeps,
several side by side and whether anything changed or not. The executed notebooks are left in build/notebooks/. DVC
itself would find the committed files up to date and run nothing.
"""

import subprocess
import sys
import time
from collections.abc import Mapping
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from graphlib import TopologicalSorter
from pathlib import Path

from lib import config_tree
from lib.errors import EaselError, command_line
from lib.pipeline.stage import specs

AT_ONCE = 2  # stages; each takes a core most of the time
DRAWN = ("results", "paper_figs")
TAIL = 12  # lines of a failed stage's output that are shown


def drawing_stages(stages: Mapping[str, Mapping]) -> dict[str, set[str]]:
    """The stages that write what Git tracks from what Git tracks, each with those of them that must run before it."""
    kept = {out for spec in stages.values() for out, options in _outs(spec) if options.get("cache", True)}
    kept |= {
        out["path"] for file in Path().glob("*.dvc") if file.is_file() for out in config_tree.read_yaml(file)["outs"]
    }
    lists = [spec for name, spec in stages.items() if name.endswith("sources")]
    kept -= {out for spec in lists for out, _ in _outs(spec)}  # lists of modules, not what the commands read
    found = {
        name: spec
        for name, spec in stages.items()
        if not any(_within(dependency, out) for dependency in spec["deps"] for out in kept)
        and any(not options.get("cache", True) for _, options in _outs(spec))
    }
    return {
        name: {
            other
            for other, made_by in found.items()
            if any(_within(dependency, out) for dependency in spec["deps"] for out, _ in _outs(made_by))
        }
        for name, spec in found.items()
    }


def _outs(spec: Mapping) -> list[tuple[str, Mapping]]:
    """Path and options of every output."""
    return [next(iter(out.items())) if isinstance(out, Mapping) else (out, {}) for out in spec.get("outs", ())]


def _within(path: str, folder: str) -> bool:
    return Path(path).is_relative_to(folder)


def draw(stages: Mapping[str, Mapping]) -> None:
    """Runs the drawing stages.

    Raises:
        EaselError: a stage failed; the message holds the end of what it printed.
    """
    order = TopologicalSorter(drawing_stages(stages))
    order.prepare()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        running = {}
        while order.is_active():
            running |= {pool.submit(_run, name, stages[name]["cmd"]): name for name in order.get_ready()}
            for ended in wait(running, return_when=FIRST_COMPLETED).done:
                name = running.pop(ended)
                if ended.exception():
                    pool.shutdown(wait=True, cancel_futures=True)
                    raise ended.exception()
                print(f"[figures] {name}: {ended.result():.0f} s", flush=True)
                order.done(name)


def _run(name: str, command: str) -> float:
    """Runs a stage's command with this Python; returns its seconds."""
    started, words = time.monotonic(), command.split()
    answer = subprocess.run(
        [sys.executable, *words[1:]],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
    )
    if answer.returncode:
        raise EaselError(f"stage {name} failed:\n" + "\n".join(answer.stdout.splitlines()[-TAIL:]))
    return time.monotonic() - started


def changed() -> list[str] | None:
    """Files of results and figures that are not as Git has them, None where there is no Git to ask."""
    command = ["git", "status", "--porcelain", "--untracked-files=all", "--", *DRAWN]
    try:
        answer = subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError:
        return None
    return None if answer.returncode else [line[3:] for line in answer.stdout.splitlines()]


@command_line
def main(arguments: list[str]) -> None:
    """Command line: draws, then says which files differ from Git's."""
    if arguments:
        raise EaselError("usage: python -m lib.figures")
    draw(specs())
    print("executed notebooks: build/notebooks")
    differing = changed()
    if differing is None:
        print("no Git here to compare the files with")
    elif not differing:
        print("all files are byte for byte those of Git")
    else:
        print(f"{len(differing)} files differ from Git's:", *differing, sep="\n  ")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
