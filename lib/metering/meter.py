"""Seconds and operations of network calls, measured around a predictor by a meter that knows nothing of the decoder."""

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch


class Meter:
    """Adds up network calls.

    Attributes:
        seconds: inside them.

    Args:
        device: whose work a call must have ended before the clock is read.
    """

    def __init__(self, device: torch.device):
        self.device, self.seconds = device, 0.0
        self._operations = [0]  # of one picture: before the first pass, then by pass

    def call(self, work: Callable[..., Any], *arguments: Any) -> Any:
        """The result of `work`, timed."""
        started = self.clock()
        result = work(*arguments)
        self.seconds += self.clock() - started
        return result

    def count(self, operations: int, new_pass: bool = False) -> None:
        """Adds operations, of one picture, to the present pass or to a new one."""
        if new_pass:
            self._operations.append(0)
        self._operations[-1] += operations

    def clock(self) -> float:
        """Seconds on a clock of no date, after all work on the device."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()

    def watch(self, target: Any, operations: Mapping[str, Callable[..., int]], new_pass: bool = False) -> "Watched":
        """`target`, with the methods that `operations` names metered.

        Args:
            operations: from the arguments of a call to its operations for one picture.
            new_pass: whether a call begins a pass, as those of a predictor do and those of a drafter do not.
        """
        return Watched(target, self, operations, new_pass)

    def operations(self, passes: np.ndarray) -> np.ndarray:
        """Of pictures that were complete after so many passes, int [B] → int64 [B]."""
        return np.cumsum(self._operations, dtype=np.int64)[passes]


class Watched:
    """Stands for a predictor or a drafter, see `Meter.watch`."""

    def __init__(self, target: Any, meter: Meter, operations: Mapping[str, Callable[..., int]], new_pass: bool):
        self._target, self._meter, self._counts, self._new_pass = target, meter, operations, new_pass

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._target, name)
        if name not in self._counts:
            return value

        def metered(*arguments: Any) -> Any:
            self._meter.count(self._counts[name](*arguments), self._new_pass)
            return self._meter.call(value, *arguments)

        return metered
