"""Runs tasks side by side with joblib: on as many cores as there are, or on a dask cluster.

The variable EASEL_ENGINE, which `make` fills from ENGINE, says where: nothing for all cores of this machine, one
process a core (one in all where there is a GPU),
`processes:2` for that many processes here, `dask://host:port` for the workers of that scheduler. All of them need the
same folder of the same disk, and are started in it: `PYTHONPATH=. dask scheduler`, then on every machine
`PYTHONPATH=. dask worker tcp://host:port --nthreads 1 --nworkers 8`.
`here` runs one task after another in this very process, on the threads that it has: for a debugger.
"""

import os
import pickle
import random
import re
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lib import hardware
from lib.errors import EaselError, explained, shortened
from lib.progress import span

VARIABLE = "EASEL_ENGINE"
HERE = "here"
EVERY = 10.0  # seconds between progress lines
TRIES = 3  # of a task whose worker was killed


@dataclass(frozen=True)
class Task:
    """What a worker runs.

    Attributes:
        name: for people.
        size: how long it takes, in whatever unit; long ones begin first.
        threads: that it computes on.
        alone: with nothing beside it.
        progress: file in which it says which share of it is done.
    """

    name: str
    size: float
    threads: int
    alone: bool
    progress: Path

    def run(self) -> None:
        """The work; leaves its result in files."""
        raise NotImplementedError


def check(engine: str) -> None:
    """Raises EaselError if EASEL_ENGINE says something that this module does not know, or no scheduler is there."""
    _processes(engine)
    with _client(engine):
        pass


def run(name: str, tasks: Sequence[Task], engine: str | None = None, order: random.Random | None = None) -> None:
    """Runs all tasks; those that go alone after the others, one by one.

    Args:
        name: for the progress lines.
        engine: as EASEL_ENGINE, which it stands for if not given.
        order: shuffles the tasks; without it, long ones begin first.

    Raises:
        EaselError: as of the tasks. What was finished is kept.
    """
    engine = os.environ.get(VARIABLE, "") if engine is None else engine
    waiting = sorted(tasks, key=lambda task: -task.size)
    if order:
        order.shuffle(waiting)
    board = _Board(name, waiting)
    with _client(engine), board:
        for alone in (False, True):
            _run_all([task for task in waiting if task.alone == alone], engine, board, alone)


def _run_all(tasks: list[Task], engine: str, board: "_Board", alone: bool) -> None:
    # Not at the top: it sets variables of the environment, which this repository looks through first.
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    for threads in sorted({task.threads for task in tasks}):
        left = {task.name: task for task in tasks if task.threads == threads}
        tries = 0
        while left:
            try:
                for done in _results(list(left.values()), engine, threads, alone):
                    left.pop(done)
                    board.finished(done)
            except TerminatedWorkerError as error:
                tries += 1
                if tries == TRIES:
                    raise EaselError(
                        f"workers were ended {TRIES} times, by the system if memory ran out, or by a person. What was "
                        "finished is kept; free some memory, or run the same command with ENGINE=processes:1."
                    ) from error
                print(f"[{board.name}] a worker was ended; what it was at begins again", flush=True)


