"""Files of a model's folder, looked at before a weight is read: a download that broke off, pickled weights."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from lib.errors import EaselError, naming

HEAD = 8  # bytes of the length of a safetensors file's head
POINTER = b"version https://git-lfs"
PICKLES = (".bin", ".ckpt", ".pkl", ".pt", ".pth")
SHOWN = 3  # names in a message


def read_json(path: Path) -> dict[str, Any]:
    """A configuration. Raises EaselError: no such file, or no JSON object."""
    if not path.is_file():
        raise EaselError(f"{path.parent} has no {path.name}: it is no model's folder, or its download broke off.")
    with naming(path, "JSON"):
        tree = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(tree, dict):
        raise EaselError(f"{path} must be a mapping of keys to values.")
    return tree


def shapes_of(folder: Path, stem: str = "model", variant: str = "") -> dict[str, list[int]]:
    """The shapes of all weights by name, from the heads of their files.

    Args:
        stem: of the files' names: `<stem>.safetensors`, or those that `<stem>.safetensors.index.json` lists.
        variant: such as fp16, for `<stem>.fp16.safetensors` and `<stem>.safetensors.index.fp16.json`.

    Raises:
        EaselError: a file is missing, cut off, damaged, a pointer to another place, or a pickle.
    """
    middle = variant and f".{variant}"
    whole, index = folder / f"{stem}{middle}.safetensors", folder / f"{stem}.safetensors.index{middle}.json"
    if index.is_file():
        places = read_json(index).get("weight_map")
        if not isinstance(places, dict) or not places:
            raise EaselError(f"{index} has no weight_map; fetch it again.")
        names = sorted(set(places.values()))
        absent = [name for name in names if not (folder / name).is_file()]
        if absent:
            raise EaselError(
                f"{folder} lacks {len(absent)} of {len(names)} files of weights, {absent[0]} first; fetch them."
            )
        shapes = {name: head(folder / name) for name in names}
        for key, name in places.items():
            if key not in shapes[name]:
                raise EaselError(f"{folder / name} lacks {key}, which the index promises; fetch it again.")
        return {key: shapes[name][key] for key, name in places.items()}
    if whole.is_file():
        return head(whole)
    pickles = sorted(path.name for path in folder.glob("*") if path.suffix in PICKLES)
    if pickles:
        raise EaselError(
            f"{folder} has its weights as a pickle only ({pickles[0]}), which can run any code; convert it to "
            "safetensors with its author's tools."
        )
    raise EaselError(f"{folder} has no {whole.name} and no {index.name}; fetch the weights.")


def head(path: Path) -> dict[str, list[int]]:
    """The shapes of the weights in a safetensors file. Raises EaselError: it is not as long as its head says."""
    with naming(path), open(path, "rb") as file:
        start = file.read(len(POINTER))
        if start == POINTER:
            raise EaselError(f"{path} is a pointer of Git LFS, not the weights; `git lfs pull` fetches them.")
        count, size = int.from_bytes(start[:HEAD], "little"), path.stat().st_size
        file.seek(HEAD)
        try:
            if count > size - HEAD:
                raise ValueError
            head = json.loads(file.read(count))
            tensors = {key: value for key, value in head.items() if key != "__metadata__"}
            end = max((value["data_offsets"][1] for value in tensors.values()), default=0)
            shapes = {key: value["shape"] for key, value in tensors.items()}
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise EaselError(f"{path} is no whole safetensors file; fetch it again.") from None
    if size != HEAD + count + end:
        raise EaselError(f"{path} has {size:,} bytes and should have {HEAD + count + end:,}; fetch it again.")
    return shapes


def require_weights(folder: Path, given: Mapping[str, Sequence[int]], network: nn.Module) -> None:
    """Refuses weights that are others than a network's.

    Args:
        given: shapes by name, as `shapes_of` gives them.
        network: as its configuration describes it, on any device.

    Raises:
        EaselError: names or shapes differ.
    """
    wanted = {name: tuple(array.shape) for name, array in network.state_dict().items()}
    # Positions 0, 1, 2, … that older releases of transformers saved.
    extra = {name for name in given.keys() - wanted.keys() if not name.endswith("position_ids")}
    faults = {
        "missing": wanted.keys() - given.keys(),
        "unknown": extra,
        "of another shape": {name for name in wanted.keys() & given.keys() if wanted[name] != tuple(given[name])},
    }
    if any(faults.values()):
        lists = [f"{len(names)} {what} ({listed(names)})" for what, names in faults.items() if names]
        raise EaselError(
            f"{folder}: weights do not belong to the config.json beside them: {', '.join(lists)}; "
            "take both from one place."
        )


def require_same_shapes(folder: Path, given: Mapping[str, Sequence[int]], network: nn.Module) -> None:
    """Of the weights whose names the network has; other names may be those of an earlier version, which loading knows.

    Raises:
        EaselError: a shape differs.
    """
    for name, weight in network.state_dict().items():
        if name in given and list(given[name]) != list(weight.shape):
            raise EaselError(
                f"{folder}: {name} is {given[name]} in the weights and {list(weight.shape)} by config.json; they are "
                "not of the same model."
            )


def require_finite(folder: Path, network: nn.Module) -> None:
    """Refuses a network with a weight that is NaN or infinite. Raises EaselError."""
    wrong = next((name for name, weight in network.state_dict().items() if not bool(weight.isfinite().all())), None)
    if wrong:
        raise EaselError(f"{folder} holds weights that are NaN or infinite, in {wrong}: fetch it again.")


def listed(names: Iterable[str]) -> str:
    """Names in one line, of which no more than `SHOWN` are written out."""
    names = sorted(names)
    return ", ".join(names[:SHOWN]) + (", …" if len(names) > SHOWN else "")
