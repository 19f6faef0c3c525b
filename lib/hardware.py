"""What this machine is and can do: detected, never assumed."""

import ctypes
import fcntl
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import IO

# Those that this process may run on, before it limits itself.
CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))
M_TRIM_THRESHOLD, M_MMAP_MAX, M_ARENA_MAX = -1, -4, -8  # of glibc's malloc.h
SPINS = 5000  # of a waiting OpenMP thread, before it goes to sleep
FAST_COMPILING = "--xla_backend_optimization_level=0"  # XLA_FLAGS of runs that compile much and compute little

# How variables begin that change what the same program computes or draws. Which device computes is no such thing:
# CUDA_VISIBLE_DEVICES says it, and what a measurement was made on is recorded beside it.
SWITCHES = (
    *("JAX_", "XLA_", "FLAX_", "TF_XLA_", "TF_FORCE_", "TORCH", "PYTORCH_", "CUBLAS_", "CUDNN_", "NVIDIA_TF32_"),
    *("OMP_", "GOMP_", "KMP_", "MKL_", "DNNL_", "ONEDNN_", "OPENBLAS_", "GOTO_", "BLIS_", "VECLIB_", "NPY_"),
    *("NUMEXPR_", "MPL", "MATPLOTLIB", "SOURCE_DATE_EPOCH"),
)
# Of these, what several processes that train together need (lib/training/mesh.py), and shares of a GPU's memory.
ALLOWED = ("JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID", "XLA_PYTHON_CLIENT_", "MPLCONFIGDIR")
# What this repository sets instead, in every process that computes.
OURS = {
    # Waiting threads that spin make everything several times slower as soon as another process wants a core. Threads
    # that go to sleep at once slow small networks, whose operations are short.
    "OMP_WAIT_POLICY": "PASSIVE",
    "GOMP_SPINCOUNT": str(SPINS),
    "TOKENIZERS_PARALLELISM": "false",
    "MATPLOTLIBRC": os.devnull,  # matplotlib's own settings, and no user's
}
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def switches(variables: Mapping[str, str]) -> list[str]:
    """The variables among these that would change results, in order; not the ones that this repository sets itself."""
    return sorted(
        name
        for name, value in variables.items()
        if name.startswith(SWITCHES)
        and not name.startswith(ALLOWED)
        and OURS.get(name) != value
        and (name, value) != ("XLA_FLAGS", FAST_COMPILING)
    )


def set_variables(say: bool = True) -> None:
    """Takes what would change results out of this process's variables, and sets what this repository needs.

    Args:
        say: which were taken out, on the console.
    """
    found = switches(os.environ)
    for name in found:
        del os.environ[name]
    os.environ.update(OURS)
    said = [name for name in found if name not in (*THREADS, *OURS)]
    if said and say:
        print(f"ignored, since a result must not depend on it: {', '.join(said)}", file=sys.stderr)


def use_cores(count: int) -> None:
    """Limits this process, and whatever it starts, to `count` cores. Call before torch, jax or numpy is imported.

    The number of threads decides the order in which floating-point sums are taken, so it belongs to the result. JAX has
    no setting for it: it follows the cores that the process may run on.
    """
    set_variables()
    use_these_cores(CORES[:count], count)


def use_these_cores(cores: Sequence[int], count: int | None = None) -> None:
    """Limits this process to `cores`, and libraries to `count` threads, if not to as many as there are cores."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cores)
    for variable in THREADS:
        os.environ[variable] = str(count or len(cores))


def take_cores(count: int, cores: Sequence[int]) -> tuple[list[IO], list[int]]:
    """Cores that no other worker of this user has taken, as long as there are any.

    Returns:
        files whose locks hold them until they are closed, and the cores.
    """
    folder = Path(tempfile.gettempdir(), f"easel-{os.getuid()}")
    folder.mkdir(mode=0o700, exist_ok=True)
    files, taken = [], []
    for core in cores:
        if len(taken) < count:
            file = open(folder / f"core-{core}", "w")  # noqa: SIM115
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                file.close()
                continue
            files.append(file)
            taken.append(core)
    start = os.getpid() % len(cores)
    others = [core for core in [*cores[start:], *cores[:start]] if core not in taken]
    return files, sorted(taken + others[: count - len(taken)])


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
        "load": round(os.getloadavg()[0], 2),  # processes that wanted a core, mean of the last minute
        "memory_gb": round(memory, 1),
        "bf16": has_fast_bf16(),
        "gpu": gpu_name(),
        "system": platform.system(),
        "python": platform.python_version(),
    }
