"""Long stages as lists of parts – a training, a seed, a run of a decoder – that run side by side and are kept.

A part is known by all that decides its result: its function with the modules that this imports, its arguments, the
files that it reads, the number of its threads. What a part with the same key has left in build/parts/ is taken as it
is, whichever run it is from. So after a change a stage computes those parts anew that the change touches, and a killed
one loses what was at work. After a refactor that cannot change results, a sample may do (lib/pipeline/take_over.py).

A part computes on as many threads as it says, whatever the machine has, so that its bits do not depend on how many of
them run at once, or where (lib/pipeline/engine.py).
"""

import hashlib
import importlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import chdir
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

import lib
from lib import progress
from lib.config_tree import plain
from lib.hardware import machine
from lib.imports import module_path, needed
from lib.pipeline import engine, take_over
from lib.pipeline.stage import Training, content
from lib.pipeline.take_over import Identity
from lib.weights import checkpoint

PARTS = Path("build/parts")
ROOT = Path(lib.__file__).parents[1]
Result = tuple[dict[str, np.ndarray], dict[str, Any]]


@dataclass(frozen=True)
class Part:
    """A piece of a stage's work.

    Attributes:
        name: for people, unlike the other parts' names.
        work: a function at the top of its module: (training, **arguments) → arrays, JSON-able numbers. `training` says
            where to keep a checkpoint on the way.
        arguments: values and sections of settings. All of them count: what does not change the result is not given.
        inputs: files and folders that it reads.
        code: modules that it loads by name, beside those that its own imports.
        timed: measures time. Runs alone, after the others; is never taken from an earlier run; says on which machine.
        size: how long it takes, in whatever unit the parts of a stage share.
        threads: that it computes on.
    """

    name: str
    work: Callable[..., Result]
    arguments: Mapping[str, Any]
    inputs: Sequence[Path] = ()
    code: Sequence[str] = ()
    timed: bool = False
    size: float = 1.0
    threads: int = 1

    @property
    def key(self) -> str:
        """sha256 of all that decides the result."""
        return self.identity().key

    def identity(self) -> Identity:
        """What it is known by; reads all inputs."""
        modules = [self.work.__module__, *self.code]
        sources = {path: found for module in modules for path, found in _sources(ROOT, module).items()}
        given = {
            "work": self.work_name,
            "arguments": {name: plain(value) for name, value in self.arguments.items()},
            "inputs": {str(path): content(path) for path in self.inputs},
            "threads": self.threads,
        }
        return Identity(_hash(given | {"sources": sources}), _hash(given), sources)

    @property
    def work_name(self) -> str:
        """Module and name of its function."""
        return f"{self.work.__module__}:{self.work.__qualname__}"


@dataclass(frozen=True)
class _Task(engine.Task):
    """What a worker is sent of a part."""

    module: str = ""
    function: str = ""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    path: Path = Path()
    key: str = ""
    timed: bool = False

    def run(self) -> None:
        """Computes the part and keeps it, unless a worker just did, whose pool was lost before it could say so."""
        if self.path.is_file():
            return
        training = Training(self.path.with_suffix(".training"), self.key)
        work = getattr(importlib.import_module(self.module), self.function)
        started = time.monotonic()
        with progress.written_to(self.progress):
            arrays, numbers = work(training, **self.arguments)
        numbers |= {"minutes": (time.monotonic() - started) / 60} | ({"machine": machine()} if self.timed else {})
        checkpoint.save(self.path, arrays, numbers)
        training.checkpoint.unlink(missing_ok=True)


def _hash(what: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()


@cache
def _sources(root: Path, module: str) -> dict[str, str]:
    """The modules that one needs, by path, with hashes of what they do."""
    with chdir(root):
        return {str(path): found for path, found in needed(module_path(module), by_name=False).items()}


def run(stage: str, parts: Sequence[Part]) -> dict[str, Path]:
    """Computes the parts that are not there yet; those that are equal once. Name → what `work` returned, a file that
    `lib.weights.checkpoint.load` reads.

    Raises:
        EaselError: as of the parts' work. What was finished is kept. Also, if results are to be taken over, one that
            the new code changes, or an EASEL_TAKE_OVER that is no number.
    """
    folder, number = PARTS / stage, take_over.asked()
    identities = {part.name: part.identity() for part in parts}
    if len(identities) < len(parts):
        raise ValueError(f"stage {stage} has parts of equal names")
    paths = {name: identity.path(folder) for name, identity in identities.items()}
    tasks: dict[Path, _Task] = {}
    for part in parts:
        path = paths[part.name]
        if part.timed:
            path.unlink(missing_ok=True)
        if not path.is_file():
            tasks[path] = _Task(
                name=part.name,
                size=part.size,
                threads=part.threads,
                alone=part.timed,
                progress=path.with_suffix(".progress"),
                module=part.work.__module__,
                function=part.work.__qualname__,
                arguments=part.arguments,
                path=path,
                key=identities[part.name].key,
                timed=part.timed,
            )
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.glob("*.progress"):  # of a run that was killed
        path.unlink()
    kept = len(set(paths.values())) - len(tasks)
    if kept:
        print(f"[{stage}] {kept} of {kept + len(tasks)} parts are there already", flush=True)
    if number:
        timed = {paths[part.name] for part in parts if part.timed}
        kinds = {part.name: (part.work_name, *part.code) for part in parts if paths[part.name] not in timed}
        found = take_over.candidates(folder, kinds, identities)
        if any(one.after in tasks for one in found):
            sample = [one.after for one in take_over.sample(found, number)]
            engine.run(stage, [tasks.pop(path) for path in sample if path in tasks])
            for path in take_over.take(stage, found):
                del tasks[path]
    engine.run(stage, list(tasks.values()))
    take_over.write_index(folder, identities)
    return paths
