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

CHECKPOINTS = Path("build/checkpoints")
RECORDS = Path("build/records")  # what each stage cost; not an output, since it differs from run to run


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
    spec = pipeline_file()["stages"][name]
    digest = hashlib.sha256(item.encode())
    for key in (key.replace("${item.item}", item) for key in _parameters(spec)):
        digest.update(json.dumps([key, config_tree.plain(value_at(params, key))], sort_keys=True).encode())
    for dependency in sorted(spec["deps"]):
        digest.update(f"{dependency} {_content(Path(dependency))}".encode())
    fingerprint = digest.hexdigest()
    return Training(CHECKPOINTS / full_name(name, item) / f"{fingerprint[:16]}.safetensors", fingerprint)


def _parameters(spec: Mapping) -> list[str]:
    """The parameters that a stage depends on; in a shadow dvc.yaml says in which file they are."""
    entries = spec["params"]
    return next(iter(entries[0].values())) if isinstance(entries[0], Mapping) else entries


def value_at(params: config.Params, key: str) -> Any:
    """A section of the configuration, or an entry in it: section.key.key."""
    for name in key.split("."):
        params = params[name] if isinstance(params, Mapping) else getattr(params, name)
    return params


def full_name(name: str, item: str = "") -> str:
    """What DVC calls a stage, or one item of a stage's matrix: train_dalle_mini@english."""
    return f"{name}@{item}" if item else name


def all_names() -> list[str]:
    """Every stage of dvc.yaml and every item of the ones with a matrix, in order."""
    return [
        full_name(name, item) for name, spec in pipeline_file()["stages"].items() for item in items_of(spec) or [""]
    ]


def items_of(spec: Mapping) -> list[str]:
    """The items of a stage's matrix, [] if it has none; a list of params.yaml where that says ${section.key}."""
    items = spec.get("matrix", {}).get("item", [])
    if isinstance(items, str):
        tree = config_tree.read_yaml(config.parameters_file())
        for key in items.removeprefix("${").removesuffix("}").split("."):
            tree = tree[key]
        return tree
    return items


def forget_checkpoints(name: str) -> None:
    """Removes the checkpoints of a stage whose outputs are written."""
    shutil.rmtree(CHECKPOINTS / name, ignore_errors=True)


def pipeline_file(path: str = "dvc.yaml") -> dict:
    """dvc.yaml as a dict."""
    return config_tree.read_yaml(path, "stages")


def _content(path: Path) -> str:
    """sha256 of a file, or of everything below a folder; the data set is known by its manifest."""
    manifest = path / "MANIFEST.sha256"
    if manifest.is_file():
        path = manifest
    if path.is_file():
        return hashlib.sha256(path.read_bytes()).hexdigest()
    parts = sorted(file for file in path.rglob("*") if file.is_file())
    if not parts:
        raise EaselError(f"{path} is missing or empty; run `dvc repro`, which makes it first.")
    return hashlib.sha256("".join(f"{file} {_content(file)}" for file in parts).encode()).hexdigest()


@contextmanager
def record(name: str, outs: list[str]) -> Iterator[None]:
    """Measures the enclosed work and writes build/records/<name>.json: minutes, peak memory, disk, machine."""
    started = time.monotonic()
    yield
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    disk = sum(file.stat().st_size for out in outs for file in _files(Path(out)))
    RECORDS.mkdir(parents=True, exist_ok=True)
    entry = {
        "stage": name,
        "minutes": (time.monotonic() - started) / 60,
        "peak_memory_gb": peak * 1024 / 1e9,  # ru_maxrss is in KiB on Linux
        "disk_mb": disk / 1e6,
        "machine": machine(),
    }
    (RECORDS / f"{name}.json").write_text(json.dumps(entry, indent=1) + "\n")


def _files(path: Path) -> list[Path]:
    return [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
