"""The smoke profile as a newcomer runs it, and what must hold after it. Tests run in order, each on the one before."""

import json
import os
import re
import shutil
import signal
import subprocess
import time

import kill_nine
import pytest
from ruamel.yaml import YAML

from tests.end_to_end.commands import ENVIRONMENT, LAPTOP, REPOSITORY, SHADOW, call, ran

DALLE_MINI = "studies/dalle_mini/dvc.yaml:train@both"


def git_status():
    return call("git", "status", "--porcelain", cwd=REPOSITORY).stdout


@pytest.fixture(scope="module")
def smoke():
    """One run of `make repro PROFILE=smoke`: what it printed, and what Git said before."""
    before = git_status()
    answer = call("make", "repro", "PROFILE=smoke", cwd=REPOSITORY)
    return {"printed": answer.stdout, "status": before}


def test_smoke_writes_a_table_a_figure_and_verdicts(smoke):
    assert "profile smoke" in smoke["printed"]
    for suffix in ("csv", "md", "tex"):
        assert (SHADOW / "results/smoke/tables/dalle_mini" / f"dalle_mini.{suffix}").stat().st_size > 100
    assert (SHADOW / "results/smoke/tables/glu/glu_variants.csv").read_text().count("\n") == 7  # blocks × tasks + 1
    assert (SHADOW / "paper_figs/smoke/dalle_mini/samples_sweep_2.pdf").read_bytes().startswith(b"%PDF")


def test_smoke_checks_what_needs_no_training_and_names_no_other_verdict(smoke):
    """Its pictures are noise; what is counted or follows from published facts comes out as in the laptop profile."""
    assert "no verdicts" in smoke["printed"] and "contradicted" not in smoke["printed"]
    books = [
        {entry["id"]: entry for entry in json.loads((folder / "verdicts/claims.json").read_text())["claims"]}
        for folder in (SHADOW / "results/smoke", LAPTOP)
    ]
    for exact in ("C24", "D1", "D2", "D3", "D4"):
        found, expected = (book[exact] for book in books)
        assert (found["verdict"], found["sentence"]) == (expected["verdict"], expected["sentence"])
    comparisons = [folder / "comparison/dalle_comparison.csv" for folder in (SHADOW / "results/smoke", LAPTOP)]
    assert comparisons[0].read_bytes() == comparisons[1].read_bytes()
    for entry in books[0].values():  # five seeds and no less stand behind whatever is called a trend
        if entry["verdict"].startswith(("trend", "supported")) and entry["effect"]:
            assert entry["seeds"] >= 5 and entry["p"] <= entry["corrected"] <= 0.05


def test_no_stage_of_smoke_runs_twice(smoke):
    run = re.findall(r"Running stage '(.+?)'", smoke["printed"])
    assert len(run) == len(set(run))


def test_smoke_touches_nothing_that_git_tracks(smoke):
    assert git_status() == smoke["status"]


def test_second_run_does_nothing(smoke):
    answer = call("dvc", "repro")
    assert not ran(answer.stdout) and "didn't change, skipping" in answer.stdout


def test_every_figure_and_table_says_where_it_comes_from(smoke):
    from lib.evidence import provenance

    for folder in ("results/smoke/tables", "results/smoke/verdicts", "paper_figs/smoke"):
        provenance.check(SHADOW / folder)


@pytest.fixture(scope="module")
def longer(smoke):
    """A shadow whose trainings go on for long after their first checkpoint, run once without interruption."""
    settings = ["tokenizer.fine.steps=60", "dalle_mini.tokens=fine", "dalle_mini.steps.both=150"]
    answer = call("python", "-m", "lib.profile", "smoke", "--set", *settings, cwd=REPOSITORY)
    shadow = REPOSITORY / answer.stdout.strip()
    call("dvc", "repro", DALLE_MINI, cwd=shadow)
    return shadow


