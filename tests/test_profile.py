"""Profiles: shadows that touch nothing, and errors before any work."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from configobj import ConfigObj
from dvc.dependency.param import ParamsDependency
from dvc.repo import Repo
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from lib import config, config_tree, profile
from lib.errors import EaselError
from lib.models.autoregressive import Autoregressive
from lib.pipeline import stage
from studies.sjd2.code.train import model_config

REPOSITORY = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def copy(tmp_path, monkeypatch):
    for name in ("params.yaml", "dvc.yaml", "data.dvc", "claims.yaml", "requirements.lock", ".dvcignore"):
        shutil.copy(REPOSITORY / name, tmp_path)
    for name in ("profiles", "studies"):
        shutil.copytree(REPOSITORY / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "a.py").write_text("a = 1\n")
    monkeypatch.chdir(tmp_path)


def settings_of(shadow, study=""):
    """The settings in a shadow, as its stages read them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(shadow)
        return config.load(study)


def test_the_default_profile_runs_at_the_top():
    assert profile.prepare("laptop", []) == Path(".")
    assert not Path("runs").exists()


def test_another_profile_gets_a_shadow_with_resolved_parameters():
    shadow = profile.prepare("smoke", [])
    assert shadow == Path("runs/smoke")
    params = settings_of(shadow)
    assert params.profile == "smoke" and params.reader.steps < config.load().reader.steps
    assert settings_of(shadow, "glu").glu_text.seeds < config.load("glu").glu_text.seeds
    assert (shadow / "lib" / "a.py").read_text() == "a = 1\n"


def test_dvc_reads_a_shadow_as_it_is_meant(monkeypatch):
    settings = ["clip.steps=7", "glu_text.seeds=3"]
    (profile.prepare("smoke", settings) / "params.yaml").write_text("profile: smoke\n")  # as in an older shadow
    shadow = profile.prepare("smoke", settings)
    assert settings_of(shadow).clip.steps == 7
    monkeypatch.chdir(shadow)
    with Repo.init(".", no_scm=True, force=True) as repository:
        stages = {stage.addressing: stage for stage in repository.index.stages}
    variants = "studies/glu/dvc.yaml:train_variants"
    assert set(stages) >= {"train_clip", variants, "studies/sjd2/dvc.yaml:train"}
    assert set(stages) == {*(stage.address(*name.split("@")) for name in stage.all_names()), "data.dvc"}
    tracked = [dep for dep in stages["train_clip"].deps if isinstance(dep, ParamsDependency)]
    assert [str(dep) for dep in tracked] == ["params.json"] and tracked[0].read_params()["clip"]["steps"] == 7
    tracked = [dep for dep in stages[variants].deps if isinstance(dep, ParamsDependency)]
    assert {str(dep): dep.params for dep in tracked}.keys() == {"params.json", "studies/glu/params.json"}
    assert (
        next(dep for dep in stages["train_clip"].deps if isinstance(dep, ParamsDependency)).params
        == config_tree.read_yaml(REPOSITORY / "dvc.yaml")["stages"]["train_clip"]["params"]
    )


def test_the_gpu_profile_s_pipelines_resolve(monkeypatch):
    """Every stage of every study, as `dvc repro` would find it; shapes and memory are in tests/studies."""
    monkeypatch.chdir(profile.prepare("gpu", []))
    with Repo.init(".", no_scm=True, force=True) as repository:
        stages = {one.addressing for one in repository.index.stages}
    assert stages == {*(stage.address(*name.split("@")) for name in stage.all_names()), "data.dvc"}


def test_a_shadow_follows_the_sources_and_keeps_its_outputs():
    shadow = profile.prepare("smoke", [])
    (shadow / "build").mkdir()
    (shadow / "lib" / "stale.py").write_text("")
    kept = (shadow / "dvc.yaml").stat().st_mtime_ns
    Path("lib/a.py").write_text("a = 2\n")
    profile.prepare("smoke", [])
    assert (shadow / "lib" / "a.py").read_text() == "a = 2\n"
    assert not (shadow / "lib" / "stale.py").exists() and (shadow / "build").exists()
    assert (shadow / "dvc.yaml").stat().st_mtime_ns == kept


