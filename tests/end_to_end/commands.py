"""Commands as a newcomer types them, for the tests of this folder."""

import os
import re
import subprocess
from pathlib import Path

REPOSITORY = Path(__file__).parent.parent.parent
SHADOW, LAPTOP = REPOSITORY / "runs" / "smoke", REPOSITORY / "results" / "laptop"
ENVIRONMENT = {
    # Without what tests/conftest.py sets for unit tests.
    **{key: value for key, value in os.environ.items() if key not in ("OMP_NUM_THREADS", "XLA_FLAGS")},
    "PATH": f"{REPOSITORY / '.venv' / 'bin'}:{os.environ['PATH']}",
    "OMP_WAIT_POLICY": "PASSIVE",
    "DVC_NO_ANALYTICS": "1",
}


def call(*command, cwd=SHADOW, check=True):
    """Runs a command to its end; its output is in the error if it fails."""
    answer = subprocess.run(command, cwd=cwd, env=ENVIRONMENT, capture_output=True, text=True)
    if check and answer.returncode:
        raise AssertionError(f"{' '.join(command)} failed:\n{answer.stdout[-4000:]}\n{answer.stderr[-4000:]}")
    return answer


def ran(printed):
    """The stages that `dvc repro` says it ran, but for `inputs`, which looks outside every time."""
    return [name for name in re.findall(r"Running stage '(.+?)'", printed) if name != "inputs"]