@pytest.mark.parametrize(
    ("stage", "called", "folder"),
    [
        ("train_tokenizer@fine", "train_tokenizer@fine", "tokenizer/fine"),
        (DALLE_MINI, "dalle_mini/train@both", "dalle_mini/both"),
    ],
)
def test_killed_training_resumes_to_the_same_result(longer, stage, called, folder):
    out = longer / "build" / folder
    whole = {path.name: path.read_bytes() for path in out.iterdir()}
    forget(longer, stage)
    shutil.rmtree(out)
    checkpoints = longer / "build" / "checkpoints" / called
    running = subprocess.Popen(
        ["dvc", "repro", "--no-run-cache", stage],
        cwd=longer,
        env=ENVIRONMENT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    while not list(checkpoints.glob("*.safetensors")):  # written after the first of many steps
        assert running.poll() is None, "no checkpoint before the stage ended"
        time.sleep(0.05)
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    assert not (out / "metrics.json").exists()
    printed = call("dvc", "repro", "--no-run-cache", DALLE_MINI, cwd=longer).stdout
    resumed = re.search(rf"\[{called.split('@')[0]}\] resumes at step (\d+) of (\d+)", printed)
    assert resumed and 0 < int(resumed[1]) < int(resumed[2]), "not killed in the middle"
    assert len(ran(printed)) == 1, "stages after it saw another result"
    assert {path.name: path.read_bytes() for path in out.iterdir()} == whole
    assert not checkpoints.exists()


def forget(folder, stage):
    """Makes DVC, in a folder, believe that the stage has never run."""
    yaml, lock = YAML(), kill_nine.lock_of(folder, stage)
    tree = yaml.load(lock)
    del tree["stages"][stage.rpartition(":")[2]]
    with open(lock, "w", encoding="utf-8") as file:
        yaml.dump(tree, file)


def test_kills_change_nothing_and_the_next_run_goes_on(smoke):
    """A few of the moments of tests/kill_nine.py: in a stage, in the writing of dvc.lock, in a notebook."""
    before, figures = kill_nine.values(SHADOW), "studies/glu/dvc.yaml:figures"
    made = {path.name: path.read_bytes() for path in (SHADOW / "build/text").iterdir()}
    in_train_text = [
        kill_nine.after_stage("train_text", 1.0),
        kill_nine.while_written(SHADOW / "dvc.lock", "train_text"),
    ]
    for name, moments in (("train_text", in_train_text), (figures, [kill_nine.after_stage(figures, 3.0)])):
        forget(SHADOW, name)
        command = ["env", "EASEL_PROFILE=smoke", "EASEL_SET=", "python", "-m", "lib.repro", "--no-run-cache", name]
        for due in moments:
            process = kill_nine.start(["env", f"PATH={ENVIRONMENT['PATH']}", *command], REPOSITORY)
            assert kill_nine.kill_when(process, due) or process.returncode == 0
        call(*command, cwd=REPOSITORY)
    assert {path.name: path.read_bytes() for path in (SHADOW / "build/text").iterdir()} == made
    assert kill_nine.differing(kill_nine.values(SHADOW), before) == []


def test_edited_data_are_refused(smoke):
    captions = SHADOW / "data" / "test" / "captions.jsonl"
    original = captions.read_bytes()
    captions.unlink()  # the file shares its storage with DVC's cache: replace it, never write into it
    captions.write_bytes(original.replace(b"red", b"rot", 1))
    try:
        answer = call("python", "-m", "lib.pipeline", "check_data", check=False)
        assert answer.returncode == 2 and "test/captions.jsonl" in answer.stderr and "error:" in answer.stderr
    finally:
        captions.unlink()
        call("dvc", "checkout", "--force", "data.dvc")
    assert captions.read_bytes() == original


def test_a_cut_lock_file_costs_no_work_nor_does_anything_before_it(smoke):
    """After the kills and the edited data, a run has nothing to do."""
    lock = SHADOW / "dvc.lock"
    whole = lock.read_text()
    lock.write_text(whole[: len(whole) // 2])
    printed = call("make", "repro", "PROFILE=smoke", cwd=REPOSITORY).stdout
    assert not ran(printed) and "didn't change, skipping" in printed and lock.read_text() == whole
