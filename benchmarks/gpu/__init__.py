"""One GPU with this repository's networks: `benchmarks/gpu.sh`."""
