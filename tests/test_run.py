"""The notebook runner, on notebooks made here."""

import json
import os
import shutil
import sys
from contextlib import suppress
from pathlib import Path

import nbformat
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lib import config, config_tree, run
from lib.errors import EaselError
from tests import house

REPOSITORY = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    shutil.copy(REPOSITORY / "params.yaml", tmp_path)
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
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
    assert "build/notebooks/n.unfinished.ipynb" in error and Path("build/notebooks/n.unfinished.ipynb").is_file()


FIGURES = Path("paper_figs/laptop/n")
DRAWS = """
from pathlib import Path
out = Path("paper_figs") / profile / "n"
out.mkdir(parents=True, exist_ok=True)
(out / "{}.png").write_bytes(b"")
"""


def drawn():
    return sorted(path.name for path in FIGURES.iterdir()), sorted(path.name for path in FIGURES.parent.iterdir())


def test_figures_are_replaced_by_a_notebook_that_ends_and_by_no_other():
    run.run(notebook('profile = ""', DRAWS.format("old")), params())
    executed = Path("build/notebooks/n.ipynb").read_bytes()
    for last in ("1 / 0", "import os; os.kill(os.getpid(), 9)"):
        with pytest.raises(EaselError, match=r"notebooks/n\.ipynb, cell (In \[4\]: Zero|4: its kernel ended there)"):
            run.run(notebook('profile = ""', DRAWS.format("new"), last), params())
        assert drawn() == (["old.png"], ["n"])
        assert Path("build/notebooks/n.ipynb").read_bytes() == executed
    run.run(notebook('profile = ""', DRAWS.format("new")), params())
    assert drawn() == (["new.png"], ["n"])
    assert Path("build/notebooks/n.ipynb").read_bytes() != executed


@pytest.mark.parametrize("ends", [True, False])
@pytest.mark.parametrize("moment", range(6))
def test_a_kill_at_any_moment_loses_no_figures(moment, ends, monkeypatch):
    """Killed at the so-manieth change of the file system; then a notebook fails, then one succeeds."""

    class Killed(BaseException):
        pass

    calls = []

    def fatal(function):
        def step(*arguments, **options):
            calls.append(function)
            if len(calls) > moment:  # nothing happens after a kill
                if len(calls) == moment + 1 and function is shutil.rmtree and arguments[0].is_dir():
                    next(arguments[0].iterdir()).unlink()  # in the middle of its work
                raise Killed
            return function(*arguments, **options)

        return step

    def work(name, fails=False):
        with run.replaced(FIGURES):
            FIGURES.mkdir(parents=True)
            for number in range(2):
                (FIGURES / f"{name}{number}").touch()
            if fails:
                raise ValueError

    work("old")
    with monkeypatch.context() as patched:
        patched.setattr(run.os, "replace", fatal(os.replace))
        patched.setattr(run.shutil, "rmtree", fatal(shutil.rmtree))
        with suppress(Killed, ValueError):
            work("new", fails=not ends)
    with pytest.raises(ValueError):
        work("bad", fails=True)
    assert drawn()[0] in (["old0", "old1"], ["new0", "new1"])
    work("last")
    assert drawn() == (["last0", "last1"], ["n"])


def test_names_of_any_letters():
    name = "with space é, a{b}, it's (1) & $2 #3, 红色"
    path = notebook('profile = ""').rename(f"notebooks/{name}.ipynb")
    assert run.run(path, params()) == Path(f"build/notebooks/{name}.ipynb")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "is not valid JSON"),
        ("[1, 2]", "is not valid as a notebook"),
        ('{"cells": 3, "nbformat": 4, "nbformat_minor": 5, "metadata": {}}', "is not valid as a notebook"),
        ('{"cells": [{"cell_type": "code"}], "nbformat": 4, "nbformat_minor": 5, "metadata": {}}', "as a notebook"),
        ("{}", "is not valid as a notebook"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_other_content_is_no_notebook(content, says):
    path = notebook()
    path.write_text(content)
    with pytest.raises(EaselError, match=rf"notebooks/n\.ipynb.*{says}"):
        run.check(path, params())


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_half_a_notebook_is_named(data):
    path = notebook('profile = "x"\nrate = 0.5', "print('é')")
    whole = path.read_bytes()
    path.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 3))])
    with pytest.raises(EaselError, match=r"notebooks/n\.ipynb is not valid JSON"):
        run.check(path, params(rate=1.0))


@pytest.mark.parametrize("source", ["x = = 3", "%matplotlib inline", "profile = '", "  profile = 1", "x = 1\x00", "("])
def test_a_parameters_cell_that_is_no_python_is_named(source):
    with pytest.raises(EaselError, match=r"notebooks/n\.ipynb, the parameters cell is not valid Python"):
        run.check(notebook(source), params())


def test_settings_of_the_user_do_not_reach_the_kernel(tmp_path, monkeypatch):
    startup = tmp_path / "ipython/profile_default/startup"
    startup.mkdir(parents=True)
    (startup / "a.py").write_text("print('startup')")
    (tmp_path / "python.py").write_text("print('startup')")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/matplotlibrc").write_text("axes.facecolor: yellow\nno.such.key: 1\n")
    for name, value in {
        "IPYTHONDIR": tmp_path / "ipython",
        "PYTHONSTARTUP": tmp_path / "python.py",
        "MATPLOTLIBRC": tmp_path / "mine/matplotlibrc",
        "MPLCONFIGDIR": "/dev/null/absent",
        "MPLBACKEND": "no_such_backend",
        "HOME": tmp_path / "absent",
    }.items():
        monkeypatch.setenv(name, str(value))
    asks = "import matplotlib.pyplot as plt; print(plt.rcParams['axes.facecolor'], plt.get_backend())"
    (cell,) = nbformat.read(run.run(notebook('profile = ""', asks), params()), as_version=4).cells[2:]
    (output,) = cell.outputs
    assert output.text in ("white inline\n", "white module://matplotlib_inline.backend_inline\n")


def test_no_answer_of_the_machine_itself_is_found_at_once(monkeypatch):
    def refuse(address, timeout):
        raise OSError(101, "Network is unreachable")

    monkeypatch.setattr(run.socket, "create_connection", refuse)
    with pytest.raises(EaselError, match=r"127\.0\.0\.1, which does not answer .*Network is unreachable"):
        run.check_kernel()


def test_a_kernel_that_does_not_answer_is_told(monkeypatch):
    import papermill

    def silent(*arguments, **options):
        raise RuntimeError("Kernel didn't respond in 60 seconds")

    monkeypatch.setattr(papermill, "execute_notebook", silent)
    with pytest.raises(EaselError, match="its kernel does not answer: Kernel didn't respond"):
        run.run(notebook('profile = ""'), params())
