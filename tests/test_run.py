"""The notebook runner, on notebooks made here."""

import json
import os
import shutil
import sys
from pathlib import Path

import nbformat
import pytest

from lib import config, config_tree, run
from lib.errors import EaselError
from tests import house

REPOSITORY = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    shutil.copy(REPOSITORY / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("JUPYTER_PATH", raising=False)


def notebook(parameters='profile = "smoke"\nrate = 0.5', *cells, kernel="python3", tags=("parameters",)):
    """Writes notebooks/n.ipynb."""
    made = nbformat.v4.new_notebook(metadata={"kernelspec": {"name": kernel, "display_name": "Python 3"}})
    made.cells = [nbformat.v4.new_code_cell(parameters, metadata={"tags": list(tags)})]
    made.cells += [nbformat.v4.new_code_cell(cell) for cell in cells]
    path = Path("notebooks/n.ipynb")
    path.parent.mkdir(exist_ok=True)
    nbformat.write(made, path)
    return path


def params(**given):
    tree = house.trees()[""]
    tree["notebooks"] = {"n": given}
    return config.build({"": tree}, "", "test")


@pytest.mark.parametrize(
    ("source", "given", "message"),
    [
        ("rate = 0.5", {"rate": 1.0}, "sets profile, which .* has no parameter for"),
        ('profile = ""\nrate = 0.5', {"rate": 1.0, "rte": 2}, "sets rte, which .* has no parameter for"),
        ('profile = ""\nrate = 0.5', {}, "does not set rate"),
        ('profile = ""\nrate = 0.5', {"rate": "1.0"}, r"rate is '1\.0' \(str\), .* expects float"),
        ('profile = ""\non = True', {"on": 1}, r"on is 1 \(int\), .* expects bool"),
        ('profile = ""\ntwice = 2 * 3', {"twice": 6}, "is not of the form name = constant; move it"),
    ],
)
def test_parameters_are_checked_before_a_kernel_starts(source, given, message):
    with pytest.raises(EaselError, match=message):
        run.check(notebook(source), params(**given))


def test_missing_or_doubled_parameters_cell():
    with pytest.raises(EaselError, match="has 0 cells tagged 'parameters'"):
        run.check(notebook(tags=()), params())
    path = notebook()
    made = nbformat.read(path, as_version=4)
    made.cells.append(nbformat.v4.new_code_cell("x = 1", metadata={"tags": ["parameters"]}))
    nbformat.write(made, path)
    with pytest.raises(EaselError, match="has 2 cells tagged 'parameters'"):
        run.check(path, params())


def test_missing_notebook_and_wrong_kernel():
    with pytest.raises(EaselError, match="asks for the kernel 'julia'"):
        run.check(notebook(kernel="julia"), params(rate=1.0))
    with pytest.raises(EaselError, match=r"does not exist; notebooks here: notebooks/n\.ipynb"):
        run.check(Path("notebooks/m.ipynb"), params())


def test_somebody_elses_kernel_is_refused(tmp_path, monkeypatch):
    spec = tmp_path / "jupyter" / "kernels" / "python3"
    spec.mkdir(parents=True)
    argv = ["/somewhere/else/python", "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (spec / "kernel.json").write_text(json.dumps({"argv": argv, "display_name": "x", "language": "python"}))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    with pytest.raises(EaselError, match="not this environment's Python"):
        run.check_kernel()


def test_executed_copy_is_byte_stable_and_gets_typed_parameters():
    path = notebook(
        'profile = "x"\nrate = 0.5',
        "import sys\nprint(profile, rate * 2, type(rate).__name__)",
        "from IPython.display import display\nimport time; time.sleep(0.01); display({'a': 1})",
    )
    first = run.run(path, params(rate=0.25)).read_bytes()
    second = run.run(path, params(rate=0.25)).read_bytes()
    assert first == second
    executed = nbformat.reads(first.decode(), as_version=4)
    assert executed.cells[2].outputs[0].text == "laptop 0.5 float\n"
    assert sys.executable not in first.decode()


def test_links_of_the_executed_copy_start_in_its_own_folder():
    path = notebook('profile = "x"', 'print("[not a link](../lib)")')
    made = nbformat.read(path, as_version=4)
    made.cells.append(
        nbformat.v4.new_markdown_cell("[`a`](../lib/a.py), [b](../docs/), [c](n.ipynb), [d](https://e.org)")
    )
    run.normalise(made)
    assert made.cells[2].source == "[`a`](../../lib/a.py), [b](../../docs/), [c](n.ipynb), [d](https://e.org)"
    assert made.cells[1].source == 'print("[not a link](../lib)")'


def test_failure_names_notebook_cell_and_copy(capsys):
    path = notebook('profile = "x"\nrate = 0.5', "print('fine')", "raise ValueError('no pictures')")
    tree = config_tree.read_yaml("params.yaml")
    tree["notebooks"] = {"n": {"rate": 1.0}}
    from ruamel.yaml import YAML

    with open("params.yaml", "w") as file:
        YAML(typ="safe", pure=True).dump(tree, file)
    affinity = os.sched_getaffinity(0)
    try:
        assert run.main([str(path)]) == 2
    finally:
        os.sched_setaffinity(0, affinity)
    error = capsys.readouterr().err
    assert "notebooks/n.ipynb, cell In [4]: ValueError: no pictures" in error
    assert "build/notebooks/n.ipynb" in error and Path("build/notebooks/n.ipynb").is_file()
