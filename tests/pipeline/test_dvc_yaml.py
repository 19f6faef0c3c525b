"""The pipeline file against the sources: nothing forgotten, nothing that would break caching."""

import hashlib
import json
import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from lib import config, config_tree
from lib.errors import EaselError
from lib.pipeline import __main__ as program
from lib.pipeline import sources, stage
from lib.pipeline.__main__ import main

REPOSITORY = Path(__file__).parent.parent.parent
STAGES = stage.pipeline_file(REPOSITORY / "dvc.yaml")["stages"]


@pytest.fixture(autouse=True)
def at_the_top(monkeypatch):
    monkeypatch.chdir(REPOSITORY)


@pytest.mark.parametrize("name", [name for name in STAGES if name != "sources"])
def test_a_stage_depends_on_its_list_of_sources_and_on_no_other_code(name):
    code = [dependency for dependency in STAGES[name]["deps"] if dependency.startswith(("build/sources", "lib", "req"))]
    program = Path(STAGES[name]["cmd"].split()[-1]).stem if "lib.run" in STAGES[name]["cmd"] else name
    assert code == [f"build/sources/{program}.txt"]


@pytest.mark.parametrize("name", STAGES)
def test_parameters_that_the_sources_read_are_listed(name):
    words = STAGES[name]["cmd"].split()
    if "lib.run" in words:
        expected = {"profile", f"notebooks.{Path(words[-1]).stem}"}
    else:
        source = sources.module_path(f"lib.pipeline.{name}").read_text()
        sections = set(config.Params.model_fields)
        expected = set(re.findall(r"\bparams\.([a-z_]+)", source)) & sections
        expected |= {"profile"} if re.search(r"\bparams\.(results|figures)", source) else set()
        expected |= {"data", "scenes"} if name == "check_data" else set()
    tracked = STAGES[name].get("params", [])
    listed = {key if key.startswith("notebooks.") else key.split(".")[0] for key in tracked}
    assert expected <= listed, f"{name} reads {expected - listed}"


@pytest.mark.parametrize("name", [name for name in STAGES if name.startswith("train_")])
def test_training_is_cached_and_tied_to_threads_and_seed(name):
    assert all(isinstance(out, str) for out in STAGES[name]["outs"]), "a cache: false output turns the run cache off"
    if name != "train_text":
        assert {"seed", "threads"} <= set(STAGES[name]["params"])


def test_git_holds_results_and_nothing_else():
    for name, spec in STAGES.items():
        for out in spec["outs"]:
            path, tracked = (out, False) if isinstance(out, str) else (next(iter(out)), True)
            assert path.startswith(("results/", "paper_figs/")) == tracked, f"{name}: {path}"
            assert not path.startswith("results/reference"), "a stage would overwrite what it is compared with"


def test_every_stage_module_is_in_the_pipeline():
    helpers = {"__init__", "__main__", "stage", "tuning", "pin", "summary"}
    modules = {path.stem for path in Path("lib/pipeline").glob("*.py")} - helpers
    assert modules == {name for name, spec in STAGES.items() if "lib.pipeline" in spec["cmd"]}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "usage"),
        (["dalle_mini/train"], "takes one of both, english"),
        (["dalle_mini/train", "german"], "takes one of both, english"),
        (["train_text", "both"], "takes no item"),
        (["encod"], "no stage 'encod'"),
    ],
)
def test_a_stage_is_asked_for_by_name_and_item(arguments, message, capsys):
    assert main(arguments) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(("process", "first"), [(None, True), ("0", True), ("1", False)])
def test_of_several_processes_the_first_forgets_checkpoints_and_records_the_cost(process, first, tmp_path, monkeypatch):
    monkeypatch.setattr(program, "use_cores", lambda count: None)
    monkeypatch.setattr(program.importlib, "import_module", lambda name: SimpleNamespace(run=lambda params: None))
    monkeypatch.setattr(stage, "CHECKPOINTS", tmp_path / "checkpoints")
    monkeypatch.setattr(stage, "RECORDS", tmp_path / "records")
    monkeypatch.delenv("JAX_PROCESS_ID", raising=False)
    if process is not None:
        monkeypatch.setenv("JAX_PROCESS_ID", process)
    checkpoint = tmp_path / "checkpoints/train_text/1.safetensors"
    checkpoint.parent.mkdir(parents=True)
    checkpoint.touch()
    assert main(["train_text"]) == 0
    assert checkpoint.is_file() is not first
    assert (tmp_path / "records/train_text.json").is_file() is first