def test_infinity_reaches_a_shadow():
    decoders = settings_of(profile.prepare("gpu", []), "sjd2").sjd2_choice.decoders
    assert decoders["sjd2_lossless"].options["keep"] == float("inf")


def test_settings_get_a_shadow_of_their_own_with_absolute_paths():
    shadow = profile.prepare("smoke", ["data.source=webdataset", "data.path=pictures", "reader.steps=7"])
    params = settings_of(shadow)
    assert shadow != Path("runs/smoke") and params.reader.steps == 7
    assert params.data.path == str(Path("pictures").absolute())


# What people have in paths, and what a shell, make or YAML would read something into.
CHARACTERS = st.text(st.sampled_from("ab é猫 '\"$#&();`\\!*?{}[]|<>~@%:,"), min_size=1, max_size=20)


@hypothesis_settings(deadline=None)
@given(first=CHARACTERS, second=CHARACTERS, before=st.booleans())
def test_any_path_reaches_the_parameters_as_it_was_typed(first, second, before):
    path = f"/pictures/{first.strip()}/{second.strip()}x"
    others = ["data.source=webdataset", "reader.steps=7"]
    typed = " ".join([f"data.path={path}", *others] if before else [*others, f"data.path={path}"])
    tree = {"data": {"path": "", "source": "scenes"}, "reader": {"steps": 2000}}  # as in params.yaml
    for setting in profile.split_settings(typed):
        tree = config_tree.overlay(tree, profile._parse(setting, tree), "SET")
    assert tree == {"data": {"path": path, "source": "webdataset"}, "reader": {"steps": 7}}


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("", []),
        (" a.b=1\n c=[1, 2]  d={x: 1} ", ["a.b=1", "c=[1, 2]", "d={x: 1}"]),
        ("'data.path=/with space/it' seed=3", ["data.path=/with space/it", "seed=3"]),
        ("data.path='/a b=3' seed=3", ["data.path='/a b=3'", "seed=3"]),
        ('data.path="/a b" seed=3', ['data.path="/a b"', "seed=3"]),
        ("seed", ["seed"]),
        ("junk seed=3", ["junk seed=3"]),
    ],
)
def test_settings_are_told_apart(typed, expected):
    assert profile.split_settings(typed) == expected


@pytest.mark.parametrize("quote", ["", "'", '"'])
def test_quotation_marks_around_a_value_are_not_part_of_it(quote):
    _, trees = profile.resolve("smoke", [f"data.path={quote}/with space{quote}"])
    assert trees[""]["data"]["path"] == "/with space"


def test_a_number_for_text_is_text():
    assert profile.resolve("smoke", ["data.path=/2024"])[1][""]["data"]["path"] == "/2024"
    assert profile.resolve("smoke", ["data.path=2024"])[1][""]["data"]["path"] == str(Path("2024").absolute())


@pytest.mark.parametrize("place", ["plain", "with space", "it's", 'a "b" c', "dollar$HOME", "hash #1", "猫, é"])
def test_dvc_finds_the_cache_from_a_shadow_wherever_the_clone_lies(place, tmp_path, monkeypatch):
    clone = tmp_path / place
    clone.mkdir()
    for path in ("params.yaml", "dvc.yaml", "data.dvc", "profiles"):
        shutil.move(tmp_path / path, clone)
    monkeypatch.chdir(clone)
    shadow = profile.prepare("smoke", [])
    assert ConfigObj(str(shadow / ".dvc/config"), encoding="utf-8")["cache"]["dir"] == str(clone / ".dvc/cache")
    with Repo(str(shadow)) as repository:
        assert Path(repository.cache.local.path).is_relative_to(clone / ".dvc" / "cache")


