"""What a reader of the clone does beside running it: mistakes, and figures drawn anew without data or networks."""

import shutil
import subprocess

import pytest

from tests.end_to_end.commands import REPOSITORY, call, ran

FIGURES = [path.name for path in (REPOSITORY / "paper_figs/laptop").iterdir()]
DRAWN = [
    *(f"paper_figs/laptop/{name}" for name in FIGURES if name != "captions"),  # which `make pages` writes
    *(f"results/laptop/{name}" for name in ("tables", "verdicts", "comparison")),
]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["PROFILE=../profiles/smoke"], "unknown profile '../profiles/smoke'"),
        (["PROFILE=smoke", "SET=tokenizer.fine.stesp=3"], "unknown key 'tokenizer.fine.stesp'; did you mean 'steps'?"),
    ],
)
def test_mistakes_stop_make_before_anything_runs(arguments, message):
    """One of every variable; tests/test_profile.py has the others."""
    answer = call("make", "repro", *arguments, cwd=REPOSITORY, check=False)
    assert answer.returncode and message in answer.stderr and "Running stage" not in answer.stdout


def test_missing_data_folder_stops_the_pipeline(tmp_path):
    folder = str(tmp_path / "it's (none) & $HOME; `x` #1 猫")
    settings = f"SET=data.source=webdataset data.path={folder}"
    answer = call("make", "repro", "PROFILE=smoke", settings, cwd=REPOSITORY, check=False)
    assert answer.returncode and folder in answer.stderr
    assert "train_text" not in answer.stdout


def test_committed_results_are_those_of_the_committed_code():
    answer = call("dvc", "repro", "--dry", "--allow-missing", cwd=REPOSITORY)
    assert not ran(answer.stdout), answer.stdout


def test_everything_is_drawn_without_data_or_models_byte_for_byte(tmp_path):
    """In what a reader gets: Git's files, no data, no networks, and not even the figures."""
    clone = tmp_path / "clone"
    call("git", "clone", "--quiet", str(REPOSITORY), str(clone), cwd=REPOSITORY)
    printed = drawn_anew(clone)
    changed = call("git", "status", "--porcelain", cwd=clone).stdout
    assert not changed and "byte for byte" in printed
    notebooks = sorted((REPOSITORY / "notebooks").glob("*.ipynb"))
    for path in notebooks:  # executed, with pictures
        assert '"image/png"' in (clone / "build/notebooks" / path.name).read_text(), path.name
    assert not (clone / "data").exists() and not (clone / "build/text").exists()
    shutil.rmtree(clone)


def test_without_git_another_style_changes_figures_and_no_number(tmp_path):
    """In an archive, which says itself that it has no Git."""
    archive = subprocess.run(["git", "archive", "HEAD"], cwd=REPOSITORY, capture_output=True, check=True).stdout
    subprocess.run(["tar", "x", "-C", tmp_path], input=archive, check=True)
    before = contents(tmp_path)
    (tmp_path / ".venv").symlink_to((REPOSITORY / ".venv").resolve())  # with this environment
    assert "is not a git repository" not in call("dvc", "repro", "sources", cwd=tmp_path).stderr
    style = tmp_path / "lib" / "evidence" / "figures.py"
    style.write_text(style.read_text().replace('"lines.linewidth": 1.2', '"lines.linewidth": 1.6'))
    assert "no Git here" in drawn_anew(tmp_path)
    after = contents(tmp_path)
    changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    assert "paper_figs/laptop/dalle_mini/training.pdf" in changed
    assert not {name for name in changed if name.startswith("results/") or name.endswith(".csv")}


def drawn_anew(folder):
    """Throws away what `make figures` makes and has it made; what was printed."""
    if not (folder / ".venv").exists():
        (folder / ".venv").symlink_to((REPOSITORY / ".venv").resolve())  # with this environment
    for name in DRAWN:
        shutil.rmtree(folder / name)
    answer = call("make", "figures", cwd=folder)
    assert "is not a git repository" not in answer.stderr
    return answer.stdout


def contents(folder):
    """Every file of results and figures → its bytes."""
    files = [file for top in ("results", "paper_figs") for file in (folder / top).rglob("*") if file.is_file()]
    return {str(file.relative_to(folder)): file.read_bytes() for file in files}
