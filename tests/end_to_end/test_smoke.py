"""The smoke profile as a newcomer runs it, and what must hold afterwards. Tests run in order, each on the one before.

Run after the unit tests, alone on the machine: `make test` does.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import kill_nine
import pytest
from ruamel.yaml import YAML

REPOSITORY = Path(__file__).parent.parent.parent
SHADOW, LAPTOP = REPOSITORY / "runs" / "smoke", REPOSITORY / "results" / "laptop"
ENVIRONMENT = {
    # Without what tests/conftest.py sets for unit tests.
    **{key: value for key, value in os.environ.items() if key not in ("OMP_NUM_THREADS", "XLA_FLAGS")},
    "PATH": f"{REPOSITORY / '.venv' / 'bin'}:{os.environ['PATH']}",
    "OMP_WAIT_POLICY": "PASSIVE",
    "DVC_NO_ANALYTICS": "1",
}


DALLE_MINI = "studies/dalle_mini/dvc.yaml:train@both"


def call(*command, cwd=SHADOW, check=True):
    """Runs a command to its end; its output is in the error if it fails."""
    answer = subprocess.run(command, cwd=cwd, env=ENVIRONMENT, capture_output=True, text=True)
    if check and answer.returncode:
        raise AssertionError(f"{' '.join(command)} failed:\n{answer.stdout[-4000:]}\n{answer.stderr[-4000:]}")
    return answer


def ran(printed):
    """The stages that `dvc repro` says it ran, but for `inputs`, which looks outside every time."""
    return [name for name in re.findall(r"Running stage '(.+?)'", printed) if name != "inputs"]


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
    assert (SHADOW / "results/smoke/tables/glu/glu_variants.csv").read_text().count("\n") == 3  # two blocks
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
    settings = ["tokenizer.fine.steps=300", "dalle_mini.tokens=fine", "dalle_mini.steps.both=600"]
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
    for name, due in (
        ("train_text", kill_nine.after_stage("train_text", 1.0)),
        ("train_text", kill_nine.while_written(SHADOW / "dvc.lock", "train_text")),
        (figures, kill_nine.after_stage(figures, 3.0)),
    ):
        forget(SHADOW, name)
        command = ["env", "EASEL_PROFILE=smoke", "EASEL_SET=", "python", "-m", "lib.repro", "--no-run-cache", name]
        process = kill_nine.start(["env", f"PATH={ENVIRONMENT['PATH']}", *command], REPOSITORY)
        kill_nine.kill_when(process, due)
        call(*command, cwd=REPOSITORY)
    assert {path.name: path.read_bytes() for path in (SHADOW / "build/text").iterdir()} == made
    assert kill_nine.differing(kill_nine.values(SHADOW), before) == []
    assert not ran(call("dvc", "repro").stdout)


def test_a_cut_lock_file_costs_no_work(smoke):
    lock = SHADOW / "dvc.lock"
    whole = lock.read_text()
    lock.write_text(whole[: len(whole) // 2])
    printed = call("make", "repro", "PROFILE=smoke", cwd=REPOSITORY).stdout
    assert not ran(printed) and lock.read_text() == whole


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
    assert not ran(call("dvc", "repro").stdout)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["PROFILE=../profiles/smoke"], "unknown profile '../profiles/smoke'"),
        (["PROFILE=smok"], "unknown profile 'smok'; there are laptop, gpu, paper, smoke"),
        (["PROFILE=smoke", "SET=tokenizer.fine.stesp=3"], "unknown key 'tokenizer.fine.stesp'; did you mean 'steps'?"),
        (["PROFILE=smoke", "SET=tokenizer.fine.steps=many"], "tokenizer.fine.steps is 'many' (str), must be int"),
    ],
)
def test_mistakes_stop_make_before_anything_runs(arguments, message):
    answer = call("make", "repro", *arguments, cwd=REPOSITORY, check=False)
    assert answer.returncode and message in answer.stderr and "Running stage" not in answer.stdout


@pytest.mark.parametrize("name", ["none", "it's (none) & $HOME; `x` #1 猫"])
def test_missing_data_folder_stops_the_pipeline(tmp_path, name):
    settings = f"SET=data.source=webdataset data.path={tmp_path / name}"
    answer = call("make", "repro", "PROFILE=smoke", settings, cwd=REPOSITORY, check=False)
    assert answer.returncode and str(tmp_path / name) in answer.stderr
    assert "train_text" not in answer.stdout


def test_committed_results_are_those_of_the_committed_code():
    answer = call("dvc", "repro", "--dry", "--allow-missing", cwd=REPOSITORY)
    assert not ran(answer.stdout), answer.stdout


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """What a reader gets: Git's files, no data, no networks, and not even the figures."""
    folder = tmp_path_factory.mktemp("reader") / "clone"
    call("git", "clone", "--quiet", str(REPOSITORY), str(folder), cwd=REPOSITORY)
    (folder / ".venv").symlink_to((REPOSITORY / ".venv").resolve())  # with this environment
    yield folder
    shutil.rmtree(folder)


def drawn_anew(clone):
    """Throws away what `make figures` makes and has it made; what was printed, and the files that Git has otherwise."""
    for folder in ("paper_figs", *(f"results/laptop/{name}" for name in ("tables", "verdicts", "comparison"))):
        shutil.rmtree(clone / folder)
    answer = call("make", "figures", cwd=clone)
    return answer.stdout, {line[3:] for line in call("git", "status", "--porcelain", cwd=clone).stdout.splitlines()}


def test_everything_is_drawn_without_data_or_models_byte_for_byte(clone):
    printed, changed = drawn_anew(clone)
    assert not changed and "byte for byte" in printed
    notebooks = sorted((REPOSITORY / "notebooks").glob("*.ipynb"))
    for path in notebooks:  # executed, with pictures
        assert '"image/png"' in (clone / "build/notebooks" / path.name).read_text(), path.name
    assert not (clone / "data").exists() and not (clone / "build/text").exists()


def test_another_style_changes_figures_and_no_number(clone):
    style = clone / "lib" / "evidence" / "figures.py"
    style.write_text(style.read_text().replace('"lines.linewidth": 1.2', '"lines.linewidth": 1.6'))
    _, changed = drawn_anew(clone)
    assert "paper_figs/laptop/dalle_mini/training.pdf" in changed
    assert not {name for name in changed if name.startswith("results/") or name.endswith(".csv")}


def test_an_archive_without_git_redraws_its_figures(tmp_path):
    archive = subprocess.run(["git", "archive", "HEAD"], cwd=REPOSITORY, capture_output=True, check=True).stdout
    subprocess.run(["tar", "x", "-C", tmp_path], input=archive, check=True)
    (tmp_path / ".venv").symlink_to((REPOSITORY / ".venv").resolve())
    for plain in (["dvc", "repro", "sources"], ["make", "figures"]):
        answer = call(*plain, cwd=tmp_path)
        assert "is not a git repository" not in answer.stderr
