"""How long a reader waits: `python -m benchmarks.reading`, ten minutes → results/benchmarks/reading.*.

Everything runs as a reader starts it, one after another, in a fresh clone of what Git has here, with the environment in
place: the figures, the site, the demo until its first drawing, every notebook where JupyterLab starts it.
"""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lib.errors import EaselError, command_line
from lib.evidence import tables
from lib.evidence.tables import Number
from lib.generate import DALLE_MINI
from lib.hardware import machine

OUT = Path("results/benchmarks/reading")
# What a reader starts → seconds that it should take at most.
DRAWN = {"make figures": 90, "make pages": 90}
DEMO, PAINTED = "make demo, until its first drawing", 60
NOTEBOOK = 180
PROMPT = "a red circle on a white background"
TAIL = 12  # lines of a failed command's output that are shown
MAKEFILE = Path(__file__).parent.parent / "Makefile"


@command_line
def main(arguments: list[str]) -> None:
    """Measures and writes the table."""
    if arguments:
        raise EaselError("usage: python -m benchmarks.reading")
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "clone"
        seconds(["git", "clone", "--quiet", ".", str(clone)], Path())
        (clone / ".venv").symlink_to(Path(".venv").resolve())
        waits = measured(clone)
    for path in write(OUT, waits):
        print(path)


def measured(clone: Path) -> dict[str, tuple[float, int]]:
    """What a reader starts → how many seconds it takes, and how many it should at most.

    Raises:
        EaselError: a command fails, or draws or writes another file than Git has.
    """
    waits = {command: (seconds(command.split(), clone), limit) for command, limit in DRAWN.items()}
    changed = subprocess.run(["git", "status", "--porcelain"], cwd=clone, capture_output=True, text=True, check=True)
    if changed.stdout:
        raise EaselError(f"{' or '.join(DRAWN)} wrote other files than Git has:\n{changed.stdout}")
    waits[DEMO] = first_drawing(clone), PAINTED
    for path in sorted((clone / "notebooks").rglob("*.ipynb")):
        name = str(path.relative_to(clone))
        waits[name] = seconds(["jupyter", "execute", name], clone), NOTEBOOK
        print(f"[reading] {name}: {waits[name][0]:.0f} s", flush=True)
    return waits


def seconds(command: Sequence[str], folder: Path) -> float:
    """How long a command takes.

    Raises:
        EaselError: it fails; the message has the end of what it printed.
    """
    start = time.monotonic()
    output = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    done = subprocess.run(command, cwd=folder, env=environment(folder), text=True, **output)
    if done.returncode:
        raise EaselError(f"{' '.join(command)} failed:\n" + "\n".join(done.stdout.splitlines()[-TAIL:]))
    return time.monotonic() - start


def environment(folder: Path) -> dict[str, str]:
    """The variables of a reader's shell, with the folder's environment first on the path.

    A `make` that we were started by has left its own and what our Makefile exports: with them the `make` of a reader
    would print which folder it enters, and take over what was typed for the other.
    """
    exported = set(re.findall(r"^export (\w+)", MAKEFILE.read_text(encoding="utf-8"), re.MULTILINE))
    own = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    path = f"{(folder / '.venv/bin').resolve()}{os.pathsep}{os.environ['PATH']}"
    return {name: value for name, value in own.items() if name not in exported} | {"PATH": path}


def first_drawing(clone: Path) -> float:
    """Seconds from the start of `make demo` until DALL·E Mini, which compiles first, has drawn for one prompt.

    Raises:
        EaselError: the demo ends before, or cannot draw.
    """
    start = time.monotonic()
    own = {"cwd": clone, "env": environment(clone), "start_new_session": True}
    demo = subprocess.Popen(["make", "demo"], stdout=subprocess.PIPE, text=True, **own)
    try:
        found = next(filter(None, (re.search(r"http://\S+", line) for line in demo.stdout)), None)
        if found is None:
            raise EaselError("make demo ended before it served its page.")
        drawings = f"{found.group()}/drawings"
        number = ask(drawings, {"model": DALLE_MINI, "prompt": PROMPT})["number"]
        while (state := ask(f"{drawings}/{number}"))["state"] in ("waiting", "drawing"):
            time.sleep(0.1)
        if state["state"] != "done":
            raise EaselError(f"the demo could not draw: {state}")
        return time.monotonic() - start
    finally:
        os.killpg(demo.pid, signal.SIGTERM)
        demo.communicate()


def ask(address: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    """What the demo answers."""
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(address, data) as answer:
        return json.loads(answer.read())


def write(path: Path, waits: dict[str, tuple[float, int]]) -> list[Path]:
    """The table."""
    here = machine()
    return tables.write(
        path,
        [
            {"what": what, "time": Number(took, digits=0), "at most": limit, "kept": took <= limit}
            for what, (took, limit) in waits.items()
        ],
        caption="How long a reader waits.",
        source=f"{here['cpu']}, {here['cores']} cores, {here['memory_gb']} GB of memory, GPU: {here['gpu'] or 'none'}.",
        units={"time": "s", "at most": "s"},
        notes=[
            "One run of each, one after another, in a fresh clone with the environment in place. What "
            f"{' and '.join(DRAWN)} write is byte for byte what Git has. The demo drew with DALL·E Mini. Notebooks ran "
            "from top to bottom with the parameters that stand in them."
        ],
        stage="none: `python -m benchmarks.reading`",
        sources=["benchmarks/reading.py"],
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
