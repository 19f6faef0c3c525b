"""Checkpoints of the authors' DALL·E Mini (github.com/borisdayma/dalle-mini, package dalle-mini 0.1.5), in and out.

A folder of theirs holds `config.json` and `flax_model.msgpack`. The modules of `lib.models.dalle_mini` carry the
original's names, so its parameter tree is ours: stacked by its `use_scan` (`.../FlaxBartEncoderLayers/...`) or with one
entry a layer (`.../FlaxBartEncoderLayer_0/...`). The configuration is translated by `dalle_mini_original_config`.
"""

import dataclasses
import json
import os
from functools import cache
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import serialization
from flax.traverse_util import flatten_dict, unflatten_dict

from lib.config_tree import replace
from lib.errors import EaselError
from lib.models import dalle_mini
from lib.models.dalle_mini import DalleMini
from lib.models.dalle_mini_original_config import CONFIG_FILE, original_config, read_config, shortened, write_config
from lib.models.layout import DalleMiniConfig
from lib.weights import checkpoint

__all__ = [
    "count_parameters",
    "load",
    "original_config",
    "read_config",
    "save",
    "scan_layers",
    "unscan_layers",
    "write_config",
]

WEIGHTS_FILE = "flax_model.msgpack"
STACKS = {"encoder": "FlaxBartEncoderLayer", "decoder": "FlaxBartDecoderLayer"}  # + "s" where layers are stacked

Name = tuple[str, ...]  # path of one array in the tree below "params"


def load(folder: Path) -> tuple[DalleMini, dict]:
    """The model in the original's `folder` and its parameters, as float32.

    Whether layers are stacked is read from the parameters: the original's code writes both forms, and config.json may
    not say which.

    Raises:
        EaselError: a file is missing or damaged, the configuration has settings that this model cannot follow, or
            parameters are missing, unexpected or of another shape (all are listed, up to 20 of each kind), or not
            finite.
    """
    folder = Path(folder)
    config = read_config(folder)
    arrays = _read_weights(folder / WEIGHTS_FILE)
    stacks = {f"{layer}s" for layer in STACKS.values()}
    config = _with_scan(config, any(stacks.intersection(name) for name in arrays))
    _check(str(folder / WEIGHTS_FILE), arrays, config)
    # In the file's order, so that saving gives its bytes back.
    weights = {name: jnp.asarray(array, jnp.float32) for name, array in arrays.items()}
    checkpoint.require_finite(folder / WEIGHTS_FILE, {"/".join(name): array for name, array in weights.items()})
    return DalleMini(config), {"params": unflatten_dict(weights)}


def save(folder: Path, model: DalleMini, params: dict) -> None:
    """Writes `folder` so that the original's code can load it: config.json, and flax_model.msgpack in float32.

    Raises:
        EaselError: the original has no such activation, or the parameters are not those of the model.
    """
    folder = Path(folder)
    settings = write_config(model.config)
    arrays = flatten_dict(params["params"])
    _check("the tree of parameters", arrays, model.config)
    tree = unflatten_dict({name: np.asarray(array, np.float32) for name, array in arrays.items()})
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / WEIGHTS_FILE, serialization.msgpack_serialize(tree))
    _write(folder / CONFIG_FILE, (json.dumps(settings, indent=2, sort_keys=True) + "\n").encode())


def scan_layers(config: DalleMiniConfig, params: dict) -> tuple[DalleMiniConfig, dict]:
    """The same network with its layers stacked: every array of a layer gets a first axis, of layers.

    The norm that ends the last layer of a `postln` stack has no scale, but under scan it has one; it becomes 1.

    Raises:
        EaselError: the parameters are not those of `config`, or its layers are not alike (`swinv2`).
    """
    arrays, target = flatten_dict(params["params"]), _with_scan(config, True)
    _check("the tree of parameters", arrays, config)
    if config.layout.scan:
        return config, params

    def stacked(name: Name, shape: tuple[int, ...]) -> jax.Array:
        layers = _layers_of(name, config)
        if not layers:
            return arrays[name]
        return jnp.stack([arrays.get(layer, jnp.ones(shape[1:])) for layer in layers])

    return target, {"params": unflatten_dict({name: stacked(name, shape) for name, shape in _shapes(target).items()})}


