"""One set of versions: pyproject.toml, the lock and the conda file say the same; notebooks are clean."""

import ast
import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from types import SimpleNamespace

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from lib import config_tree, environment

REPOSITORY = Path(__file__).parent.parent
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
LOCK = {
    canonicalize_name(requirement.name): requirement
    for line in (REPOSITORY / "requirements.lock").read_text().splitlines()
    if line and not line.startswith("#")
    for requirement in [Requirement(line)]
}


def test_the_lock_is_exact_and_names_no_local_version():
    for requirement in LOCK.values():
        (pin,) = requirement.specifier
        assert pin.operator == "==" and "+" not in pin.version and not requirement.url


@pytest.mark.parametrize("text", PROJECT["dependencies"])
def test_every_dependency_is_in_the_lock_and_installed(text):
    wanted = Requirement(text)
    (pin,) = LOCK[canonicalize_name(wanted.name)].specifier
    assert wanted.specifier.contains(pin.version)
    assert importlib.metadata.version(wanted.name).split("+")[0] == pin.version


def test_torch_is_the_only_build_that_stays_small():
    assert str(LOCK["torch"].specifier) == "==2.13.0" and "torchvision" not in LOCK
    assert not [name for name in LOCK if name.startswith(("nvidia-", "cuda"))]


def test_conda_users_get_the_same_pins_and_pythons():
    dependencies = config_tree.read_yaml(REPOSITORY / "environment.yml")["dependencies"]
    (pip,) = [entry["pip"] for entry in dependencies if isinstance(entry, dict)]
    assert pip == ["-r requirements.lock"]
    (python,) = [Requirement(entry) for entry in dependencies if str(entry).startswith("python")]
    assert set(python.specifier) == set(Requirement(f"python{PROJECT['requires-python']}").specifier)


def test_pips_settings_reach_uv(monkeypatch):
    listing = (
        "global.index-url='https://example.invalid/simple'\n:env:.find-links='/wheels\\n/more'\nglobal.cert='/x'\n"
    )
    answer = subprocess.CompletedProcess([], 0, stdout=listing)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: answer)
    for name in environment.SETTINGS.values():
        monkeypatch.delenv(name, raising=False)
    assert environment._uv_settings() == {
        "UV_DEFAULT_INDEX": "https://example.invalid/simple",
        "UV_FIND_LINKS": "/wheels /more",
    }


