"""Stage sources: which modules every other stage needs, read from their imports → build/sources/<program>.txt.

A stage that depends on too few modules gives stale results; one that depends on whole folders retrains after an edit
next door. So a stage depends on the list of what its program, a module beside this one or a notebook, imports, with
hashes: this stage runs after every edit, which takes a second, and then those run whose lists have changed.
`sha256sum -c` reads the lists.
"""

import ast
import hashlib
import json
import shutil
from functools import cache
from pathlib import Path

from lib.config import Params

PIPELINE, NOTEBOOKS, OUT = Path("lib/pipeline"), Path("notebooks"), Path("build/sources")
# Modules that cannot change a result: they read configuration (whose values are tracked), print, or start things.
PLUMBING = {
    *("lib.config", "lib.config_glu", "lib.config_sjd2", "lib.config_tree", "lib.errors", "lib.hardware"),
    *("lib.pipeline.stage", "lib.run", "lib.training.progress"),
}
LOCK = Path("requirements.lock")


def run(params: Params) -> None:
    """Writes the list of every program that a stage can run."""
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)
    for path in [*sorted(PIPELINE.glob("[a-z]*.py")), *sorted(NOTEBOOKS.glob("*.ipynb"))]:
        lines = [f"{hashlib.sha256(source.read_bytes()).hexdigest()}  {source}\n" for source in needed(path)]
        (OUT / f"{path.stem}.txt").write_text("".join(lines), encoding="utf-8")


def needed(program: Path) -> list[Path]:
    """Source files that a module of lib/pipeline or a notebook depends on, the environment's lock among them."""
    return [*(path for path in closure(program) if path.suffix != ".ipynb"), LOCK]


def closure(program: Path) -> list[Path]:
    """The file of a module or a notebook, below the current folder, and the modules of `lib` that it imports."""
    if program.suffix == ".ipynb":
        modules = _lib_imports(ast.parse(notebook_source(program)))
    else:
        modules = {".".join(program.with_suffix("").parts)}
    found = set().union(*(imports(module) for module in modules))
    return sorted({program, *map(module_path, found)})


def imports(module: str) -> set[str]:
    """All modules of `lib` that `module` needs, itself included, plumbing left out."""
    found: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name not in found and name not in PLUMBING:
            found.add(name)
            waiting.extend(_imported(module_path(name).absolute()))
    return found


@cache
def _imported(path: Path) -> set[str]:
    return _lib_imports(ast.parse(path.read_text(encoding="utf-8")))


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
