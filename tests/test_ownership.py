"""Only what this repository made is replaced."""

import os
import subprocess
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib import ownership
from lib.data import manifest
from lib.errors import EaselError

OURS = [
    "meta.json",
    "prompts.jsonl",
    "report.json",
    *(f"{s}/{n}" for s in ("train", "val") for n in ("images_64.npy", "captions.jsonl")),
]
PARTIAL = ["train/.Xk3kd93kdk3kdkd9dk30dA.tmp", "MANIFEST.sha256.tmp"]  # of a run that was killed
USERS = [
    "a.tar",
    "notes.txt",
    "meta.json.bak",
    "train/0.png",
    "train/images_64.npz",
    "deep/er/x",
    ".hidden",
    "train/sub/captions.jsonl",
]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def write(folder, names):
    for name in names:
        path = Path(folder, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")


def snapshot(folder):
    return sorted(path.relative_to(folder).as_posix() for path in Path(folder).rglob("*") if not path.is_dir())


@pytest.mark.parametrize("folder", ["data", "build/data"])
@settings(deadline=None, max_examples=80)
@given(
    ours=st.sets(st.sampled_from(OURS)),
    later=st.sets(st.sampled_from([*OURS, *PARTIAL])),
    users=st.sets(st.sampled_from(USERS), max_size=2),
    whole=st.booleans(),
)
def test_a_data_folder_is_replaced_only_if_all_in_it_is_ours(folder, ours, later, users, whole):
    """Whatever a run, interrupted or not, left there, and whatever a user put beside it."""
    with tempfile.TemporaryDirectory() as top:
        there = os.getcwd()
        os.chdir(top)
        try:
            write(folder, ours)
            if whole and ours:
                manifest.write_manifest(folder)
                foreign = users | {name for name in later - ours if name not in PARTIAL}
            else:
                whole_files = (ours | later | users) - set(PARTIAL)
                foreign = users if any("/" in name for name in whole_files) else whole_files
            write(folder, later | users)
            before = snapshot(folder) if Path(folder).exists() else []
            if foreign:
                with pytest.raises(
                    EaselError, match=f"{folder} holds files that this repository did not make"
                ) as error:
                    ownership.fresh(Path(folder))
                assert min(foreign) in str(error.value) and snapshot(folder) == before
                with pytest.raises(EaselError, match=folder):
                    ownership.check_outputs_are_ours(Path("."), "laptop")
            else:
                ownership.check_outputs_are_ours(Path("."), "laptop")
                ownership.fresh(Path(folder))
                assert snapshot(folder) == []
        finally:
            os.chdir(there)


@pytest.mark.parametrize("kind", ["file", "link to a folder", "broken link", "link in it"])
def test_what_is_no_plain_folder_of_ours_is_left_alone(kind):
    write("elsewhere", ["a.tar"])
    if kind == "link in it":
        Path("data").mkdir()
    target = Path("data/x" if kind == "link in it" else "data")
    if kind == "file":
        target.write_text("mine")
    else:
        target.symlink_to(Path("nowhere" if kind == "broken link" else "elsewhere").absolute())
    if kind == "broken link":
        ownership.fresh(Path("data"))
    else:
        with pytest.raises(EaselError, match="data holds files"):
            ownership.fresh(Path("data"))
    assert snapshot("elsewhere") == ["a.tar"]


def test_an_output_that_is_a_link_is_replaced_and_what_it_points_to_stays():
    write("disk", ["model.bin"])
    Path("build").mkdir()
    Path("build/clip").symlink_to(Path("disk").absolute())
    ownership.fresh(Path("build/clip"))
    assert not Path("build/clip").is_symlink() and snapshot("disk") == ["model.bin"] and snapshot("build/clip") == []


@pytest.fixture
def git():
    def run(*arguments):
        subprocess.run(
            ["git", "-c", "user.name=a", "-c", "user.email=a@b", *arguments], check=True, capture_output=True
        )

    run("init")
    write("results/laptop/tables", ["a.csv", "b é.csv"])
    run("add", "--all")
    run("commit", "-m", "tables")
    return run


def test_in_results_what_git_or_a_record_knows_is_ours(git):
    tables = Path("results/laptop/tables")
    ownership.check_outputs_are_ours(Path("."), "laptop")
    write(tables, ["notes é.md"])
    for check in (lambda: ownership.fresh(tables), lambda: ownership.check_outputs_are_ours(Path("."), "laptop")):
        with pytest.raises(
            EaselError, match=r"results/laptop/tables holds files .*: notes é\.md\. Move them elsewhere\."
        ):
            check()
    ownership.check_outputs_are_ours(Path("."), "smoke")  # whose outputs are others
    ownership.begin("tables", [str(tables)])  # as after a kill
    ownership.check_outputs_are_ours(Path("."), "laptop")
    ownership.finish("tables", [str(tables)])
    write(tables, ["mine.md"])
    with pytest.raises(EaselError, match=r"holds files .*: mine\.md\."):
        ownership.fresh(tables)
    (tables / "mine.md").unlink()
    ownership.fresh(tables)
    assert snapshot(tables) == []


def test_a_copy_without_git_runs():
    write("results/laptop/tables", ["a.csv"])
    ownership.check_outputs_are_ours(Path("."), "laptop")
    ownership.fresh(Path("results/laptop/tables"))


@pytest.mark.parametrize("output", ownership.OUTPUTS)
@pytest.mark.parametrize(
    "form", ["{0}", "{0}/", "{0}/deep/er", "./{0}", "{1}/{0}/a", "..", "{1}", "/", "x/../{0}", "link"]
)
def test_data_of_ones_own_lie_outside_of_what_is_replaced(output, form, tmp_path):
    Path("link").symlink_to(Path(output))
    with pytest.raises(
        EaselError, match=r"data\.path is .*, which is, holds or lies in .*/, a folder that the pipeline"
    ):
        ownership.check_is_no_output(form.format(output, tmp_path))


@pytest.mark.parametrize("form", ["{0}s", "my{0}", "sets/{0}", "{1}/sets", "{1}-{0}"])
@pytest.mark.parametrize("output", ownership.OUTPUTS)
def test_folders_with_like_names_are_fine(output, form, tmp_path):
    ownership.check_is_no_output(form.format(output, tmp_path))


def test_no_stage_removes_a_folder_by_itself():
    """`fresh` is the one place, so that the next stage inherits its rule."""
    library = Path(ownership.__file__).parent
    # What they remove is named file by file, or their own: checkpoints, shadows, what was set aside, environments, a
    # bundle that is half unpacked. (finetune.py, which no stage imports: its own checkpoints.)
    allowed = {"ownership.py", "store.py", "stage.py", "profile.py", "run.py", "environment.py", "bundle.py"}
    allowed |= {"finetune.py"}
    found = {path.name for path in library.rglob("*.py") if "rmtree" in path.read_text()}
    assert found <= allowed
