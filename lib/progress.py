"""Progress lines with an estimate of the time left."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_file: list[Path] = []  # where this process says what share of its work is done, instead of in lines


class Progress:
    """Prints one line every few seconds; long work reports to it as often as it likes.

    Args:
        name: what is running, at the start of every line.
        total: how many units make the whole.
        already: units that an earlier, interrupted run did; they do not count towards the speed.
        every: seconds between lines.
    """

    def __init__(self, name: str, total: int, already: int = 0, every: float = 10.0):
        self.name, self.total, self.already, self.every = name, total, already, every
        self.started = self.printed = time.monotonic()

    def update(self, done: int, **numbers: float) -> None:
        """Reports that `done` of the total are done, with numbers worth seeing."""
        now = time.monotonic()
        if _file:
            if now - self.printed > self.every / 10:
                self.printed = now
                _say(done / self.total)
            return
        if now - self.printed < self.every and done < self.total:
            return
        if done >= self.total and now - self.started < self.every:
            return  # short work stays silent
        self.printed = now
        fresh = max(done - self.already, 1)
        left = (now - self.started) / fresh * (self.total - done)
        shown = "  ".join(f"{key} {value:.4g}" for key, value in numbers.items())
        print(
            f"[{self.name}] {done}/{self.total}  {100 * done // self.total} %  {shown}  {span(left)} left", flush=True
        )


@contextmanager
def written_to(path: Path) -> Iterator[None]:
    """While it lasts, progress goes into a file as one number, the share that is done, for whoever runs this beside
    others."""
    _file.append(path)
    _say(0)
    try:
        yield
    finally:
        _file.clear()


def _say(share: float) -> None:
    with suppress(OSError):  # a full disk is for those to report who have results to write
        _file[0].write_text(f"{share:.4f}")


def span(seconds: float) -> str:
    """A time for people."""
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.1f} min"
