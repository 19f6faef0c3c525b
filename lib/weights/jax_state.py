"""JAX pytrees as flat dicts of numpy arrays, keyed by path."""

from typing import Any

import jax
import numpy as np
from jax.tree_util import keystr, tree_flatten_with_path

from lib.errors import EaselError


def flatten(tree: Any) -> dict[str, np.ndarray]:
    """Every leaf under its path, e.g. `params/model/encoder/embed_tokens/embedding`."""
    leaves, _ = tree_flatten_with_path(tree)
    return {_name(path): np.array(leaf) for path, leaf in leaves}


def restore(template: Any, arrays: dict[str, np.ndarray]) -> Any:
    """Takes back what `flatten` gave.

    Args:
        template: a tree of the same structure, of arrays or of `jax.ShapeDtypeStruct`.

    Raises:
        EaselError: a name is missing or left over, or a shape or type differs; the message lists them.
    """
    leaves, structure = tree_flatten_with_path(template)
    wanted = {_name(path): leaf for path, leaf in leaves}
    # A checkpoint file may hold a scalar as an array of one.
    given = {
        name: array.reshape(()) if array.size == 1 and name in wanted and wanted[name].shape == () else array
        for name, array in arrays.items()
    }
    wrong = [f"{name} is missing" for name in wanted if name not in given]
    wrong += [f"{name} is unknown" for name in given if name not in wanted]
    for name, leaf in wanted.items():
        if name in given and (given[name].shape, given[name].dtype) != (leaf.shape, leaf.dtype):
            found = f"{given[name].dtype}{list(given[name].shape)}"
            wrong.append(f"{name} is {found}, must be {leaf.dtype}{list(leaf.shape)}")
    if wrong:
        raise EaselError(f"these arrays do not fit the model: {'; '.join(wrong[:10])}{' …' * (len(wrong) > 10)}.")
    return jax.tree.unflatten(structure, [jax.numpy.array(given[name]) for name in wanted])


def _name(path: tuple) -> str:
    return keystr(path, simple=True, separator="/")
