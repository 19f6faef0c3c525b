"""Which modules a stage of dvc.yaml depends on, read from the sources: `python -m lib.pipeline.dependencies --write`.

A stage that lists too few modules gives stale results; one that lists whole folders retrains after an edit next door.
So the lists are computed, and a test compares them.
"""

import ast
import json
import sys
from functools import cache
from pathlib import Path

from ruamel.yaml import YAML

# Modules that cannot change a result: they read configuration (whose values are tracked), print, or start things.
PLUMBING = {
    *("lib.config", "lib.config_glu", "lib.config_sjd2", "lib.errors", "lib.hardware", "lib.training.progress"),
    *("lib.pipeline.stage", "lib.run"),
}
LOCK = "requirements.lock"


def expected(command: str) -> list[str]:
    """Source files that the command of a stage depends on, the environment's lock among them."""
    words = command.split()
    if "lib.run" in words:
        modules = _lib_imports(ast.parse(notebook_source(Path(words[-1]))))
    else:
        modules = {f"lib.pipeline.{words[words.index('lib.pipeline') + 1]}"}
    closure = set().union(*(imports(module) for module in modules))
    return [*sorted(str(module_path(module)) for module in closure), LOCK]


def imports(module: str) -> set[str]:
    """All modules of `lib` that `module` needs, itself included, plumbing left out."""
    found: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name not in found and name not in PLUMBING:
            found.add(name)
            waiting.extend(_lib_imports(_tree(name)))
    return found


@cache
def _tree(module: str) -> ast.Module:
    return ast.parse(module_path(module).read_text(encoding="utf-8"))


def _lib_imports(tree: ast.Module) -> set[str]:
    """Modules of `lib` that the source names in an import, wherever it stands."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if module_path(name).is_file() else node.module for name in inner}
    # A package's __init__.py holds a docstring only, so importing it changes nothing.
    return {name for name in found if name.startswith("lib.") and not Path(*name.split(".")).is_dir()}


def notebook_source(path: Path) -> str:
    """The code of a notebook as one program."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")


def module_path(module: str) -> Path:
    """lib.text → lib/text.py; a package → its __init__.py."""
    path = Path(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def is_source(dependency: str) -> bool:
    """Whether an entry of a stage's deps is one that `expected` computes."""
    return dependency.endswith(".py") or dependency == LOCK


def write(path: Path = Path("dvc.yaml")) -> None:
    """Rewrites the computed part of every stage's deps, comments and everything else kept."""
    yaml = YAML()
    yaml.width = 120
    yaml.indent(mapping=2, sequence=4, offset=2)
    tree = yaml.load(path)
    for spec in tree["stages"].values():
        kept = [dependency for dependency in spec["deps"] if not is_source(dependency)]
        spec["deps"] = kept + expected(spec["cmd"])
    with open(path, "w", encoding="utf-8") as file:
        yaml.dump(tree, file)


if __name__ == "__main__":
    if sys.argv[1:] != ["--write"]:
        sys.exit("usage: python -m lib.pipeline.dependencies --write")
    write()
