"""The training loop, for any framework: order of the data, checkpoints, exact resume, history, progress."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np

from lib.errors import EaselError
from lib.progress import Progress
from lib.training.order import BatchOrder
from lib.weights import checkpoint as checkpoints


class Trainee(Protocol):
    """What `fit` trains. Randomness inside `step` comes from (seed, step) alone, so no generator has to be saved."""

    def step(self, step: int, indices: np.ndarray) -> dict[str, float]:
        """One update on the items `indices`, int64 [batch]; returns numbers to log."""

    def state(self) -> dict[str, np.ndarray]:
        """Everything that an update changes."""

    def load_state(self, arrays: dict[str, np.ndarray]) -> None:
        """Takes back what `state` gave."""


def fit(
    trainee: Trainee,
    *,
    name: str,
    steps: int,
    order: BatchOrder,
    checkpoint: Path,
    fingerprint: str,
    save_every: float = 20.0,
    points: int = 60,
    first: bool = True,
    agree: Callable[[bool], bool] = bool,
) -> list[dict[str, float]]:
    """Trains for `steps` updates, resuming from `checkpoint` if it is there.

    An interrupted and resumed run ends in the same state, bit for bit, as one that was never interrupted.

    Args:
        name: for the progress lines.
        steps: updates in all.
        order: which items each update sees.
        checkpoint: file to write after the first update, so that a disk too small for it is known at once, then every
            `save_every` seconds, and at the end.
        fingerprint: of configuration, code and data; a checkpoint with another one is refused.
        points: about how many entries the history gets.
        first: whether this process, of those that train together, is the one that writes and reports.
        agree: takes what this process would decide and returns what all of them do; the clocks of several differ.

    Returns:
        The history: dicts with `step` (1-based, the last one averaged) and the mean of each logged number since the
        entry before.

    Raises:
        EaselError: the checkpoint belongs to another fingerprint, a number became NaN or infinite, the disk is full.
    """
    done, history, sums, unsaved = 0, [], {}, True
    if checkpoint.exists():
        arrays, meta = checkpoints.load(checkpoint)
        if meta["fingerprint"] != fingerprint:
            raise EaselError(
                f"{checkpoint} was written by another configuration, code or data set; delete it to start over."
            )
        trainee.load_state(arrays)
        done, history, sums = meta["step"], meta["history"], meta["sums"]
        print(f"[{name}] resumes at step {done} of {steps} from {checkpoint}", flush=True)

    def save() -> None:
        meta = {"fingerprint": fingerprint, "step": done, "history": history, "sums": sums}
        arrays = trainee.state()
        if first:
            checkpoints.save(checkpoint, arrays, meta)

    every = max(steps // points, 1)
    progress = Progress(name, steps, already=done)
    saved = time.monotonic()
    while done < steps:
        numbers = trainee.step(done, order.indices(done))
        done += 1
        for key, value in numbers.items():
            if not np.isfinite(value):
                raise EaselError(f"{name}: {key} became {value} at step {done}; lower the learning rate.")
            sums[key] = sums.get(key, 0.0) + float(value)
        if done % every == 0 or done == steps:
            since = done - (history[-1]["step"] if history else 0)
            history.append({"step": done, **{key: total / since for key, total in sums.items()}})
            sums = {}
        if first:
            progress.update(done, **numbers)
        if unsaved or done == steps or agree(time.monotonic() - saved > save_every):
            save()
            saved, unsaved = time.monotonic(), False
    return history
