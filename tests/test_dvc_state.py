"""DVC's files after kills: real cuts of a real dvc.lock, real locks of real processes."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import chdir
from pathlib import Path

import pytest
from dvc.cli import main as dvc_main
from dvc.schema import COMPILED_LOCKFILE_SCHEMA
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from lib import dvc_state
from lib.errors import EaselError

STAGES = ("draw", "train@both", "train@one", "judge")
PROGRAM = """import pathlib, sys
name, *inputs = sys.argv[1:]
open("work.log", "a").write(name + "\\n")
for kind in ("a", "b"):
    pathlib.Path(f"{name}.{kind}").write_text(name + "".join(pathlib.Path(i).read_text() for i in inputs))
"""

DVC_SETTINGS = "[core]\n    no_scm = true\n    check_update = false\n    site_cache_dir = .dvc_site_cache\n"


def stage(name, *inputs, **more):
    return {
        "cmd": f"{sys.executable} work.py {name} {' '.join(inputs)}",
        "deps": list(inputs),
        "outs": [f"{name}.a", f"{name}.b"],
        **more,
    }


PIPELINE = {
    "draw": stage("draw", "seed.txt"),
    "train": stage("${item.item}", "draw.a", matrix={"item": ["both", "one"]}, params=["steps"]),
    "judge": stage("judge", "both.a", "one.b"),
}


def dvc(folder, *arguments):
    """A DVC command, without the seconds in which a process of its own would start."""
    with chdir(folder):
        assert dvc_main([*arguments, "--quiet"]) == 0


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory):
    """A folder with a pipeline that has run once; `first` and `text` are its dvc.lock before and after a change."""
    folder = tmp_path_factory.mktemp("pipeline")
    (folder / "work.py").write_text(PROGRAM)
    (folder / "seed.txt").write_text("0")
    (folder / "params.yaml").write_text("steps: 3\n")
    (folder / "dvc.yaml").write_text(json.dumps({"stages": PIPELINE}))
    (folder / ".dvc").mkdir()
    (folder / ".dvc/config").write_text(DVC_SETTINGS)
    dvc(folder, "repro")
    first = (folder / "dvc.lock").read_text()
    (folder / "seed.txt").write_text("1")
    dvc(folder, "repro", "train@one")
    return folder, first, (folder / "dvc.lock").read_text()


def stages(text):
    tree = YAML(typ="safe").load(text)
    COMPILED_LOCKFILE_SCHEMA(tree)
    return tree["stages"]


def copies(first, text):
    """Copies as the watcher may have left them: of any moment before."""
    written = list(dvc_state.entries(first).values())
    parts = [dvc_state.HEADER + "".join(written[:count]) for count in range(1, len(written))]
    return ["", *parts, first, text]


@hypothesis_settings(deadline=None, max_examples=150)
@given(data=st.data())
def test_no_cut_loses_an_entry_that_was_whole(pipeline, data):
    _, first, text = pipeline
    copy = data.draw(st.sampled_from(copies(first, text)), label="copy")
    end = data.draw(st.integers(0, len(text) - 1), label="cut after")
    cut = text[:end]
    mended = dvc_state.mended_text(cut, copy, killed=True)
    old = stages(copy) if copy else {}
    if not mended:
        assert not old and not list(dvc_state.entries(cut))[1:]
        return
    new, found = stages(text), stages(mended)
    assert set(found) >= set(old)
    for name, lines in list(dvc_state.entries(cut).items())[:-1]:
        assert found[name] == new[name] and lines in mended
    for name, entry in found.items():
        whole = name in (*old, *list(dvc_state.entries(cut))[:-1])
        assert entry in (new[name], old.get(name)) or not whole
    if cut and not cut.endswith("\n"):  # what a killed process leaves: no marker is needed to see it
        assert dvc_state.mended_text(cut, copy, killed=False) == mended


@pytest.mark.parametrize(
    "text", ["\0" * 900, "a: [\n", "- a\n", "3\n", "null\n", "schema: '2.0'\nstages: 3\n", "x", "stages:\n  a:\n"]
)
def test_what_is_no_lock_file_gives_way_to_the_copy(pipeline, text):
    _, first, _ = pipeline
    assert dvc_state.mended_text(text, first, killed=False) == first


@pytest.mark.parametrize("text", ["", "schema", dvc_state.HEADER, f"{dvc_state.HEADER}  draw:\n    cmd: x"])
@pytest.mark.parametrize("killed", [True, False])
def test_a_file_cut_before_its_first_entry_goes(tmp_path, text, killed):
    lock = tmp_path / "dvc.lock"
    lock.write_text(text)
    dvc_state.mend(tmp_path, killed)
    assert not lock.exists()  # DVC takes none for a beginning, and refuses an empty one


def test_a_whole_file_is_the_truth_unless_a_run_was_killed(pipeline):
    _, first, text = pipeline
    fewer = dvc_state.HEADER + "".join(list(dvc_state.entries(text).values())[:2])
    assert dvc_state.mended_text(fewer, text, killed=False) == fewer
    assert dvc_state.mended_text(text, first, killed=True) == text
    assert dvc_state.mended_text(fewer, text, killed=True) == text


@pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 0.8, 0.97])
def test_a_cut_costs_no_stage_that_had_ended(pipeline, share):
    folder, _, _ = pipeline
    dvc(folder, "repro")
    with dvc_state.only_run(folder), dvc_state.kept(folder):
        pass
    lock, log = folder / "dvc.lock", folder / "work.log"
    text = lock.read_text()
    lock.write_text(text[: int(len(text) * share)])
    dvc_state.mend(folder, killed=False)
    log.unlink(missing_ok=True)
    dvc(folder, "repro", "--no-run-cache")
    assert not log.exists() and lock.read_text() == text
    assert (folder / ".dvc/tmp/kept/dvc.lock.cut").read_text() == text[: int(len(text) * share)]


def test_the_copy_follows_a_run_and_never_a_file_that_dvc_may_be_writing(pipeline):
    folder, first, text = pipeline
    copy, lock = folder / dvc_state.KEPT / "dvc.lock", folder / "dvc.lock"
    before = lock.read_text()
    lock.write_text(first)
    copy.parent.mkdir(parents=True, exist_ok=True)
    copy.write_text(first)
    program = "import sys, time, zc.lockfile; l = zc.lockfile.LockFile(sys.argv[1]); print(); sys.stdin.read()"
    holder = subprocess.Popen(
        [sys.executable, "-c", program, str(folder / dvc_state.DVC_LOCK)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    holder.stdout.readline()  # it holds the lock, as DVC does
    seen = {}
    lock.write_text(text)
    dvc_state.keep(folder, seen)
    assert copy.read_text() == first
    holder.communicate()
    dvc_state.keep(folder, seen)
    assert copy.read_text() == text
    for cut in (text[:100], text[:-1], dvc_state.HEADER + next(iter(dvc_state.entries(text).values()))):
        lock.write_text(cut)  # as a full disk leaves it
        dvc_state.keep(folder, seen)
        assert copy.read_text() == text
    lock.write_text(before)


@pytest.mark.parametrize("content", ["", "{", '{"write": {"/x": {"pid": 1, "cmd": "dvc repro"}}}', "[]", "\0\0"])
def test_a_list_of_locks_that_nobody_holds_goes(pipeline, content):
    folder, _, _ = pipeline
    rwlock = folder / dvc_state.RWLOCK
    rwlock.write_text(content.replace("1", str(os.getpid())))  # a number that somebody else has now
    with dvc_state.only_run(folder), dvc_state.kept(folder):
        assert not rwlock.exists()


def test_a_merge_conflict_is_left_to_a_person(pipeline):
    folder, first, text = pipeline
    lock = folder / "dvc.lock"
    before = lock.read_text()
    lock.write_text(f"<<<<<<< HEAD\n{first}=======\n{text}>>>>>>> other\n")
    with pytest.raises(EaselError, match="merge conflict"):
        dvc_state.mend(folder, killed=True)
    assert lock.read_text().startswith("<<<<<<< HEAD")
    lock.write_text(before)


def test_the_second_of_two_runs_is_refused(pipeline, monkeypatch):
    folder, _, _ = pipeline
    monkeypatch.setattr(dvc_state, "PATIENCE", 0.1)
    refused = pytest.raises(EaselError, match="another run is at work in")
    with dvc_state.only_run(folder), refused, dvc_state.only_run(folder):
        pass
    with dvc_state.only_run(folder):
        pass


def test_a_stage_left_behind_is_waited_for_and_named(pipeline, monkeypatch, tmp_path):
    folder, _, _ = pipeline
    monkeypatch.setattr(dvc_state, "PATIENCE", 0.1)
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "pipeline.py").write_text("import sys; print(flush=True); sys.stdin.read()")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    left = subprocess.Popen(
        [sys.executable, "-m", "lib.pipeline", "train_clip"],
        cwd=folder,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    left.stdout.readline()
    with pytest.raises(EaselError, match=rf"process {left.pid}: .*train_clip"), dvc_state.only_run(folder):
        pass
    os.kill(left.pid, signal.SIGKILL)  # a zombie now: nobody has waited for it
    monkeypatch.setattr(dvc_state, "PATIENCE", 60)
    with dvc_state.only_run(folder):
        assert dvc_state.at_work(folder) == []
    left.communicate()


def test_a_run_that_is_going_is_waited_for(pipeline):
    folder, _, _ = pipeline
    with dvc_state.only_run(folder) as lock:
        copied = os.dup(lock)  # as a process that was killed, and has not gone yet, holds it
    threading.Timer(0.5, os.close, [copied]).start()
    with dvc_state.only_run(folder):
        pass


def test_a_folder_that_cannot_be_written_is_said(tmp_path):
    (tmp_path / ".dvc").write_text("a file")
    with pytest.raises(EaselError, match="cannot be written"), dvc_state.only_run(tmp_path):
        pass


def test_lock_files_of_every_study_are_found_and_of_no_shadow(tmp_path):
    for name in (
        "dvc.lock",
        "data.dvc",
        "studies/x/dvc.lock",
        "runs/smoke/dvc.lock",
        "build/dvc.lock",
        ".dvc/dvc.lock",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = [str(file.relative_to(tmp_path)) for file in dvc_state.lock_files(tmp_path)]
    assert sorted(found) == ["data.dvc", "dvc.lock", "studies/x/dvc.lock"]


def test_an_import_that_was_cut_is_restored_and_one_that_changed_is_not(tmp_path):
    file = tmp_path / "data.dvc"
    old, new = (f"outs:\n- path: data\n  md5: {digit * 32}\n" for digit in "ab")
    copy = tmp_path / dvc_state.KEPT / "data.dvc"
    copy.parent.mkdir(parents=True)
    for text, expected in ((old[:8], old), ("", old), (new, new)):
        copy.write_text(old)
        file.write_text(text)
        dvc_state.mend(tmp_path, killed=True)
        assert file.read_text() == copy.read_text() == expected


def test_a_kill_in_the_middle_of_a_run_is_remembered(pipeline):
    folder, _, _ = pipeline
    program = (
        "import os, signal, sys; from pathlib import Path; from lib import dvc_state\n"
        "folder = Path(sys.argv[1])\n"
        "with dvc_state.only_run(folder), dvc_state.kept(folder): os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", program, str(folder)], cwd=Path(__file__).parent.parent)
    lock = folder / "dvc.lock"
    text = lock.read_text()
    lock.write_text(dvc_state.HEADER + next(iter(dvc_state.entries(text).values())))  # cut, but whole
    started = time.monotonic()
    with dvc_state.only_run(folder), dvc_state.kept(folder):
        assert lock.read_text() == text
    assert time.monotonic() - started < 60 and not (folder / dvc_state.RUNNING).exists()
