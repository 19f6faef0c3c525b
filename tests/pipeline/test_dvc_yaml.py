"""The pipeline file against the sources: nothing forgotten, nothing that would break caching."""

import dataclasses
import re
from pathlib import Path

import pytest

from lib import config
from lib.errors import EaselError
from lib.pipeline import dependencies, stage
from lib.pipeline.__main__ import main

REPOSITORY = Path(__file__).parent.parent.parent
STAGES = stage.pipeline_file(REPOSITORY / "dvc.yaml")["stages"]


@pytest.fixture(autouse=True)
def at_the_top(monkeypatch):
    monkeypatch.chdir(REPOSITORY)


@pytest.mark.parametrize("name", STAGES)
def test_dependencies_are_those_of_the_sources(name):
    listed = [dependency for dependency in STAGES[name]["deps"] if dependencies.is_source(dependency)]
    remedy = "run `python -m lib.pipeline.dependencies --write`"
    assert listed == dependencies.expected(STAGES[name]["cmd"]), remedy


@pytest.mark.parametrize("name", STAGES)
def test_parameters_that_the_sources_read_are_listed(name):
    words = STAGES[name]["cmd"].split()
    if "lib.run" in words:
        expected = {"profile", f"notebooks.{Path(words[-1]).stem}"}
    else:
        source = dependencies.module_path(f"lib.pipeline.{name}").read_text()
        sections = {field.name for field in dataclasses.fields(config.Params)}
        expected = set(re.findall(r"\bparams\.([a-z_]+)", source)) & sections
        expected |= {"profile"} if re.search(r"\bparams\.(results|figures)", source) else set()
        expected |= {"data", "scenes"} if name == "check_data" else set()
    listed = {key if key.startswith("notebooks.") else key.split(".")[0] for key in STAGES[name]["params"]}
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
    helpers = {"__init__", "__main__", "stage", "dependencies", "pin", "summary"}
    modules = {path.stem for path in Path("lib/pipeline").glob("*.py")} - helpers
    assert modules == {name for name, spec in STAGES.items() if "lib.pipeline" in spec["cmd"]}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "usage"),
        (["train_dalle_mini"], "takes one of both, english"),
        (["train_dalle_mini", "german"], "takes one of both, english"),
        (["train_text", "both"], "takes no item"),
        (["encod"], "no stage 'encod'"),
    ],
)
def test_a_stage_is_asked_for_by_name_and_item(arguments, message, capsys):
    assert main(arguments) == 2
    assert message in capsys.readouterr().err


def test_names_of_matrix_stages_are_those_of_dvc():
    assert {"train_text", "train_dalle_mini@both", "train_dalle_mini@english"} <= set(stage.all_names())
    assert "train_glu_variants@swiglu" in stage.all_names()  # from a list of params.yaml
    assert "train_dalle_mini" not in stage.all_names()


def test_imports_follow_all_forms(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    sources = {
        "a": "import lib.b\nfrom lib import c\n",
        "b": "def f():\n    from lib.inner.d import x\n",
        "c": "import os\n",
        "inner/__init__": "",
        "inner/d": "from lib import errors\nfrom lib import inner\n",
        "errors": "",
    }
    for name, text in sources.items():
        path = Path("lib") / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    dependencies._tree.cache_clear()
    try:
        assert dependencies.imports("lib.a") == {"lib.a", "lib.b", "lib.c", "lib.inner.d"}
    finally:
        dependencies._tree.cache_clear()


def test_fingerprint_follows_parameters_code_and_data(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("dvc.yaml").write_text("stages:\n  t:\n    cmd: x\n    deps: [code.py, data]\n    params: [reader, seed]\n")
    Path("data").mkdir()
    Path("code.py").write_text("1")
    tree = config.read_yaml(REPOSITORY / "params.yaml")

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
