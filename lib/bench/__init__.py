"""Benchmarks: how fast the models run on this machine. No stages, since their numbers differ from run to run."""
