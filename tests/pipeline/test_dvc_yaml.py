"""The pipeline file against the sources: nothing forgotten, nothing that would break caching."""

import hashlib
import json
import re
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import pytest

from lib import config, config_tree, imports
from lib.errors import EaselError
from lib.pipeline import __main__ as program
from lib.pipeline import sources, stage
from lib.pipeline.__main__ import main

REPOSITORY = Path(__file__).parent.parent.parent
with pytest.MonkeyPatch.context() as _patch:
    _patch.chdir(REPOSITORY)
    STAGES = stage.specs()
OTHERS = [name for name in STAGES if not name.endswith("sources")]


@pytest.fixture(autouse=True)
def at_the_top(monkeypatch):
    monkeypatch.chdir(REPOSITORY)


def program_of(name):
    """The module or notebook that a stage runs."""
    words, (study, _, program) = STAGES[name]["cmd"].split(), name.rpartition("/")
    if "lib.run" in words:
        return Path(words[-1])
    return Path("studies", study, "code", f"{program}.py") if study else Path("lib/pipeline", f"{program}.py")


@pytest.mark.parametrize("name", OTHERS)
def test_a_stage_depends_on_its_list_of_sources_and_on_no_other_code(name):
    code = [dependency for dependency in STAGES[name]["deps"] if dependency.startswith(("build/sources", "lib", "req"))]
    program, study = program_of(name), name.rpartition("/")[0] or "bench"
    listed = program.name if program.suffix == ".ipynb" else program.stem
    assert code == [f"build/sources/{study}/{listed}.txt"]


@pytest.mark.parametrize("name", [name for name in STAGES if name.endswith("sources")])
def test_lists_of_sources_follow_all_code_that_they_are_made_from(name):
    study = name.rpartition("/")[0]
    notebooks = {str(program_of(other)) for other in OTHERS if other.rpartition("/")[0] == study}
    notebooks = {path for path in notebooks if path.endswith(".ipynb")}
    code = {f"studies/{study}/code"} if study else set()
    assert set(STAGES[name]["deps"]) == {"lib", "requirements.lock"} | notebooks | code


@pytest.mark.parametrize("name", OTHERS)
def test_parameters_that_the_sources_read_are_listed(name):
    program = program_of(name)
    if program.suffix == ".ipynb":
        expected = {"profile", f"notebooks.{program.stem}"}
    else:
        source = program.read_text()
        sections = set(config.kind(name.rpartition("/")[0]).model_fields)
        expected = set(re.findall(r"\bparams\.([a-z_]+)", source)) & sections
        expected |= {"profile"} if re.search(r"\bparams\.(results|figures)", source) else set()
        expected |= {"data", "scenes"} if name == "check_data" else set()
    tracked = stage.parameters(STAGES[name])
    listed = {key if key.startswith("notebooks.") else key.split(".")[0] for key in tracked}
    assert expected <= listed, f"{name} reads {expected - listed}"


@cache
def sections_of(file):
    return set(config_tree.read_yaml(file))


@pytest.mark.parametrize("name", OTHERS)
def test_a_section_is_read_from_the_file_that_holds_it(name):
    study = name.rpartition("/")[0]
    for entry in STAGES[name].get("params", []):
        file, keys = (
            (f"studies/{study}/params.yaml", entry[f"studies/{study}/params.yaml"])
            if isinstance(entry, dict)
            else ("params.yaml", [entry])
        )
        assert {key.split(".")[0] for key in keys} <= sections_of(file)


def test_plain_repro_reaches_every_stage():
    made = {}
    for name, spec in STAGES.items():
        for out in spec["outs"]:
            # A matrix stage's outputs by the folder that holds all of them.
            made[(out if isinstance(out, str) else next(iter(out))).split("/${item")[0] + "/"] = name
    reached, waiting = set(), ["overview"]
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            # data is what make_data makes
            needs = ["build/data/" if need == "data" else f"{need}/" for need in STAGES[name]["deps"]]
            waiting += [made[out] for out in made for need in needs if out.startswith(need) or need.startswith(out)]
    assert reached == set(STAGES)


def test_no_study_reads_anothers_code():
    for study in config.studies():
        for path in Path("studies", study, "code").glob("*.py"):
            foreign = {
                name for name in imports.imports(".".join(path.with_suffix("").parts)) if name.startswith("studies.")
            }
            assert all(name.startswith(f"studies.{study}.") for name in foreign)


def test_the_library_names_no_study():
    for path in Path("lib").rglob("*.py"):
        assert not re.search(r"\bstudies\.\w", path.read_text()), path


@pytest.mark.parametrize("name", [name for name in STAGES if re.match(r"(\w+/)?train", name)])
def test_training_is_cached_and_tied_to_threads_and_seed(name):
    assert all(isinstance(out, str) for out in STAGES[name]["outs"]), "a cache: false output turns the run cache off"
    if name != "train_text":
        assert {"seed", "threads"} <= set(stage.parameters(STAGES[name]))


def test_git_holds_results_and_nothing_else():
    for name, spec in STAGES.items():
        for out in spec["outs"]:
            path, options = (out, {}) if isinstance(out, str) else next(iter(out.items()))
            tracked = options.get("cache") is False
            assert path.startswith(("results/", "paper_figs/")) == tracked, f"{name}: {path}"
            assert not path.startswith("results/reference"), "a stage would overwrite what it is compared with"


