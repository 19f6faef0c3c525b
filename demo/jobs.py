"""Drawings that wait for their turn: one is drawn at a time, the others queue."""

import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lib.errors import EaselError
from lib.progress import written_to

MOST, KEPT = 8, 32  # drawings that may wait; those whose results are kept


@dataclass
class Job:
    """A drawing. `answer` is what its work returned, with the milliseconds that it took, or the error in a sentence."""

    work: Callable[[], dict[str, Any]]
    state: str = "waiting"  # then drawing, then done or failed
    answer: dict[str, Any] = field(default_factory=dict)


class Jobs:
    """A queue and the thread that works on it."""

    def __init__(self) -> None:
        self.jobs, self.last, self.lock = dict[int, Job](), 0, threading.Lock()
        self.thread = ThreadPoolExecutor(max_workers=1)
        self.folder = tempfile.TemporaryDirectory()
        self.progress = Path(self.folder.name) / "progress"

    def add(self, work: Callable[[], dict[str, Any]]) -> int:
        """Queues a drawing. Returns its number. Raises EaselError: too many wait already."""
        with self.lock:
            if sum(job.state == "waiting" for job in self.jobs.values()) >= MOST:
                raise EaselError(f"{MOST} drawings wait already; try again when some are done.")
            self.last += 1
            self.jobs[self.last] = Job(work)
            for number in list(self.jobs)[:-KEPT]:
                if self.jobs[number].state in ("done", "failed"):
                    del self.jobs[number]
            self.thread.submit(self._run, self.last)
            return self.last

    def state(self, number: int) -> dict[str, Any]:
        """What is known of a drawing: state; how many are before it, or the share that is drawn; its answer.

        Raises:
            EaselError: there is no such drawing, or it was long ago.
        """
        with self.lock:
            if (job := self.jobs.get(number)) is None:
                raise EaselError(f"there is no drawing {number}; only the last {KEPT} are kept.")
            said: dict[str, Any] = {"state": job.state} | job.answer
            if job.state == "waiting":
                said["before"] = sum(
                    other.state in ("waiting", "drawing") for at, other in self.jobs.items() if at < number
                )
        if job.state == "drawing":
            with suppress(OSError, ValueError):  # being written
                said["share"] = float(self.progress.read_text())
        return said

    def close(self) -> None:
        """Drops what waits, and waits for what is being drawn."""
        self.thread.shutdown(cancel_futures=True)
        self.folder.cleanup()

    def _run(self, number: int) -> None:
        job = self.jobs[number]
        job.state, began = "drawing", time.perf_counter()
        try:
            with written_to(self.progress):
                answer = job.work()
            ended = "done"
            answer["milliseconds"] = round(1000 * (time.perf_counter() - began))
        except EaselError as error:
            ended, answer = "failed", {"error": str(error)}
        except Exception:  # an error of ours: the page must not wait forever
            traceback.print_exc(file=sys.stderr)
            ended, answer = "failed", {"error": "This went wrong in the program itself; its terminal says where."}
        with self.lock:
            job.answer, job.state = answer, ended
