"""Data parallelism: arrays on all devices of a process."""

import jax
from jax.sharding import AxisType, NamedSharding, PartitionSpec


def shardings() -> tuple[NamedSharding, NamedSharding]:
    """Two placements of arrays on all devices of this process: a copy on each, and rows split evenly between them.

    With one CPU device per core (`jax_num_cpu_devices`), products too small for XLA to divide between threads, such as
    those of attention, still use every core.
    """
    mesh = jax.make_mesh((jax.device_count(),), ("data",), axis_types=(AxisType.Auto,))
    return NamedSharding(mesh, PartitionSpec()), NamedSharding(mesh, PartitionSpec("data"))
