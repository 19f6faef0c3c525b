"""Settings that must be in place before torch or jax is imported, and which tests one of several processes takes."""

import os

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
# Tests compile many programs and run each for milliseconds: optimising them costs more than it saves.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")
# Parts of stages run in the test's own process; tests/pipeline/test_engine.py has the other engines.
# Not a default: `make test` sets the variable, to nothing.
os.environ["EASEL_ENGINE"] = "here"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    """With `--dist loadgroup`, one process takes all tests of a file, unless they have another group.

    So fixtures of a module are made once, and what its tests compile is compiled once.
    """
    if config.getoption("loadgroup", False):
        for item in items:
            if not any(item.iter_markers("xdist_group")):
                item.add_marker(pytest.mark.xdist_group(item.path.relative_to(config.rootpath).as_posix()))
