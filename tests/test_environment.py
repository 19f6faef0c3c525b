"""One set of versions: pyproject.toml, the lock and the conda file say the same; notebooks are clean."""

import importlib.metadata
import json
import subprocess
import tomllib
from pathlib import Path

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


def test_an_unsuitable_python_is_named(monkeypatch, capsys):
    monkeypatch.setattr("sys.version_info", (3, 9, 1))
    assert environment.main() == 1
    assert "needs Python 3.11, 3.12 or 3.13; `python3` here is 3.9" in capsys.readouterr().err


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


@pytest.mark.parametrize("path", sorted((REPOSITORY / "notebooks").glob("*.ipynb")), ids=lambda path: path.name)
def test_notebooks_are_committed_without_outputs_and_with_stable_ids(path):
    notebook = json.loads(path.read_text())
    assert [cell["id"] for cell in notebook["cells"]] == [f"cell-{i}" for i in range(len(notebook["cells"]))]
    assert not [cell for cell in notebook["cells"] if cell.get("outputs") or cell.get("execution_count")]
