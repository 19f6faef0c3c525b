"""Which modules of this repository a module or a notebook needs, and what each of them does, as a hash."""

import ast
import hashlib
import io
import json
import re
import tokenize
from functools import cache
from pathlib import Path

from lib.packages import LOCK, imported, pins

# Modules that cannot change a result: they read configuration (whose values are tracked), print, or start things.
PLUMBING = {
    *("lib.config", "lib.config_tree", "lib.errors", "lib.imports", "lib.ownership", "lib.pipeline.stage"),
    *("lib.pipeline.engine", "lib.pipeline.parts", "lib.pipeline.take_over", "lib.progress", "lib.run"),
}
OWN = ("lib", "studies", "pages", "huggingface", "benchmarks", "demo")  # the folders of modules
_OWN = re.compile(rf"(?:{'|'.join(OWN)})(?:\.[a-z]\w*)+")  # the name of a module


def needed(program: Path, by_name: bool = True) -> dict[Path, str]:
    """What a stage's module or a notebook depends on, with hashes: source files, by what they do (`digest`), and of
    the environment's lock the packages that these import; see `imports`."""
    files = closure(program, by_name)
    packages = set().union(*map(_packages, files)) - set(OWN)
    hashes = {path: digest(path) for path in files if path.suffix != ".ipynb"}
    return hashes | {LOCK: hashlib.sha256("\n".join(pins(sorted(packages))).encode()).hexdigest()}


def closure(program: Path, by_name: bool = True) -> list[Path]:
    """The file of a module or a notebook, below the current folder, and the modules of ours that it imports."""
    if program.suffix == ".ipynb":
        modules = own_imports(ast.parse(notebook_source(program)))
    else:
        modules = {".".join(program.with_suffix("").parts)}
    found = set().union(*(imports(module, by_name) for module in modules))
    return sorted({program, *map(module_path, found)})


def imports(module: str, by_name: bool = True) -> set[str]:
    """All modules of this repository that `module` needs, itself included, plumbing left out.

    Args:
        by_name: with those that one of them has the names of, as strings: which of these it loads, only a run knows.
    """
    found: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name not in found and name not in PLUMBING:
            found.add(name)
            path = module_path(name).absolute()
            waiting.extend(_imported(path) | _named(path) if by_name else _imported(path))
    return found


def digest(path: Path) -> str:
    """sha256 of a file; of a module, of what it does."""
    text = path.read_bytes()
    return hashlib.sha256(essence(text.decode()).encode() if path.suffix == ".py" else text).hexdigest()


def essence(source: str) -> str:
    """A module's source without comments, docstrings, blank lines and spaces at the ends of lines.

    Cut from the text, not printed from the tree, so that every version of Python gives the same.
    """
    lines, kept = source.splitlines(), _rows_in_strings(source)
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            row, column = token.start
            lines[row - 1] = lines[row - 1][:column]
    scopes = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, scopes) and ast.get_docstring(node, clean=False) is not None:
            text = node.body[0]
            rows = range(text.lineno, text.end_lineno + 1)
            kept -= set(rows)
            for row in rows:
                lines[row - 1] = ""
    return "\n".join(
        line if row in kept else line.rstrip() for row, line in enumerate(lines, start=1) if row in kept or line.strip()
    )


def _rows_in_strings(source: str) -> set[int]:
    """Lines that end inside a string: what is blank there is text."""
    rows, opened = set(), []
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        kind = tokenize.tok_name[token.type]  # f-strings have tokens of their own since Python 3.12
        if kind == "FSTRING_START":
            opened.append(token.start[0])
        start = opened.pop() if kind == "FSTRING_END" else token.start[0]
        if kind in ("STRING", "FSTRING_END"):
            rows |= set(range(start, token.end[0]))
    return rows


@cache
def _imported(path: Path) -> set[str]:
    return own_imports(ast.parse(path.read_text(encoding="utf-8")))


@cache
def _packages(path: Path) -> set[str]:
    source = notebook_source(path) if path.suffix == ".ipynb" else path.read_text(encoding="utf-8")
    return imported(ast.parse(source))


@cache
def _named(path: Path) -> set[str]:
    """Modules of this repository whose names the source has as strings."""
    strings = {
        node.value
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    return {text for text in strings if _OWN.fullmatch(text) and module_path(text).with_suffix(".py").is_file()}


def own_imports(tree: ast.Module) -> set[str]:
    """Modules of this repository that the source names in an import, wherever it stands."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if module_path(name).is_file() else node.module for name in inner}
    # A package's __init__.py holds a docstring only, so importing it changes nothing.
    return {name for name in found if name.partition(".")[0] in OWN and not Path(*name.split(".")).is_dir()}


def notebook_source(path: Path) -> str:
    """The code of a notebook as one program."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")


def module_path(module: str) -> Path:
    """lib.text → lib/text.py; a package → its __init__.py."""
    path = Path(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
