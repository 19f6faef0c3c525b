"""Runs one notebook: `python -m lib.run notebooks/bench.ipynb`.

The notebook's parameters come, typed, from params.yaml (its `profile` and the section `notebooks.<name>`); papermill
executes it in this environment's own kernel; the executed copy under build/notebooks/ is normalised, so that equal
results give equal bytes.
"""

import ast
import json
import logging
import os
import re
import shutil
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import nbformat

from lib import config, config_tree
from lib.errors import EaselError, command_line, naming, shortened
from lib.hardware import use_cores
from lib.pipeline.stage import record, specs
from lib.progress import Progress

EXECUTED = Path("build/notebooks")
KERNEL = "python3"
REMEDY = "If it stays so, delete .venv and run `make` again."
# What papermill and the kernel leave in an executed notebook that differs from run to run.
VOLATILE = ("papermill", "execution", "widgets")


def run(path: Path, params: config.Params) -> Path:
    """Executes the notebook and returns the path of the executed, normalised copy.

    That copy and the notebook's figures replace the last ones when all cells have run, and only then.

    Raises:
        EaselError: no such notebook, one that cannot be read, no or several `parameters` cells, unknown, missing or
            mistyped parameters, another kernel than this environment's or none that answers, or a failing cell (the
            message says which, and where the copy lies).
    """
    parameters = check(path, params)
    check_kernel()
    target, unfinished = EXECUTED / path.name, EXECUTED / f"{path.stem}.unfinished.ipynb"
    target.parent.mkdir(parents=True, exist_ok=True)
    isolate()
    with replaced(params.figures / path.stem):
        _execute(path, unfinished, parameters)
        notebook = nbformat.read(unfinished, as_version=4)
        normalise(notebook)
        nbformat.write(notebook, unfinished)
    os.replace(unfinished, target)
    return target


def stage_of(path: Path) -> str:
    """The stage that runs a notebook."""
    return next((name for name, spec in specs().items() if spec["cmd"].endswith(f"lib.run {path}")), path.stem)


def owner(name: str) -> str:
    """The study whose parameters a notebook gets; "" for one that belongs to none."""
    for study, tree in config.read_trees().items():
        if name in tree.get("notebooks", {}):
            return study
    return ""


@contextmanager
def replaced(folder: Path) -> Iterator[None]:
    """Sets `folder` aside for the enclosed work to make anew, and puts it back if that fails.

    If it was killed instead, the next one puts the folder back.
    """
    aside, done = (folder.with_name(f".{folder.name}.{state}") for state in ("aside", "done"))
    if aside.is_dir():
        shutil.rmtree(folder, ignore_errors=True)
    elif folder.is_dir():
        os.replace(folder, aside)
    try:
        yield
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        if aside.is_dir():
            os.replace(aside, folder)
        raise
    shutil.rmtree(done, ignore_errors=True)
    if aside.is_dir():
        os.replace(aside, done)  # at once: a half-removed folder must not be put back
        shutil.rmtree(done, ignore_errors=True)


def isolate() -> None:
    """Keeps what the user set up for IPython and matplotlib, and their folders in HOME, out of the notebook."""
    # Absolute paths, since a kernel may change its folder.
    os.environ["IPYTHONDIR"] = str(EXECUTED.absolute() / ".ipython")
    os.environ["MATPLOTLIBRC"] = str(Path(find_spec("matplotlib").origin).with_name("mpl-data") / "matplotlibrc")
    os.environ["MPLCONFIGDIR"] = str(EXECUTED.absolute() / ".matplotlib")
    for name in ("MPLBACKEND", "PYTHONSTARTUP"):  # the kernel's own is the backend that shows figures in cells
        os.environ.pop(name, None)
    # The list of fonts is made here, once a clone: a slow machine would say so in a cell.
    from matplotlib import font_manager  # noqa: F401


def check(path: Path, params: config.Params) -> dict[str, Any]:
    """The parameters to run a notebook with, checked against its `parameters` cell."""
    if not path.is_file():
        known = ", ".join(str(found) for found in sorted(path.parent.glob("*.ipynb"))) or "none"
        raise EaselError(f"{path} does not exist; notebooks here: {known}.")
    with naming(path, "JSON"):
        content = json.loads(path.read_text(encoding="utf-8"))
    with naming(path, "as a notebook"):
        notebook = nbformat.reads(json.dumps(content), as_version=4)
        nbformat.validate(notebook)
    kernel = notebook.metadata.get("kernelspec", {}).get("name")
    if kernel != KERNEL:
        raise EaselError(f"{path} asks for the kernel '{kernel}'; set its metadata.kernelspec.name to '{KERNEL}'.")
    tagged = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    if len(tagged) != 1:
        raise EaselError(f"{path} has {len(tagged)} cells tagged 'parameters'; it needs exactly one.")
    defaults = _defaults(tagged[0].source, path)
    section = f"params.yaml: notebooks.{path.stem}"
    given = {"profile": params.profile, **config_tree.plain(params.notebooks.get(path.stem, {}))}
    if unknown := sorted(set(given) - set(defaults)):
        raise EaselError(f"{section} sets {', '.join(unknown)}, which {path} has no parameter for.")
    if missing := sorted(set(defaults) - set(given)):
        raise EaselError(f"{section} does not set {', '.join(missing)}, a parameter of {path}.")
    for name, value in given.items():
        if type(value) is not type(defaults[name]):
            kind = type(defaults[name]).__name__
            raise EaselError(f"{section}.{name} is {value!r} ({type(value).__name__}), {path} expects {kind}.")
    return given