def test_dvc_removes_no_figure_before_the_new_one_is_drawn():
    for name, spec in STAGES.items():
        if "lib.run" in spec["cmd"]:
            options = [next(iter(out.values())) if isinstance(out, dict) else {} for out in spec["outs"]]
            assert all(option.get("persist") for option in options), name


def test_every_stage_module_is_in_the_pipeline():
    runs = re.compile(r"^def run\(params", re.MULTILINE)
    programs = [*Path("lib/pipeline").glob("*.py"), *Path("studies").glob("*/code/*.py")]
    assert {path for path in programs if runs.search(path.read_text())} == {
        program for name in OTHERS if (program := program_of(name)).suffix == ".py"
    }


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
    stages = {"a": {"cmd": "python -m lib.pipeline a"}, "n": {"cmd": "python -m lib.run notebooks/n.ipynb"}}
    Path("dvc.yaml").write_text(json.dumps({"stages": stages}))
    for name, text in modules.items():
        path = Path("lib") / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    cells = [{"cell_type": "markdown", "source": ["import lib.a"]}, {"cell_type": "code", "source": ["import lib.c\n"]}]
    Path("notebooks").mkdir()
    Path("notebooks/n.ipynb").write_text(json.dumps({"cells": cells}))
    Path("requirements.lock").write_text("x==1\n")
    imports._imported.cache_clear()
    yield tmp_path
    imports._imported.cache_clear()


def listed():
    imports._imported.cache_clear()
    imports._packages.cache_clear()
    sources.run("")
    return {path.stem: path.read_text() for path in Path("build/sources/bench").iterdir()}


def test_imports_follow_all_forms(project):
    assert imports.imports("lib.a") == {"lib.a", "lib.b", "lib.c", "lib.inner.d"}


def test_a_list_of_sources_has_the_modules_of_a_stage_with_their_hashes(project):
    lists = listed()
    assert set(lists) == {"a", "n.ipynb"}
    names = {name: [line.split("  ")[1] for line in text.splitlines()] for name, text in lists.items()}
    modules = ["lib/a.py", "lib/b.py", "lib/c.py", "lib/inner/d.py", "lib/pipeline/a.py"]
    assert names == {"a": [*modules, "requirements.lock"], "n.ipynb": ["lib/c.py", "requirements.lock"]}
    nothing = hashlib.sha256(b"").hexdigest()  # none of them imports a package
    assert lists["n.ipynb"].endswith(f"\n{nothing}  requirements.lock\n")


@pytest.mark.parametrize(
    ("edited", "stale"),
    [("pillow==1", {"a"}), ("numpy==1", {"a", "n.ipynb"}), ("markupsafe==1", set()), ("new==1", set())],
)
def test_another_version_of_a_package_changes_the_lists_of_the_stages_that_stand_on_it(project, edited, stale):
    lock = ["numpy==2", "pandas==2", "pillow==2", "markupsafe==2"]
    Path("requirements.lock").write_text("\n".join(lock))
    for name, line in (("inner/d", "from PIL import Image\n"), ("c", "import pandas.testing\n")):  # it needs NumPy
        with open(f"lib/{name}.py", "a") as file:
            file.write(line)
    before, name = listed(), edited.partition("==")[0]
    lock = [line for line in lock if not line.startswith(name)] + [edited]
    Path("requirements.lock").write_text("\n".join(sorted(lock)))
    after = listed()
    assert {name for name in before if before[name] != after[name]} == stale


def test_a_package_that_the_lock_lacks_is_named(project):
    Path("lib/c.py").write_text("import unheard_of\n")
    with pytest.raises(LookupError, match="unheard-of"):
        listed()


@pytest.mark.parametrize(
    ("edited", "stale"),
    [("lib/b.py", {"a"}), ("lib/c.py", {"a", "n.ipynb"}), ("lib/errors.py", set()), ("README", set())],
)
def test_an_edit_changes_the_lists_of_the_stages_that_need_it(project, edited, stale):
    before = listed()
    with open(edited, "a") as file:
        file.write("# a comment\n")
    assert listed() == before
    with open(edited, "a") as file:
        file.write("edited = 1\n")
    after = listed()
    assert {name for name in before if before[name] != after[name]} == stale


SAME = '''
def f(a):
    return a + 1
class A:
    x = "# no comment"
    y = f"""two

lines {x}"""
'''


@pytest.mark.parametrize(
    "other",
    [
        '"""A module."""\n' + SAME,
        SAME.replace("(a):", '(a):  # why\n    """Adds one.\n\n    More.\n    """'),
        SAME.replace("class A:", "# above\n\n\nclass A:\n    'a class'\n"),
        SAME.replace("return a + 1", "return a + 1   \n\n"),
    ],
)
def test_comments_docstrings_and_blank_lines_are_not_of_the_essence(other):
    assert other != SAME and imports.essence(other) == imports.essence(SAME)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("a + 1", "a + 2"),
        ("# no", "# a"),
        ("class A", "class B"),
        ("    return", "    a\n    return"),
        ("two\n\nlines", "two\nlines"),
    ],
)
def test_code_is_of_the_essence(old, new):
    assert imports.essence(SAME.replace(old, new)) != imports.essence(SAME)


def test_fingerprint_follows_parameters_code_and_data(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("dvc.yaml").write_text("stages:\n  t:\n    cmd: x\n    deps: [code.py, data]\n    params: [reader, seed]\n")
    Path("data").mkdir()
    Path("code.py").write_text("1")
    tree = config_tree.read_yaml(REPOSITORY / "params.yaml")

    def fingerprint():
        return stage.training("t", config.build({"": tree}, "", "test")).fingerprint

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