def test_names_of_matrix_stages_are_those_of_dvc():
    assert {"train_text", "dalle_mini/train@both", "dalle_mini/train@english"} <= set(stage.all_names())
    assert "glu/train_variants@swiglu" in stage.all_names()  # from a list of params.yaml
    assert "dalle_mini/train" not in stage.all_names()


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A small one of two programs, the stage `a` and a notebook."""
    monkeypatch.chdir(tmp_path)
    modules = {
        "a": "import lib.b\nfrom lib import c\n",
        "b": "def f():\n    from lib.inner.d import x\n",
        "c": "import os\n",
        "inner/__init__": "",
        "inner/d": "from lib import errors\nfrom lib import inner\n",
        "errors": "",
        "pipeline/a": "from lib.a import y\n",
    }
    for name, text in modules.items():
        path = Path("lib") / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    cells = [{"cell_type": "markdown", "source": ["import lib.a"]}, {"cell_type": "code", "source": ["import lib.c\n"]}]
    Path("notebooks").mkdir()
    Path("notebooks/n.ipynb").write_text(json.dumps({"cells": cells}))
    Path("requirements.lock").write_text("x==1\n")
    sources._tree.cache_clear()
    yield tmp_path
    sources._tree.cache_clear()


def listed():
    sources._tree.cache_clear()
    sources.run(None)
    return {path.stem: path.read_text() for path in Path("build/sources").iterdir()}


def test_imports_follow_all_forms(project):
    assert sources.imports("lib.a") == {"lib.a", "lib.b", "lib.c", "lib.inner.d"}


def test_a_list_of_sources_has_the_modules_of_a_stage_with_their_hashes(project):
    lists = listed()
    assert set(lists) == {"a", "n"}
    names = {name: [line.split("  ")[1] for line in text.splitlines()] for name, text in lists.items()}
    modules = ["lib/a.py", "lib/b.py", "lib/c.py", "lib/inner/d.py", "lib/pipeline/a.py"]
    assert names == {"a": [*modules, "requirements.lock"], "n": ["lib/c.py", "requirements.lock"]}
    lock = hashlib.sha256(b"x==1\n").hexdigest()
    assert lists["n"].endswith(f"\n{lock}  requirements.lock\n")


@pytest.mark.parametrize(
    ("edited", "stale"), [("lib/b.py", {"a"}), ("lib/c.py", {"a", "n"}), ("lib/errors.py", set()), ("README", set())]
)
def test_an_edit_changes_the_lists_of_the_stages_that_need_it(project, edited, stale):
    before = listed()
    with open(edited, "a") as file:
        file.write("# edited\n")
    after = listed()
    assert {name for name in before if before[name] != after[name]} == stale


def test_fingerprint_follows_parameters_code_and_data(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("dvc.yaml").write_text("stages:\n  t:\n    cmd: x\n    deps: [code.py, data]\n    params: [reader, seed]\n")
    Path("data").mkdir()
    Path("code.py").write_text("1")
    tree = config_tree.read_yaml(REPOSITORY / "params.yaml")

    def fingerprint():
        return stage.training("t", config.build(tree, "test")).fingerprint

    with pytest.raises(EaselError, match="data is missing or empty"):
        fingerprint()
    Path("data/MANIFEST.sha256").write_text("a")
    seen = [fingerprint()]
    tree["clip"]["steps"] += 1
    assert fingerprint() == seen[0]  # not this stage's section
    for change in (
        lambda: tree["reader"].update(steps=7),
        lambda: tree.update(seed=5),
        lambda: Path("code.py").write_text("2"),
        lambda: Path("data/MANIFEST.sha256").write_text("b"),
    ):
        change()
        seen.append(fingerprint())
    assert len(set(seen)) == len(seen)
