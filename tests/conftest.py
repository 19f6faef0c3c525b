"""Settings that must be in place before torch or jax is imported."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
# Tests compile many programs and run each for milliseconds: optimising them costs more than it saves.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")
# Parts of stages run in the test's own process; tests/pipeline/test_engine.py has the other engines.
# Not a default: `make test` sets the variable, to nothing.
os.environ["EASEL_ENGINE"] = "here"