def unscan_layers(config: DalleMiniConfig, params: dict) -> tuple[DalleMiniConfig, dict]:
    """The same network with an entry for each layer, which is what `scan_layers` takes.

    Raises:
        EaselError: the parameters are not those of `config`, or the scale that only a stacked `postln` network has on
            its last norm is not 1, so that nothing else is the same network.
    """
    arrays, target = flatten_dict(params["params"]), _with_scan(config, False)
    _check("the tree of parameters", arrays, config)
    if not config.layout.scan:
        return config, params
    wanted = _shapes(target)
    apart = {}
    for name, array in arrays.items():
        for index, layer in enumerate(_layers_of(name, config)):
            if layer in wanted:
                apart[layer] = array[index]
            elif not np.all(np.asarray(array[index]) == 1):
                raise EaselError(
                    f"{'/'.join(name)} of the last layer is not 1, and a network whose layers are not stacked has no "
                    "such scale; leave this one stacked."
                )
        if not _layers_of(name, config):
            apart[name] = array
    return target, {"params": unflatten_dict(apart)}


def count_parameters(config: DalleMiniConfig) -> int:
    """Number of trained numbers of a network of this configuration, which is not built."""
    return dalle_mini.parameter_count(dalle_mini.shapes(config))


def _with_scan(config: DalleMiniConfig, scan: bool) -> DalleMiniConfig:
    return dataclasses.replace(config, layout=replace(config.layout, scan=scan))


def _layers_of(name: Name, config: DalleMiniConfig) -> list[Name]:
    """For an array of stacked layers, the name of each layer's part; for any other array, nothing."""
    for side, layer in STACKS.items():
        if f"{layer}s" in name:
            where = name.index(f"{layer}s")
            return [(*name[:where], f"{layer}_{i}", *name[where + 1 :]) for i in range(config.layers(side))]
    return []


@cache  # tracing a deep network takes seconds
def _shapes(config: DalleMiniConfig) -> dict[Name, tuple[int, ...]]:
    return {name: leaf.shape for name, leaf in flatten_dict(dalle_mini.shapes(config)["params"]).items()}


def _check(source: str, arrays: dict[Name, Any], config: DalleMiniConfig) -> None:
    """Refuses arrays whose names or shapes are not those of a network of `config`, or that are not of real numbers."""
    wanted = _shapes(config)
    misshaped = []
    for name in sorted(wanted.keys() & arrays.keys()):
        shape, kind = getattr(arrays[name], "shape", None), getattr(arrays[name], "dtype", type(arrays[name]).__name__)
        if shape is None or not jnp.issubdtype(kind, jnp.floating):
            misshaped.append(f"{'/'.join(name)} is of {kind}, must be of floating-point numbers")
        elif shape != wanted[name]:
            misshaped.append(f"{'/'.join(name)} is {list(shape)}, must be {list(wanted[name])}")
    problems = {
        "missing": ["/".join(name) for name in sorted(wanted.keys() - arrays.keys())],
        "unexpected": ["/".join(name) for name in sorted(arrays.keys() - wanted.keys())],
        "of another shape or type": misshaped,
    }
    if any(problems.values()):
        lists = [f"{len(names)} {what}: {shortened(names)}" for what, names in problems.items() if names]
        raise EaselError(
            f"{source} does not belong to this configuration of DALL·E Mini. " + ". ".join(lists) + ". "
            f"Check that {CONFIG_FILE} is the one of these parameters."
        )


def _read_weights(path: Path) -> dict[Name, Any]:
    try:
        tree = serialization.msgpack_restore(path.read_bytes())
        arrays = flatten_dict(tree) if isinstance(tree, dict) else None
    except OSError as error:
        raise EaselError(f"{path} cannot be read ({error.strerror}); it holds the original's parameters.") from error
    except Exception as error:  # msgpack, numpy and flax raise many kinds for damaged bytes
        raise EaselError(f"{path} is not a Flax checkpoint, or is damaged ({error}); fetch it again.") from error
    if arrays is None:
        raise EaselError(f"{path} holds no tree of parameters; fetch the original's {WEIGHTS_FILE}.")
    for key in (key for name in arrays for key in name if not isinstance(key, str)):
        raise EaselError(f"{path} has {key!r} where a name should be; fetch the original's {WEIGHTS_FILE}.")
    return arrays


def _write(path: Path, content: bytes) -> None:
    """All of `content` or nothing."""
    temporary = path.with_name(path.name + ".part")
    temporary.write_bytes(content)
    os.replace(temporary, path)
