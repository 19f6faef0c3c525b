"""Detection of the machine."""

import os
import subprocess
import sys

import pytest

from lib import hardware


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="cores cannot be limited on this system")
def test_cores_are_limited_before_any_framework_starts():
    program = (
        "from lib.hardware import use_cores; use_cores(1)\n"
        "import os, torch\n"
        "print(len(os.sched_getaffinity(0)), torch.get_num_threads(), os.environ['OMP_WAIT_POLICY'])"
    )
    environment = {key: value for key, value in os.environ.items() if not key.startswith("OMP")}
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment)
    assert answer.stdout == "1 1 PASSIVE\n", answer.stderr


def test_bf16_follows_the_flags(monkeypatch):
    for flags, fast in (({"avx512f"}, False), ({"avx512_bf16"}, True), ({"amx_bf16"}, True), (set(), False)):
        monkeypatch.setattr(hardware, "cpu_flags", lambda flags=flags: frozenset(flags))
        assert hardware.has_fast_bf16() is fast


def test_the_machine_is_described_in_plain_values():
    here = hardware.machine()
    assert here["cores"] >= 1 and here["memory_gb"] > 0 and here["cpu"]
