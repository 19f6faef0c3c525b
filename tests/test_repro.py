"""`make repro` before and around `dvc repro`: settings, folder, variables, signals, disk, Git."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from configobj import ConfigObj
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from lib import dvc_state, hardware, profile, repro
from lib.errors import EaselError

REPOSITORY = Path(__file__).parent.parent
FAKE_PYTHON = """#!/bin/sh
{python} -c "import json, os, sys; print(json.dumps([sys.argv[1:], dict(os.environ)]))" "$@"
"""


@pytest.fixture(scope="module")
def makefile(tmp_path_factory):
    """A folder with the Makefile, in which `python` tells what it was given."""
    folder = tmp_path_factory.mktemp("make")
    shutil.copy(REPOSITORY / "Makefile", folder)
    python = folder / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(FAKE_PYTHON.format(python=sys.executable))
    python.chmod(0o755)
    return folder


def make(folder, *arguments, **variables):
    environment = {**os.environ, **variables}
    command = ["make", "-s", "PYTHON=true", *arguments]
    answer = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    return json.loads(answer.stdout)


TYPED = st.text(st.sampled_from("ab=. é猫'\"$(){}#&;|<>`\\!*?~%@:,[]"), max_size=25)


@hypothesis_settings(deadline=None, max_examples=25)
@given(typed=TYPED, name=TYPED, from_environment=st.booleans())
def test_make_passes_on_what_was_typed_and_runs_none_of_it(makefile, typed, name, from_environment):
    if from_environment:
        arguments, variables = make(makefile, "repro", SET=typed, PROFILE=name, FROM=typed)
    else:
        arguments, variables = make(makefile, "repro", f"SET={typed}", f"PROFILE={name}", f"FROM={typed}")
    assert arguments == ["-m", "lib.repro"]
    # make drops the spaces before a value, which mean nothing here either.
    passed = [variables[key].lstrip() for key in ("EASEL_SET", "EASEL_PROFILE", "EASEL_FROM")]
    assert passed == [typed.lstrip(), name.lstrip(), typed.lstrip()]


def test_make_sees_to_it_that_python_finds_the_library(makefile):
    _, variables = make(makefile, "repro", PYTHONSAFEPATH="1", PYTHONHOME="/none")
    assert not {"PYTHONSAFEPATH", "PYTHONHOME"} & set(variables) and variables["PYTHONUTF8"] == "1"
    assert "PYTHONDONTWRITEBYTECODE" not in make(makefile, "repro", PYTHONDONTWRITEBYTECODE="1")[1]
    assert variables["EASEL_PROFILE"] == "laptop" and variables["EASEL_SET"] == ""


@pytest.fixture
def started(tmp_path, monkeypatch):
    """A clone whose DVC is replaced: what it was started with, call by call."""
    for name in ("params.yaml", "dvc.yaml", "data.dvc", "profiles", "claims.yaml", "requirements.lock"):
        source = REPOSITORY / name
        shutil.copytree(source, tmp_path / name) if source.is_dir() else shutil.copy(source, tmp_path)
    monkeypatch.chdir(tmp_path)
    calls = []

    def call(arguments, folder, variables, lock):
        os.fstat(lock)
        calls.append((arguments, folder, variables))
        return 0

    monkeypatch.setattr(repro, "call", call)
    before = os.umask(0o077)
    yield calls
    os.umask(before)


def test_a_run_is_dvc_repro_and_then_the_summary(started, monkeypatch):
    monkeypatch.setenv("EASEL_PROFILE", "smoke")
    monkeypatch.setenv("EASEL_SET", "data.source=webdataset data.path=/a b/it's")
    assert repro.main([]) == 0
    (dvc, folder, variables), (summary, same, _) = started
    assert dvc == ["-m", "dvc", "repro"] and summary == ["-m", "lib.pipeline.summary"] and folder == same
    assert json.loads((folder / "params.json").read_text())["data"]["path"] == "/a b/it's"
    assert variables["XLA_FLAGS"] == hardware.FAST_COMPILING
    assert {name for name in variables if name.startswith("EASEL_")} <= {*repro.PASSED_ON}


def test_arguments_go_to_dvc_and_end_without_a_summary(started, monkeypatch):
    monkeypatch.delenv("EASEL_PROFILE", raising=False)
    monkeypatch.delenv("EASEL_SET", raising=False)
    assert repro.main(["--single-item", "verify"]) == 0
    ((dvc, folder, variables),) = started
    assert dvc == ["-m", "dvc", "repro", "--single-item", "verify"] and folder == Path(".")
    assert "XLA_FLAGS" not in variables


@pytest.mark.parametrize(
    ("name", "typed", "message"),
    [
        ("../profiles/smoke", "", "unknown profile"),
        ("smoke", "reader.stesp=3", "unknown key"),
        ("smoke", "seed", "not of the form"),
        ("", "", "unknown profile"),
    ],
)
def test_a_mistake_starts_nothing_and_writes_nothing(started, monkeypatch, capsys, name, typed, message):
    before = sorted(Path(".").rglob("*"))
    monkeypatch.setenv("EASEL_PROFILE", name)
    monkeypatch.setenv("EASEL_SET", typed)
    assert repro.main([]) == 2 and not started
    assert message in capsys.readouterr().err and sorted(Path(".").rglob("*")) == before


@pytest.mark.parametrize("typed", ["0", "-1", "some", "1.5", "3 4", " ", "٣"])
def test_a_sample_of_no_size_starts_nothing(started, monkeypatch, capsys, typed):
    monkeypatch.setenv("EASEL_PROFILE", "smoke")
    monkeypatch.setenv("EASEL_TAKE_OVER", typed)
    assert repro.main([]) == 2 and not started
    assert re.match(r"error: TAKE_OVER is .*; it can be nothing, or a whole number from 1 on", capsys.readouterr().err)


def test_the_size_of_a_sample_reaches_the_stages(started, makefile, monkeypatch):
    monkeypatch.setenv("EASEL_PROFILE", "smoke")
    monkeypatch.setenv("EASEL_TAKE_OVER", "3")
    assert repro.main([]) == 0
    assert started[0][2]["EASEL_TAKE_OVER"] == "3"
    assert make(makefile, "repro", "TAKE_OVER=$(x)`3`")[1]["EASEL_TAKE_OVER"] == "$(x)`3`"


def test_a_shadow_is_not_rewritten_while_a_run_goes_on_in_it(started, monkeypatch):
    monkeypatch.setattr(dvc_state, "PATIENCE", 0.1)
    shadow = profile.prepare("smoke", [])
    (shadow / "claims.yaml").write_text("of the run that goes on")
    with dvc_state.only_run(shadow), pytest.raises(EaselError, match="another run is at work"):
        repro.run("smoke", [], [])
    assert (shadow / "claims.yaml").read_text() == "of the run that goes on" and not started
    assert repro.run("smoke", [], []) == 0
    assert (shadow / "claims.yaml").read_bytes() == Path("claims.yaml").read_bytes()


def test_a_full_disk_is_said_first(started, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: shutil._ntuple_diskusage(10**10, 10**10, 6 * 10**8))
    with pytest.raises(EaselError, match=r"0\.6 GB of disk free; this run needs 1\.0 GB more"):
        repro.run("smoke", [], [])
    build = Path("runs/smoke/build")
    build.mkdir()
    with open(build / "weights", "wb") as file:
        file.truncate(5 * 10**8)  # a run that is half done needs the other half
    assert repro.run("smoke", [], []) == 0


def test_a_disk_that_fills_up_or_cannot_be_written_is_a_sentence(started, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(profile, "synchronise", full)
    with pytest.raises(EaselError, match="No space left on device"):
        repro.run("smoke", [], [])


def test_without_git_dvc_is_told_so_and_keeps_other_settings(started):
    local = Path(".dvc/config.local")
    local.parent.mkdir()
    local.write_text("[cache]\n    dir = /elsewhere\n")
    assert repro.run("laptop", [], ["sources"]) == 0
    assert ConfigObj(str(local)) == {"cache": {"dir": "/elsewhere"}, "core": {"no_scm": "true"}}
    local.unlink()
    Path(".git").touch()  # as in a worktree
    assert repro.run("laptop", [], ["sources"]) == 0
    assert not local.exists()


def test_an_archive_says_itself_that_it_has_no_git(tmp_path):
    archive = subprocess.run(["git", "archive", "HEAD", ".dvc"], cwd=REPOSITORY, capture_output=True, check=True)
    subprocess.run(["tar", "x", "-C", tmp_path], input=archive.stdout, check=True)
    assert ConfigObj(str(tmp_path / ".dvc/config"))["core"]["no_scm"] == "true"
    assert "no_scm" not in ConfigObj(str(REPOSITORY / ".dvc/config"))["core"]


def test_every_run_has_the_same_variables_whoever_starts_it(monkeypatch, capsys):
    theirs = {
        **{"JAX_ENABLE_X64": "1", "JAX_PLATFORMS": "cuda", "XLA_FLAGS": "--x", "OMP_NUM_THREADS": "9"},
        **{"LC_ALL": "tr_TR.ISO-8859-9", "LC_NUMERIC": "de_DE", "LANG": "C", "PYTHONOPTIMIZE": "2", "PYTHONPATH": "/x"},
        **{"PYTHONSAFEPATH": "1", "PYTHONUTF8": "0", "PYTHONHASHSEED": "7", "SHELL": "/bin/fish"},
        **{"MPLBACKEND": "x", "MATPLOTLIBRC": "/x", "TORCH_LOGS": "all", "DVC_STAGE": "x"},
    }
    for name in (*theirs, "JAX_PROCESS_ID"):
        monkeypatch.delenv(name, raising=False)
    plain = repro.environment("laptop")
    capsys.readouterr()
    for name, value in theirs.items():
        monkeypatch.setenv(name, value)
    assert repro.environment("laptop") == plain
    assert capsys.readouterr().out.count("\n") == 1
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    monkeypatch.setenv("JAX_PROCESS_ID", "1")
    assert repro.environment("laptop") == {**plain, "CUDA_VISIBLE_DEVICES": "1", "JAX_PROCESS_ID": "1"}


CHILD = (
    "import os, sys, time; print(os.umask(0), flush=True); open('pid', 'w').write(str(os.getpid())); time.sleep(600)"
)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGKILL, None)])
def test_sigterm_reaches_all_and_a_kill_leaves_the_folder_taken(tmp_path, monkeypatch, number, status):
    monkeypatch.setattr(dvc_state, "PATIENCE", 0.1)
    program = (
        "import os, sys; from pathlib import Path; from lib import dvc_state, repro; os.umask(repro.UMASK)\n"
        "with dvc_state.only_run(Path(sys.argv[1])) as lock, dvc_state.kept(Path(sys.argv[1])):\n"
        "    status = repro.call(['-c', sys.argv[2]], Path(sys.argv[1]), dict(os.environ), lock)\n"
        "sys.exit(status)"
    )
    command = [sys.executable, "-c", program, str(tmp_path), CHILD]
    run = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)
    assert run.stdout.readline() == f"{0o022}\n"
    while not (tmp_path / "pid").is_file() or not (tmp_path / "pid").read_text():
        pass
    child = int((tmp_path / "pid").read_text())
    run.send_signal(number)
    if status:
        assert run.wait() == status and not (tmp_path / dvc_state.RUNNING).exists()
    else:
        run.wait()
        with pytest.raises(EaselError, match="another run"), dvc_state.only_run(tmp_path):
            pass
        os.kill(child, signal.SIGKILL)
        assert (tmp_path / dvc_state.RUNNING).exists()
    monkeypatch.setattr(dvc_state, "PATIENCE", 60)
    with dvc_state.only_run(tmp_path):
        pass
    run.stdout.close()
