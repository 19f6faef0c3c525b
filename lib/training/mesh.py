"""Data and model parallelism over a mesh of devices, in one process or many: where every array lies.

Only placements are written here; XLA derives the communication from them. Several processes, on one machine or many,
call `join_processes` before anything else of JAX; they must see the same files.
"""

import os
import re
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from jax.tree_util import KeyPath, keystr, tree_flatten_with_path, tree_map_with_path

from lib.errors import EaselError

# How parameters are split over "model", in the spirit of the original's partitions.py: name → axes to try in turn,
# counted from the last since scanned layers stand in front. What reads a whole row in and writes columns out (queries,
# keys, values, the first products of a feed-forward block) is split by columns, what takes those columns back (the
# output projection, the last product) by rows, so that a block communicates once. All else is copied.
COLUMNS, ROWS = (-1,), (-2,)
RULES = (
    (r"[qkv]_proj/kernel$", COLUMNS),
    (r"out_proj/kernel$", ROWS),
    (r"GLU_\d+/Dense_[01]/kernel$", COLUMNS),
    (r"GLU_\d+/Dense_2/kernel$", ROWS),
    (r"FFN_\d+/Dense_0/kernel$", COLUMNS),
    (r"FFN_\d+/Dense_1/kernel$", ROWS),
    (r"embed_(tokens|positions)/embedding$", (-2, -1)),  # vocabulary or positions, else width
    (r"lm_head/kernel$", (-1, -2)),  # vocabulary, else width
)


def join_processes() -> None:
    """Joins the processes that train together, if the environment says that there are others.

    JAX_COORDINATOR_ADDRESS (host:port of process 0), JAX_NUM_PROCESSES and JAX_PROCESS_ID must then be set in each.

    Raises:
        EaselError: an address without the other two.
    """
    address = os.environ.get("JAX_COORDINATOR_ADDRESS")
    if not address:
        return
    try:
        count, number = (int(os.environ[name]) for name in ("JAX_NUM_PROCESSES", "JAX_PROCESS_ID"))
    except (KeyError, ValueError) as error:
        raise EaselError(
            f"JAX_COORDINATOR_ADDRESS is {address}, so JAX_NUM_PROCESSES and JAX_PROCESS_ID must be numbers too."
        ) from error
    jax.distributed.initialize(address, count, number)


def make_mesh(data: int | None = None, model: int = 1) -> Mesh:
    """A mesh of all devices of all processes with the axes "data" and "model".

    With one CPU device per core (`jax_num_cpu_devices`) on "data", products too small for XLA to divide between
    threads, such as those of attention, still use every core.

    Args:
        data: parts that a batch is split into; None for as many as there are devices left.
        model: parts that the parameters are split into.

    Raises:
        EaselError: `data` · `model` is not the number of devices.
    """
    devices = jax.device_count()
    data = data or devices // model
    if data * model != devices:
        raise EaselError(f"a mesh of {data} × {model} (data × model) needs {data * model} devices, not {devices}.")
    return jax.make_mesh((data, model), ("data", "model"), axis_types=(AxisType.Auto,) * 2)


def copied(mesh: Mesh) -> NamedSharding:
    """A copy on every device."""
    return NamedSharding(mesh, PartitionSpec())


def rows(mesh: Mesh) -> NamedSharding:
    """Rows (axis 0) split evenly over "data"."""
    return NamedSharding(mesh, PartitionSpec("data"))


def partition(name: str, shape: tuple[int, ...], parts: int) -> PartitionSpec:
    """How the parameter `name` is split into `parts` over "model": the first axis of its rule that divides evenly."""
    axes = next((axes for pattern, axes in RULES if re.search(pattern, name)), ())
    for axis in axes if parts > 1 else ():
        if shape[axis] % parts == 0:
            return PartitionSpec(*("model" if i == len(shape) + axis else None for i in range(len(shape))))
    return PartitionSpec()


def shardings(mesh: Mesh, params: Any, tree: Any) -> Any:
    """Placement of every leaf of `tree`: `params` themselves, or an optimizer state, which follows its parameters.

    A leaf belongs to a parameter if the end of its path is that parameter's and the shape agrees; a leaf that belongs
    to none (step counts, Adafactor's row and column means) is copied.

    Args:
        params: arrays or `jax.ShapeDtypeStruct`s.
        tree: likewise.
    """
    shapes = {keystr(path): leaf.shape for path, leaf in tree_flatten_with_path(params)[0]}

    def placement(path: KeyPath, leaf: Any) -> NamedSharding:
        ends = (path[start:] for start in range(len(path)))
        owner = next((end for end in ends if shapes.get(keystr(end)) == leaf.shape), None)
        if owner is None:
            return copied(mesh)
        name = keystr(owner, simple=True, separator="/")
        return NamedSharding(mesh, partition(name, leaf.shape, mesh.shape["model"]))

    return tree_map_with_path(placement, tree)


def place(tree: Any, shardings: Any) -> Any:
    """Arrays, the same in every process, on their devices; each device is given its part only."""

    def put(leaf: Any, sharding: NamedSharding) -> jax.Array:
        if isinstance(leaf, jax.Array) and leaf.sharding.is_equivalent_to(sharding, leaf.ndim):
            return leaf
        leaf = np.asarray(leaf)
        return jax.make_array_from_callback(leaf.shape, sharding, lambda index: leaf[index])

    return jax.tree.map(put, tree, shardings)


def own_rows(mesh: Mesh, batch: int) -> np.ndarray:
    """The rows of a batch that lie on this process's devices, int64, ascending.

    Raises:
        EaselError: the batch cannot be split evenly over "data".
    """
    if batch % mesh.shape["data"]:
        raise EaselError(f"a batch of {batch} cannot be split over {mesh.shape['data']} devices; make it a multiple.")
    parts = rows(mesh).addressable_devices_indices_map((batch,)).values()
    return np.unique(np.concatenate([np.arange(batch)[part] for part in parts]))


def split_rows(mesh: Mesh, batch: int, own: np.ndarray) -> jax.Array:
    """A batch split over "data", of which this process holds the rows `own` [own_rows, ...]."""
    return jax.make_array_from_process_local_data(rows(mesh), own, (batch, *own.shape[1:]))


def gather(tree: Any) -> Any:
    """Whole arrays in every process, as numpy. All processes must call it, at the same step."""

    def whole(leaf: jax.Array) -> np.ndarray:
        if leaf.is_fully_addressable or leaf.is_fully_replicated:
            return np.array(leaf)
        return np.asarray(multihost_utils.process_allgather(leaf, tiled=True))

    return jax.tree.map(whole, tree)


def is_first() -> bool:
    """Whether this process is the one that writes files and reports."""
    return jax.process_index() == 0


def agree(decision: bool) -> bool:
    """What the first process decided, in every process; all must call it, at the same step."""
    if jax.process_count() == 1:
        return decision
    return bool(multihost_utils.broadcast_one_to_all(np.array(decision)))
