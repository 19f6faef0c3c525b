"""Parts of a stage for tests: their work is here, since workers import it."""

import os
import signal
import time
from pathlib import Path

import numpy as np

from lib.errors import EaselError
from lib.pipeline.parts import Part
from lib.progress import Progress


def sums(training, *, seed, size=300, log=None):
    """Numbers that depend on the order in which threads add: a product and its mean."""
    import torch

    if log:
        with open(log, "a") as file:
            file.write(f"{seed}\n")
    progress = Progress("sums", 5)
    values = torch.randn(size, size, generator=torch.Generator().manual_seed(seed))
    for step in range(5):
        values = torch.softmax(values @ values.T / size, dim=1) + 0.1 * values
        progress.update(step + 1)
    cores = len(os.sched_getaffinity(0)), torch.get_num_threads()
    return {"values": values.numpy()}, {"mean": float(values.mean()), "cores": cores, "process": os.getpid()}


def jax_sums(training, *, seed):
    """The same with JAX, which counts the cores that it may use."""
    import jax

    values = jax.numpy.asarray(np.random.default_rng(seed).standard_normal((300, 300)), jax.numpy.float32)
    values = jax.nn.softmax(values @ values.T / 300)
    return {"values": np.asarray(values)}, {"mean": float(values.mean())}


def killed_once(training, *, seed, mark):
    """Ends its worker as `kill -9` does, the first time."""
    if not Path(mark).exists():
        Path(mark).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return sums(training, seed=seed, log=f"{mark}.log")


def always_killed(training, *, seed):
    os.kill(os.getpid(), signal.SIGKILL)


def refused(training, *, seed):
    raise EaselError("there are no such pictures; name others.")


def spans(training, *, seed, log):
    """When it was at work."""
    began = time.monotonic()
    time.sleep(0.3)
    with open(log, "a") as file:
        file.write(f"{began} {time.monotonic()}\n")
    return {"seed": np.array(seed)}, {}


def slow(training, *, seed, log):
    with open(log, "a") as file:
        file.write(f"{os.getpid()}\n")
    time.sleep(60)


def part(work, seed, **others):
    settings = {name: others.pop(name) for name in list(others) if name in ("log", "mark")}
    return Part(f"{work.__name__} {seed}", work, {"seed": seed} | settings, **others)
