"""Detection of the machine."""

import json
import os
import platform
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib import hardware


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="cores cannot be limited on this system")
def test_cores_are_limited_before_any_framework_starts():
    program = (
        "from lib.hardware import use_cores; use_cores(1)\n"
        "import os, torch\n"
        "print(len(os.sched_getaffinity(0)), torch.get_num_threads(), os.environ['OMP_WAIT_POLICY'])\n"
        "print(os.environ['GOMP_SPINCOUNT'])"
    )
    environment = {key: value for key, value in os.environ.items() if "OMP" not in key}
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment)
    assert answer.stdout == f"1 1 PASSIVE\n{hardware.SPINS}\n", answer.stderr


def test_a_users_variables_change_no_result():
    theirs = {
        **{"JAX_ENABLE_X64": "1", "JAX_PLATFORMS": "cuda", "XLA_FLAGS": "--no_such_flag", "MPLBACKEND": "none"},
        **{"TORCH_LOGS": "all", "OMP_NUM_THREADS": "7", "OMP_WAIT_POLICY": "ACTIVE", "MKL_CBWR": "AVX"},
        **{"MATPLOTLIBRC": "/mine", "JAX_PROCESS_ID": "1", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"},
    }
    program = (
        "from lib.hardware import use_cores; use_cores(1)\n"
        "import json, os; print(json.dumps(dict(os.environ)))\n"
        "import jax.numpy; print(jax.numpy.zeros(1, float).dtype, jax.default_backend())"
    )
    others = hardware.switches(os.environ)  # PyTorch sets some of its own in the process of other tests
    environment = {name: value for name, value in os.environ.items() if name not in others} | theirs
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment)
    first, second = answer.stdout.splitlines()
    left = json.loads(first)
    assert second == "float32 cpu", answer.stderr
    assert {name for name in theirs if name in left} == {
        *("OMP_NUM_THREADS", "OMP_WAIT_POLICY", "MATPLOTLIBRC", "JAX_PROCESS_ID", "XLA_PYTHON_CLIENT_PREALLOCATE"),
    }
    assert (left["OMP_NUM_THREADS"], left["OMP_WAIT_POLICY"], left["MATPLOTLIBRC"]) == ("1", "PASSIVE", os.devnull)
    said = "ignored, since a result must not depend on it: JAX_ENABLE_X64, JAX_PLATFORMS, MKL_CBWR, MPLBACKEND, TORCH_"
    assert answer.stderr.startswith(said)


def test_matplotlib_takes_no_settings_of_a_user(tmp_path):
    (tmp_path / "matplotlibrc").write_text("axes.facecolor: yellow\n")
    program = (
        "from lib.hardware import use_cores; use_cores(1)\n"
        "import matplotlib; print(matplotlib.rcParams['axes.facecolor'])"
    )
    environment = {**os.environ, "MPLCONFIGDIR": str(tmp_path)}
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment)
    assert answer.stdout == "white\n", answer.stderr


def test_bf16_follows_the_flags(monkeypatch):
    for flags, fast in (({"avx512f"}, False), ({"avx512_bf16"}, True), ({"amx_bf16"}, True), (set(), False)):
        monkeypatch.setattr(hardware, "cpu_flags", lambda flags=flags: frozenset(flags))
        assert hardware.has_fast_bf16() is fast


def test_the_machine_is_described_in_plain_values():
    here = hardware.machine()
    assert here["cores"] >= 1 and here["memory_gb"] > 0 and here["cpu"]


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="concerns glibc's malloc")
def test_freed_memory_is_kept_and_used_again():
    program = (
        "import ctypes, resource\n"
        "from lib.hardware import keep_freed_memory; keep_freed_memory()\n"
        "libc = ctypes.CDLL(None); libc.malloc.restype = ctypes.c_void_p\n"
        "def fill():\n"
        "    block = ctypes.c_void_p(libc.malloc(1 << 26)); ctypes.memset(block, 1, 1 << 26); libc.free(block)\n"
        "fill(); before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt; fill()\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before < 1000)"  # of 16384 pages
    )
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert answer.stdout == "True\n", answer.stderr


def test_jax_sees_as_many_devices_as_it_is_told():
    program = "from lib.hardware import use_jax_devices; use_jax_devices(3); import jax; print(jax.device_count())"
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert answer.stdout == "3\n", answer.stderr


@settings(deadline=None)
@given(st.integers(1, 40), st.integers(1, 400), st.integers(1, 8), st.integers(1, 8))
def test_any_number_of_threads_finds_devices_that_divide_the_batch(most, rows, parts, model):
    batch = rows * parts
    found = hardware.devices_that_divide(most, batch, parts, model)
    assert found % model == 0 and 0 < found <= max(most, model) and batch % (parts * found // model) == 0
    larger = range(found + model, max(most, model) + 1, model)
    assert not any(batch % (parts * count // model) == 0 for count in larger)
    if batch % (parts * most) == 0 and model == 1:  # what was let through before
        assert found == most