def _defaults(source: str, path: Path) -> dict[str, Any]:
    """The values that a parameters cell assigns; anything derived belongs into the next cell."""
    found = {}
    with naming(f"{path}, the parameters cell", "Python"):
        statements = ast.parse(source).body
    for statement in statements:
        try:
            (target,) = statement.targets
            found[target.id] = ast.literal_eval(statement.value)
        except (AttributeError, ValueError) as error:
            line = ast.unparse(statement)
            raise EaselError(
                f"{path}: `{line}` in the parameters cell is not of the form name = constant; move it to the next cell."
            ) from error
    return found


def check_kernel() -> None:
    """Refuses a `python3` kernel that is not the Python this runs in, e.g. one that the user registered elsewhere."""
    os.environ["JUPYTER_PREFER_ENV_PATH"] = "1"
    from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel

    try:
        spec = KernelSpecManager().get_kernel_spec(KERNEL)
    except NoSuchKernel as error:
        raise EaselError(f"this environment has no notebook kernel. {REMEDY}") from error
    # ipykernel's own spec says plain "python", which the client replaces by the running interpreter.
    interpreter = spec.argv[0]
    if interpreter not in (sys.executable, "python", "python3") or not spec.resource_dir.startswith(sys.prefix):
        raise EaselError(
            f"the kernel '{KERNEL}' is {spec.resource_dir} ({interpreter}), not this environment's Python "
            f"({sys.executable}); remove it with `jupyter kernelspec uninstall {KERNEL}` or run through `make`."
        )
    try:
        with socket.create_server(("127.0.0.1", 0)) as server:
            socket.create_connection(server.getsockname(), timeout=5).close()
    except OSError as error:
        raise EaselError(
            f"notebooks talk to their kernel over this machine's own address, 127.0.0.1, which does not answer "
            f"({error}); `ip link set lo up` brings it up."
        ) from error


def _execute(path: Path, target: Path, parameters: dict[str, Any]) -> None:
    import papermill
    from nbclient.exceptions import DeadKernelError
    from papermill.exceptions import PapermillExecutionError

    cells = sum(cell.cell_type == "code" for cell in nbformat.read(path, as_version=4).cells) + 1
    copy = f"the executed copy up to there is {target}"
    handler = _CellLines(Progress(path.stem, cells))
    logger = logging.getLogger("papermill")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    # A progress bar in an output cell holds a speed, which differs from run to run.
    os.environ["TQDM_DISABLE"] = "1"
    try:
        papermill.execute_notebook(
            *(str(name).replace("{", "{{").replace("}", "}}") for name in (path, target)),  # else they are formatted
            parameters,
            kernel_name=KERNEL,
            language="python",
            cwd=".",
            progress_bar=False,
            log_output=True,
        )
    except PapermillExecutionError as error:
        raise EaselError(
            f"{path}, cell In [{error.exec_count}]: {error.ename}: {error.evalue}\n"
            f"  {copy}; open it to see the cell and the traceback."
        ) from error
    except DeadKernelError as error:
        raise EaselError(
            f"{path}, cell {handler.cell}: its kernel ended there: the cell ended it, somebody killed it, or memory "
            f"ran out; {copy}."
        ) from error
    except RuntimeError as error:  # what the client raises when no kernel answers
        if "kernel" not in str(error).lower():
            raise
        raise EaselError(f"{path}: its kernel does not answer: {shortened(str(error))}. {REMEDY}") from error
    finally:
        logger.removeHandler(handler)


class _CellLines(logging.Handler):
    """Passes on what cells print, and turns papermill's 'Executing Cell n' into progress."""

    def __init__(self, progress: Progress):
        super().__init__()
        self.progress, self.cell = progress, 0

    def emit(self, line: logging.LogRecord) -> None:
        text = line.getMessage()
        if started := re.match(r"Executing Cell (\d+)", text):
            self.cell = int(started[1])
            self.progress.update(min(self.cell, self.progress.total))
        elif not re.match(r"(Ending Cell|Working directory|Input Notebook|Output Notebook|Executing notebook)", text):
            print(text.rstrip(), flush=True)


def normalise(notebook: nbformat.NotebookNode) -> None:
    """Removes times, random cell ids and the host's Python version from an executed notebook, in place.

    Relative links of its text cells, which start in notebooks/, are made to start in build/notebooks/.
    """
    for place in [notebook.metadata, *(cell.metadata for cell in notebook.cells)]:
        for key in VOLATILE:
            place.pop(key, None)
    notebook.metadata.pop("language_info", None)
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{number}"
        if cell.cell_type == "markdown":
            cell.source = cell.source.replace("](../", "](../../")


@command_line
def main(arguments: list[str]) -> None:
    """Command line: pins the cores, runs the notebook, records what it cost."""
    if len(arguments) != 1:
        raise EaselError("usage: python -m lib.run notebooks/<name>.ipynb")
    path = Path(arguments[0])
    params = config.load(owner(path.stem))
    use_cores(params.threads)
    with record(stage_of(path), [str(EXECUTED / path.name), str(params.figures / path.stem)]):
        run(path, params)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
