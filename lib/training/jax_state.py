"""JAX pytrees as flat dicts of numpy arrays, keyed by path."""

from typing import Any

import jax
import numpy as np
from jax.tree_util import keystr, tree_flatten_with_path

from lib.errors import EaselError


def flatten(tree: Any, prefix: str = "") -> dict[str, np.ndarray]:
    """Every leaf under `prefix` + its path, e.g. `params/model/encoder/embed_tokens/embedding`."""
    leaves, _ = tree_flatten_with_path(tree)
    return {prefix + keystr(path, simple=True, separator="/"): np.array(leaf) for path, leaf in leaves}


def restore(template: Any, arrays: dict[str, np.ndarray], prefix: str = "") -> Any:
    """Takes back what `flatten` gave.

    Args:
        template: a tree of the same structure, of arrays or of `jax.ShapeDtypeStruct`.

    Raises:
        EaselError: a name is missing or left over, or a shape or type differs; the message lists them.
    """
    leaves, structure = tree_flatten_with_path(template)
    names = [prefix + keystr(path, simple=True, separator="/") for path, _ in leaves]
    given = {name for name in arrays if name.startswith(prefix)}
    wrong = [f"{name} is missing" for name in names if name not in given]
    wrong += [f"{name} is unknown" for name in sorted(given.difference(names))]
    for name, (_, leaf) in zip(names, leaves, strict=True):
        if name in given and (arrays[name].shape != leaf.shape or arrays[name].dtype != leaf.dtype):
            found = f"{arrays[name].dtype}{list(arrays[name].shape)}"
            wrong.append(f"{name} is {found}, must be {leaf.dtype}{list(leaf.shape)}")
    if wrong:
        raise EaselError(f"these arrays do not fit the model: {'; '.join(wrong[:10])}{' …' * (len(wrong) > 10)}.")
    return jax.tree.unflatten(structure, [jax.numpy.array(arrays[name]) for name in names])
