"""Which packages of requirements.lock source files stand on: an edit of the lock makes stale what imports a package
whose version changed, or one that such a package needs, and nothing else."""

import ast
import sys
from collections.abc import Iterable
from functools import cache
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

LOCK = Path("requirements.lock")
NAMED = {"PIL": "pillow", "ruamel": "ruamel.yaml"}  # modules whose packages have other names
LOADED = {"pandas": ("tabulate", "jinja2")}  # what a package uses where it is there, for us, without requiring it


def imported(tree: ast.Module) -> set[str]:
    """Top names of the modules that a source imports, wherever it does, but for Python's own."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
    return names - sys.stdlib_module_names


def pins(modules: Iterable[str]) -> list[str]:
    """The lines of the lock, in order, that modules of these top names stand on.

    Raises:
        LookupError: a module whose package is not in the lock.
    """
    locked, found, waiting = _locked(LOCK.read_text(encoding="utf-8")), set(), []
    for module in modules:
        if (name := canonicalize_name(NAMED.get(module, module))) not in locked:
            raise LookupError(f"{module} is imported, but {LOCK} has no package {name}: name it in pyproject.toml.")
        waiting.append(name)
    while waiting:
        name = waiting.pop()
        if name in locked and name not in found:
            found.add(name)
            waiting.extend(_required(name))
    return [line for name, line in locked.items() if name in found]


def _locked(text: str) -> dict[str, str]:
    """Package → its line."""
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return {canonicalize_name(line.partition("==")[0]): line for line in lines}


@cache
def _required(name: str) -> tuple[str, ...]:
    """What a package requires on any system: so that lists are the same on all."""
    try:
        wanted = map(Requirement, metadata.requires(name) or ())
    except metadata.PackageNotFoundError:
        return ()  # one for another system
    plain = (one.name for one in wanted if "extra" not in str(one.marker))
    return tuple(canonicalize_name(one) for one in (*plain, *LOADED.get(name, ())))
