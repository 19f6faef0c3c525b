"""Arrays and a little metadata in one file, written so that a crash or a full disk never costs the previous one."""

import errno
import json
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as to_bytes

from lib.errors import EaselError


def save(path: Path, arrays: dict[str, np.ndarray], meta: dict) -> None:
    """Writes `arrays` and the JSON-able `meta` to `path` in one atomic step (safetensors format).

    Raises:
        EaselError: the disk is full; whatever was at `path` before is still there, whole.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".part")
    # order C: safetensors writes the buffer as it lies, strides unseen.
    content = to_bytes({key: np.asarray(value, order="C") for key, value in arrays.items()}, {"meta": json.dumps(meta)})
    try:
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        kept = f"The previous checkpoint {path} is whole" if path.exists() else "There was no earlier checkpoint"
        raise EaselError(
            f"the disk is full: {path} needs {len(content) / 1e6:.1f} MB. {kept}; free some space and run the same "
            "command again."
        ) from error


def load(path: Path) -> tuple[dict[str, np.ndarray], dict]:
    """The arrays and the metadata that `save` wrote.

    Raises:
        EaselError: no such file, or not one that `save` wrote.
    """
    if not path.is_file():
        raise EaselError(f"{path} does not exist; `dvc repro` makes it.")
    try:
        with safe_open(path, framework="numpy") as file:
            return {key: file.get_tensor(key) for key in file.keys()}, json.loads(file.metadata()["meta"])  # noqa: SIM118
    except (SafetensorError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise EaselError(f"{path} is damaged ({error}); delete it and run the same command again.") from error


def load_network(folder: Path) -> tuple[dict[str, np.ndarray], dict]:
    """The weights of the network in `folder`/model.safetensors, and their metadata.

    Raises:
        EaselError: as of `load`, or a weight is NaN or infinite.
    """
    path = Path(folder) / "model.safetensors"
    arrays, meta = load(path)
    require_finite(path, arrays)
    return arrays, meta


def require_finite(source: Path, weights: Mapping[str, np.ndarray]) -> None:
    """Refuses weights, read from `source`, of which one is NaN or infinite: whatever is computed with them is too.

    Raises:
        EaselError: names the file and the arrays, up to three of them.
    """
    wrong = [name for name, array in weights.items() if not np.isfinite(array).all()]
    if wrong:
        rest = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise EaselError(
            f"{source} holds weights that are NaN or infinite, in {', '.join(wrong[:3])}{rest}: its training diverged, "
            "or the file is damaged. Make it again, or fetch it again."
        )