def test_a_shadow_keeps_what_its_own_import_has_found():
    target = profile.prepare("smoke", []) / "data.dvc"
    assert target.read_text() == Path("data.dvc").read_text()
    for text, kept in (
        ("deps:\n- path: build/data\n  md5: of-smoke\nouts:\n- path: data\n", True),
        ("deps:\n- path: elsewhere\nouts:\n- path: data\n", False),
        ("deps:\n- path: build/data\n", False),
        ("", False),
    ):
        target.write_text(text)
        profile.prepare("smoke", [])
        assert (target.read_text() == text) is kept


def test_dvcs_pickles_lie_in_the_clone_and_only_its_owner_writes_there(monkeypatch):
    private = Path(profile.PRIVATE)
    private.parent.mkdir(parents=True)
    shutil.copy(REPOSITORY / private, private)
    monkeypatch.chdir(profile.prepare("smoke", []))
    with Repo(".") as repository:
        place = Path(repository.site_cache_dir).absolute()
    assert place.is_relative_to(Path.cwd()) and (REPOSITORY / private).is_file()
    folders = [place, *(parent for parent in place.parents if parent.is_relative_to(Path.cwd()))]
    assert not [folder for folder in folders if folder.exists() and folder.stat().st_mode & 0o002]
    top = ConfigObj(str(REPOSITORY / ".dvc/config"))
    assert top["core"]["site_cache_dir"] == private.parts[0]


def test_the_gpu_profile_decodes_a_model_of_at_least_fifty_million_parameters():
    params = settings_of(profile.prepare("gpu", []), "sjd2")
    text = SimpleNamespace(vocabulary=params.text.vocabulary, pad_id=0)
    model = Autoregressive(model_config(params, "small", text, (16, 16)), torch.Generator().manual_seed(0))
    assert sum(weights.numel() for weights in model.parameters()) >= 50e6


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("smok", [], "unknown profile 'smok'; there are laptop, gpu, paper, smoke"),
        ("smoke", ["reader.stesp=3"], r"SET: unknown key 'reader\.stesp'; did you mean 'steps'"),
        ("smoke", ["reader.steps=many"], r"reader\.steps is 'many' \(str\), must be int"),
        ("smoke", ["reader.steps"], "not of the form"),
        ("laptop", ["seed=1.5"], r"seed is 1\.5 \(float\), must be int"),
        ("smoke", ["data=null"], "data"),
        ("smoke", ["evaluation=3"], "evaluation"),
        ("smoke", ["clip.steps=[1"], r"SET clip\.steps=\[1 is not valid YAML"),
        ("smoke", ["seed={a"], "SET seed={a is not valid YAML"),
        ("smoke", ["=3"], "not of the form"),
        ("../profiles/smoke", [], "unknown profile '../profiles/smoke'"),
        ("/etc/passwd", [], "unknown profile"),
        ("", [], "unknown profile ''"),
        ("smoke/../smoke", [], "unknown profile"),
    ],
)
def test_mistakes_are_said_before_anything_is_written(name, settings, message):
    with pytest.raises(EaselError, match=message):
        profile.prepare(name, settings)
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("name", "where"),
    [("laptop", "data"), ("laptop", "build/data"), ("smoke", "runs/smoke/data"), ("smoke", "runs/smoke/build/data")],
)
def test_files_that_a_run_would_delete_stop_it(name, where):
    Path(where).mkdir(parents=True)
    Path(where, "mine.tar").write_text("mine")
    with pytest.raises(EaselError, match=rf"{where} holds files that this repository did not make .*: mine\.tar"):
        profile.prepare(name, [])
    assert Path(where, "mine.tar").read_text() == "mine"


@pytest.mark.parametrize("path", ["data", "build/data/x", "runs", "results/mine", ".", "paper_figs"])
def test_data_of_ones_own_are_not_read_from_an_output(path):
    with pytest.raises(EaselError, match=r"data\.path is .*, which is, holds or lies in"):
        profile.prepare("smoke", ["data.source=webdataset", f"data.path={path}"])
    assert not Path("runs").exists()


def test_command_line(capsys):
    assert profile.main(["smok"]) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.startswith("error: unknown profile 'smok'")
    assert profile.main(["smoke", "--set", "seed=3"]) == 0
    assert capsys.readouterr().out.startswith("runs/smoke-")