def _results(tasks: list[Task], engine: str, threads: int, alone: bool) -> Iterator[str]:
    """The names of the tasks, each when it is done."""
    if engine == HERE:
        for task in tasks:
            yield _run(task)
        return
    if engine.startswith("dask://"):
        backend, count, cores = "dask", -1, None
    else:
        # A pool has two processes at least: joblib would run a single one's tasks in this process.
        backend, cores = "loky", hardware.CORES
        # Tasks share a graphics card badly: each would want its memory for itself.
        count = _processes(engine) or (1 if hardware.gpu_name() else max(len(cores) // threads, 1))
    import joblib

    at_once = 1 if alone or count == 1 else "all"
    parent = os.getpid() if backend == "loky" else None
    # A pool for another number of threads is another pool: numpy, and JAX, do not change theirs.
    own = {"n_jobs": max(count, 2), "inner_max_num_threads": threads} if backend == "loky" else {"n_jobs": count}
    with joblib.parallel_config(backend=backend, **own):
        parallel = joblib.Parallel(return_as="generator_unordered", pre_dispatch=at_once, batch_size=1)
        yield from parallel(
            joblib.delayed(_work)(pickle.dumps(task), str(Path.cwd()), threads, cores, parent) for task in tasks
        )


def _work(task: bytes, folder: str, threads: int, cores: list[int] | None, parent: int | None) -> str:
    """Runs a task in a worker. It comes in bytes: what it imports must not be there before the threads are set."""
    os.chdir(folder)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    _settle(threads, cores, parent)
    try:
        return _run(pickle.loads(task))
    except Exception as error:
        sentence = explained(error)
        if sentence is None:
            raise
        raise EaselError(sentence) from None  # which can be sent back, whatever the error was


def _run(task: Task) -> str:
    task.run()
    task.progress.unlink(missing_ok=True)
    return task.name


_settled: dict[str, Any] = {}  # of this process: its cores, held by open files


def _settle(threads: int, cores: list[int] | None, parent: int | None) -> None:
    """Gives this worker cores of its own, as many as it may have threads, and an end with its parent's."""
    if _settled.get("threads") == threads:
        return
    for file in _settled.pop("files", []):
        file.close()
    files, taken = hardware.take_cores(threads, cores or hardware.CORES)
    hardware.set_variables(say=False)  # joblib sets some, and the stage has said which were the user's
    hardware.use_these_cores(taken)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(threads)
    _settled.update(threads=threads, files=files)
    if parent is not None and "parent" not in _settled:
        _settled["parent"] = parent
        threading.Thread(target=_end_with, args=[parent], daemon=True).start()


def _end_with(parent: int) -> None:
    """Ends this process when the one that started it has ended, killed or not: nobody waits for the result."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


def _processes(engine: str) -> int | None:
    """How many processes EASEL_ENGINE asks for; None for as many as there are cores, and elsewhere."""
    found = re.fullmatch(r"(?:here|dask://\S+:\d+)?|processes:([1-9]\d{0,3})", engine)
    if not found:
        raise EaselError(
            f"ENGINE is {engine!r}; it can be processes:<how many>, dask://<host>:<port>, here, or nothing."
        )
    return int(found[1]) if found[1] else None


@contextmanager
def _client(engine: str) -> Iterator[None]:
    """While dask is used, the way to its scheduler."""
    if not engine.startswith("dask://"):
        yield
        return
    from distributed import Client

    address = engine.replace("dask://", "tcp://")
    try:
        client = Client(address, timeout="10s", set_as_default=True)
    except (OSError, ValueError) as error:
        raise EaselError(
            f"ENGINE={engine}: no dask scheduler answers there. Start `dask scheduler`, then workers."
        ) from error
    with client:
        if not client.scheduler_info()["workers"]:
            raise EaselError(f"ENGINE={engine}: the scheduler has no workers. Start some: `dask worker {address}`.")
        try:
            client.submit(_processes, "").result(timeout=60)
        except Exception as error:  # whichever it is, in another process
            raise EaselError(
                f"ENGINE={engine}: its scheduler or workers do not find this repository ({shortened(str(error))}). "
                "Start them in its folder with PYTHONPATH=."
            ) from error
        yield


class _Board:
    """One progress line for all that runs."""

    def __init__(self, name: str, tasks: Sequence[Task]):
        self.name, self.tasks = name, {task.name: task for task in tasks}
        self.done: set[str] = set()
        self.started = time.monotonic()
        self._end = threading.Event()

    def __enter__(self) -> "_Board":
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def finished(self, name: str) -> None:
        self.done.add(name)

    def _watch(self) -> None:
        while not self._end.wait(EVERY):
            print(self.line(), flush=True)

    def line(self) -> str:
        """What is done, what is at work, how long it still takes."""
        total = sum(task.size for task in self.tasks.values())
        shares = {name: _share(task.progress) for name, task in self.tasks.items() if name not in self.done}
        at_work = {name: share for name, share in shares.items() if share is not None}
        done = sum(self.tasks[name].size for name in self.done)
        done += sum(self.tasks[name].size * share for name, share in at_work.items())
        left = (time.monotonic() - self.started) * (total - done) / done if done else None
        shown = ", ".join(f"{name} {100 * share:.0f} %" for name, share in list(at_work.items())[:8])
        time_left = f"  {span(left)} left" if left is not None else ""
        return (
            f"[{self.name}] {len(self.done)}/{len(self.tasks)}  {100 * done / total:.0f} %  at work: {shown}{time_left}"
        )


def _share(path: Path) -> float | None:
    """What a task says of itself; None if it is not at work."""
    try:
        return float(path.read_text() or 0)
    except (OSError, ValueError):
        return None