def test_an_unsuitable_python_is_named(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    Path("requirements.lock").touch()
    monkeypatch.setattr("sys.version_info", (3, 9, 1))
    assert environment.main() == 1
    assert "needs Python 3.11, 3.12 or 3.13; `python3` here is 3.9" in capsys.readouterr().err


def test_an_old_python_can_read_it():
    """Annotations are evaluated by Pythons that lack what they say; those that matter are quoted."""
    tree = ast.parse(Path(environment.__file__).read_text(), feature_version=(3, 7))
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            for hint in [node.returns, *(argument.annotation for argument in node.args.args)]:
                assert hint is None or isinstance(hint, ast.Name | ast.Constant), ast.unparse(hint)
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert imported <= sys.stdlib_module_names


@pytest.fixture
def clone(tmp_path, monkeypatch):
    """A clone whose environments are made without packages; `broken` holds what is to fail, `built` what was built."""
    monkeypatch.chdir(tmp_path)
    Path("requirements.lock").write_text("a==1\n")
    state = SimpleNamespace(broken=set(), built=[], difference="is no Python")

    def create(place, clear=False, **_):
        if clear:
            shutil.rmtree(place, ignore_errors=True)
        state.built.append(place)
        (place / "bin").mkdir(parents=True, exist_ok=True)
        (place / "bin" / "python").symlink_to(sys.executable)
        (place / "bin" / "pip").write_text(f"#!{place.absolute()}/bin/python\n")

    monkeypatch.setattr(environment.venv, "create", create)
    monkeypatch.setattr(environment, "_install", lambda place: "install" not in state.broken)
    monkeypatch.setattr(environment, "check", lambda place: int("check" in state.broken))
    compare = environment._difference
    monkeypatch.setattr(environment, "_difference", lambda: compare() and state.difference)
    return state


def works():
    return environment.PYTHON.exists()


def test_an_environment_is_built_once_whatever_the_time_stamps_say(clone):
    assert environment.main() == 0 and works() and len(clone.built) == 1
    for moment in (0, 4e9):
        os.utime("requirements.lock", (moment, moment))
        assert environment.main() == 0 and len(clone.built) == 1


@pytest.mark.parametrize("failure", ["install", "check", "disk"])
@pytest.mark.parametrize("before", ["ours", "old", "none"])
def test_what_fails_leaves_the_environment_as_it_was(clone, monkeypatch, capfd, failure, before):
    if before == "ours":
        assert environment.main() == 0
    elif before == "old":
        environment.venv.create(Path(".venv"))
    was = os.path.realpath(".venv")
    Path("requirements.lock").write_text("a==2\n")
    clone.broken.add(failure)
    if failure == "disk":

        def full(*_, **__):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(environment.venv, "create", full)
    assert environment.main() == 1
    assert os.path.realpath(".venv") == was and works() == (before != "none")


def test_a_new_lock_gets_an_environment_beside_the_one_before_which_stays_for_one_more(clone):
    kept = []
    for version in range(4):
        Path("requirements.lock").write_text(f"a=={version}\n")
        assert environment.main() == 0 and works()
        kept.append(Path(".venv").resolve())
    there = {path for path in Path(".venvs").resolve().iterdir() if path.is_dir()}
    assert there == set(kept[-2:]) and len(set(kept)) == 4


def test_a_changed_environment_is_replaced_and_never_emptied(clone):
    assert environment.main() == 0
    first = Path(".venv").resolve()
    (first / "ready").unlink()
    clone.broken.add("install")
    assert environment.main() == 1 and works()
    clone.broken.clear()
    assert environment.main() == 0 and works() and Path(".venv").resolve() != first and first.exists()


def test_a_plain_folder_of_before_becomes_a_link_and_is_kept(clone):
    environment.venv.create(Path(".venv"))
    (Path(".venv") / "mine").touch()
    assert environment.main() == 0
    assert Path(".venv").is_symlink() and Path(".venvs/before/mine").exists()


def test_an_environment_with_the_right_versions_is_taken_over(clone):
    environment.venv.create(Path(".venv"))
    clone.difference = ""
    assert environment.main() == 0 and not Path(".venv").is_symlink() and len(clone.built) == 1


def test_an_environment_that_was_moved_is_made_anew(clone):
    environment.venv.create(Path(".venv"))
    Path(".venv").rename("elsewhere")
    Path(".venv").symlink_to("elsewhere")
    assert environment._difference() == "is no Python"  # its programs name the old place
    Path(".venv").unlink()
    assert environment.main() == 0
    Path("moved").mkdir()
    for name in (".venv", ".venvs", "requirements.lock"):
        Path(name).rename(Path("moved") / name)
    os.chdir("moved")
    assert not environment._is_marked() and environment.main() == 0 and len(clone.built) == 3


def test_somebody_elses_environment_behind_a_link_is_never_written_to(clone, tmp_path, capsys):
    theirs = tmp_path / "theirs"
    environment.venv.create(theirs)
    Path(".venv").symlink_to(theirs)
    before = sorted(theirs.rglob("*"))
    clone.difference = "numpy is 1.0, not 2.0"
    assert environment.main() == 1
    said = capsys.readouterr().err
    assert "is a link to" in said and "numpy is 1.0, not 2.0" in said
    assert sorted(theirs.rglob("*")) == before and len(clone.built) == 1
    clone.difference = ""
    assert environment.main() == 0 and Path(".venv").resolve() == theirs


def test_versions_are_compared_with_the_lock(tmp_path):
    name, version = "packaging", importlib.metadata.version("packaging")
    for text, found in (
        (f"# a line\n\n{name}=={version}\n", ""),
        (f"{name}==0.1\n", f"{name} is {version}, not 0.1"),
        ("no-such-package==1\n", "no-such-package is missing"),
    ):
        (tmp_path / "lock").write_text(text)
        command = [sys.executable, "-c", environment.COMPARE, str(tmp_path / "lock")]
        answer = subprocess.run(command, capture_output=True, text=True)
        assert answer.stderr.strip() == found and bool(answer.returncode) == bool(found)


def test_git_ignores_none_of_the_sources():
    tracked = [
        "lib/text.py",
        "notebooks/bench.ipynb",
        "results/laptop/data.json",
        "paper_figs/laptop/x.pdf",
        "data.dvc",
    ]
    answer = subprocess.run(["git", "check-ignore", *tracked], cwd=REPOSITORY, capture_output=True, text=True)
    assert answer.stdout == ""


@pytest.mark.parametrize("name", [".venv", ".venvs/x", ".venv.new", "build/x", "runs/x", ".dvc_site_cache/repo/x"])
def test_git_ignores_what_is_made_here(name):
    command = ["git", "check-ignore", "--no-index", name]  # .venv as a link too, which a pattern with / would miss
    assert subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True).stdout.strip() == name


@pytest.mark.parametrize("path", sorted((REPOSITORY / "notebooks").glob("*.ipynb")), ids=lambda path: path.name)
def test_notebooks_are_committed_without_outputs_and_with_stable_ids(path):
    notebook = json.loads(path.read_text())
    assert [cell["id"] for cell in notebook["cells"]] == [f"cell-{i}" for i in range(len(notebook["cells"]))]
    assert not [cell for cell in notebook["cells"] if cell.get("outputs") or cell.get("execution_count")]
