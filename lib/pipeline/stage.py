"""What all stages share: where their checkpoints lie, what they depend on, what they cost."""

import hashlib
import json
import resource
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lib import config, config_tree
from lib.errors import EaselError
from lib.hardware import machine
from lib.ownership import RECORDS, begin, finish

CHECKPOINTS = Path("build/checkpoints")


@dataclass(frozen=True)
class Training:
    """Where a training stage keeps its checkpoint and what that checkpoint must match."""

    checkpoint: Path
    fingerprint: str

    def part(self, name: str) -> "Training":
        """One of a stage's several trainings: its checkpoint lies beside the others' and is forgotten with them."""
        fingerprint = hashlib.sha256(f"{self.fingerprint} {name}".encode()).hexdigest()
        return Training(self.checkpoint.with_name(f"{fingerprint[:16]}.safetensors"), fingerprint)


def training(name: str, params: config.Params, item: str = "") -> Training:
    """Checkpoint and fingerprint of a stage, or of one item of its matrix: all that dvc.yaml says it depends on."""
    spec = specs()[name]
    digest = hashlib.sha256(item.encode())
    for key in (key.replace("${item.item}", item) for key in parameters(spec)):
        digest.update(json.dumps([key, config_tree.plain(value_at(params, key))], sort_keys=True).encode())
    for dependency in sorted(spec["deps"]):
        digest.update(f"{dependency} {content(Path(dependency))}".encode())
    fingerprint = digest.hexdigest()
    return Training(CHECKPOINTS / full_name(name, item) / f"{fingerprint[:16]}.safetensors", fingerprint)


def parameters(spec: Mapping) -> list[str]:
    """The parameters that a stage depends on, whichever file dvc.yaml says they are in."""
    entries = [[entry] if isinstance(entry, str) else next(iter(entry.values())) for entry in spec.get("params", [])]
    return [key for keys in entries for key in keys]


def value_at(params: config.Params, key: str) -> Any:
    """A section of the configuration, or an entry in it: section.key.key."""
    for name in key.split("."):
        params = params[name] if isinstance(params, Mapping) else getattr(params, name)
    return params


def full_name(name: str, item: str = "") -> str:
    """A stage, or one item of its matrix: dalle_mini/train@english."""
    return f"{name}@{item}" if item else name


def address(name: str, item: str = "") -> str:
    """What `dvc repro` calls it: studies/dalle_mini/dvc.yaml:train@english."""
    study, _, stage = name.rpartition("/")
    return full_name(f"{config.folder(study) / 'dvc.yaml'}:{stage}" if study else stage, item)


def specs() -> dict[str, dict]:
    """Every stage: those of the dvc.yaml at the top under their names, those of a study as <study>/<name>."""
    return {
        f"{study}/{name}" if study else name: spec
        for study in ("", *config.studies())
        for name, spec in pipeline_file(config.folder(study) / "dvc.yaml")["stages"].items()
    }


def all_names() -> list[str]:
    """Every stage and every item of the ones with a matrix, in order."""
    return [full_name(name, item) for name, spec in specs().items() for item in items_of(name, spec) or [""]]


def items_of(name: str, spec: Mapping) -> list[str]:
    """The items of a stage's matrix, [] if it has none; a list of its params.yaml where that says ${section.key}."""
    items = spec.get("matrix", {}).get("item", [])
    if isinstance(items, str):
        tree = config_tree.read_yaml(config.parameters_file(name.rpartition("/")[0]))
        for key in items.removeprefix("${").removesuffix("}").split("."):
            tree = tree[key]
        return tree
    return items


def forget_checkpoints(name: str) -> None:
    """Removes the checkpoints of a stage whose outputs are written."""
    shutil.rmtree(CHECKPOINTS / name, ignore_errors=True)


def pipeline_file(path: str | Path = "dvc.yaml") -> dict:
    """A dvc.yaml as a dict."""
    return config_tree.read_yaml(path, "stages")


def content(path: Path) -> str:
    """sha256 of a file, or of everything below a folder; the data set is known by its manifest."""
    manifest = path / "MANIFEST.sha256"
    if manifest.is_file():
        path = manifest
    if path.is_file():
        return hashlib.sha256(path.read_bytes()).hexdigest()
    parts = sorted(file for file in path.rglob("*") if file.is_file())
    if not parts:
        raise EaselError(f"{path} is missing or empty; run `dvc repro`, which makes it first.")
    return hashlib.sha256("".join(f"{file} {content(file)}" for file in parts).encode()).hexdigest()


@contextmanager
def record(name: str, outs: list[str]) -> Iterator[None]:
    """Measures the enclosed work and writes build/records/<name>.json: minutes, peak memory, disk, machine.

    Beside it stands <name>.files, the files that the stage has written (see lib/ownership.py).
    """
    started = time.monotonic()
    begin(name, outs)
    yield
    finish(name, outs)
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    disk = sum(file.stat().st_size for out in outs for file in _files(Path(out)))
    path = RECORDS / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    entry = {
        "stage": name,
        "minutes": (time.monotonic() - started) / 60,
        "peak_memory_gb": peak * 1024 / 1e9,  # ru_maxrss is in KiB on Linux
        "disk_mb": disk / 1e6,
        "machine": machine(),
    }
    path.write_text(json.dumps(entry, indent=1) + "\n")


def _files(path: Path) -> list[Path]:
    return [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
