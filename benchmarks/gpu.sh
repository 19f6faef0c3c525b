#!/bin/sh
# Training rate and latency of this repository's networks on one GPU, about ten minutes: results/benchmarks/gpu.md.
# Without a GPU, a rehearsal at a tiny size: build/benchmarks/gpu.md. PYTHON names another interpreter, such as one whose
# PyTorch has CUDA: the environment of requirements.lock is for CPUs.
cd "$(dirname "$0")/.." || exit 1
python=${PYTHON:-.venv/bin/python}
if ! command -v "$python" > /dev/null; then
  echo "error: there is no $python; run \`make environment\`, or name an interpreter: PYTHON=python3 benchmarks/gpu.sh" >&2
  exit 2
fi
PYTHONPATH=. exec "$python" -m benchmarks.gpu "$@"
