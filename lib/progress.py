"""Progress lines with an estimate of the time left."""

import time


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
        if now - self.printed < self.every and done < self.total:
            return
        if done >= self.total and now - self.started < self.every:
            return  # short work stays silent
        self.printed = now
        fresh = max(done - self.already, 1)
        left = (now - self.started) / fresh * (self.total - done)
        shown = "  ".join(f"{key} {value:.4g}" for key, value in numbers.items())
        print(
            f"[{self.name}] {done}/{self.total}  {100 * done // self.total} %  {shown}  {_span(left)} left", flush=True
        )


def _span(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.1f} min"
