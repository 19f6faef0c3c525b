"""What this machine is and can do: detected, never assumed."""

import ctypes
import os
import platform
import shutil
from functools import cache
from pathlib import Path

M_TRIM_THRESHOLD, M_MMAP_MAX, M_ARENA_MAX = -1, -4, -8  # of glibc's malloc.h
SPINS = 5000  # of a waiting OpenMP thread, before it goes to sleep


def use_cores(count: int) -> None:
    """Limits this process, and whatever it starts, to `count` cores. Call before torch, jax or numpy is imported.

    The number of threads decides the order in which floating-point sums are taken, so it belongs to the result. JAX has
    no setting for it: it follows the cores that the process may run on.
    """
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:count])
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[variable] = str(count)
    # Waiting threads that spin make everything several times slower as soon as another process wants a core. Threads
    # that go to sleep at once slow small networks, whose operations are short.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("GOMP_SPINCOUNT", str(SPINS))
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


def use_jax_devices(count: int) -> None:
    """Makes JAX see `count` CPU devices, between which it splits a batch. Call before anything is computed with it."""
    keep_freed_memory()
    import jax

    jax.config.update("jax_num_cpu_devices", count)


def devices_that_divide(most: int, batch: int, parts: int = 1, model: int = 1) -> int:
    """The most CPU devices, of `most`, between which a batch splits evenly; at least those of one model.

    Args:
        parts: of the batch, one after another, each of which is split.
        model: devices that share one copy of the parameters.
    """
    counts = range(max(most, model) // model, 0, -1)
    return model * next((count for count in counts if batch % (parts * count) == 0), 1)


def keep_freed_memory() -> None:
    """Makes malloc keep what this process frees, for the process to use again (glibc; elsewhere does nothing).

    For JAX alone: PyTorch's training steps take 1.3 times as long with it.

    XLA allocates the working memory of a program anew at every call. Large blocks are otherwise handed back to the
    system each time, which then clears them page by page as the next call first touches them: at the sizes of a
    training step that takes about as long as the arithmetic.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # no glibc
        return
    never = -1
    mallopt(M_ARENA_MAX, 1)  # other arenas than the first cannot hold a large block
    mallopt(M_MMAP_MAX, 0)  # no block of its own from the system
    mallopt(M_TRIM_THRESHOLD, never)


@cache
def cpu_flags() -> frozenset[str]:
    """Instruction-set flags of the first core (Linux); empty where they cannot be read."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return frozenset()
    return frozenset(next((line.split(":")[1].split() for line in lines if line.startswith("flags")), ()))


def has_fast_bf16() -> bool:
    """Whether bf16 matrix products beat fp32 ones on this CPU; without these instructions they are emulated."""
    return bool({"avx512_bf16", "amx_bf16"} & cpu_flags())


def cpu_name() -> str:
    """The processor's name for people."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def gpu_name() -> str | None:
    """The first NVIDIA GPU's name, or None; asks the driver's own tool, so that no framework has to be imported."""
    if not shutil.which("nvidia-smi"):
        return None
    with os.popen("nvidia-smi --query-gpu=name --format=csv,noheader 2>/dev/null") as answer:
        return answer.readline().strip() or None


def machine() -> dict[str, object]:
    """The machine, for the record beside a measurement."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    return {
        "cpu": cpu_name(),
        "cores": cores,
        "memory_gb": round(memory, 1),
        "bf16": has_fast_bf16(),
        "gpu": gpu_name(),
        "system": platform.system(),
        "python": platform.python_version(),
    }
