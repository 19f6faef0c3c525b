"""Stage inputs: what lies outside the repository goes stale like what lies in it."""

import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from dvc.repo import Repo

from lib.errors import EaselError
from lib.pipeline import inputs, make_data


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    (tmp_path / "repository" / "build").mkdir(parents=True)
    (tmp_path / "mine" / "part").mkdir(parents=True)
    for name in ("a.tar", "part/b.tar"):
        (tmp_path / "mine" / name).write_text(name)
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk" / "c.tar").write_text("c")
    (tmp_path / "mine" / "link").symlink_to(tmp_path / "disk")
    (tmp_path / "mine" / "broken").symlink_to(tmp_path / "nowhere")
    monkeypatch.chdir(tmp_path / "repository")


def listed(source="webdataset", path="../mine"):
    inputs.run(SimpleNamespace(profile="laptop", data=SimpleNamespace(source=source, path=path)))
    return inputs.OUT.read_text()


CHANGES = {
    "added": lambda mine: (mine / "d.tar").write_text(""),
    "removed": lambda mine: (mine / "part" / "b.tar").unlink(),
    "renamed": lambda mine: (mine / "a.tar").rename(mine / "z.tar"),
    "longer": lambda mine: (mine / "a.tar").write_text("longer"),
    "touched": lambda mine: os.utime(mine / "a.tar", ns=(0, 1)),
    "behind a link": lambda mine: (mine / "link" / "c.tar").write_text("other"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_shows_and_no_change_does_not(change):
    before = listed()
    assert listed() == before and before.count("\n") == 4
    CHANGES[change](Path("../mine"))
    assert listed() != before


def test_nothing_outside_is_looked_at_for_drawn_data():
    assert listed("scenes", "") == ""


def test_a_folder_that_is_gone_is_an_error():
    with pytest.raises(EaselError, match=r"data\.path: there is no folder \.\./nowhere"):
        listed(path="../nowhere")


def test_files_of_the_users_in_data_stop_the_run():
    Path("data").mkdir()
    Path("data/mine.tar").touch()
    with pytest.raises(EaselError, match=r"data holds files that this repository did not make .*mine\.tar"):
        listed("scenes", "")


def test_nor_are_they_deleted_when_the_data_are_made_by_hand():
    Path("data").mkdir()
    Path("data/mine.tar").touch()
    with pytest.raises(EaselError, match=r"data holds files that this repository did not make .*mine\.tar"):
        make_data.run(SimpleNamespace(data=SimpleNamespace(source="scenes"), scenes=None))
    assert not make_data.OUT.exists()


def test_dvc_runs_what_depends_on_the_list_when_it_changes_and_only_then():
    Path("list.py").write_text(
        "import sys\nfrom pathlib import Path\nsys.path.insert(0, sys.argv[1])\n"
        "from lib.pipeline.inputs import listing\nPath('list.txt').write_text('\\n'.join(listing(Path('../mine'))))\n"
    )
    top = Path(inputs.__file__).parent.parent.parent
    Path("dvc.yaml").write_text(
        f"stages:\n  inputs:\n    cmd: {sys.executable} list.py '{top}'\n    outs: [list.txt]\n    deps: [list.py]\n"
        "    always_changed: true\n  read:\n    cmd: cp list.txt out.txt\n    deps: [list.txt]\n    outs: [out.txt]\n"
    )

    with Repo.init(".", no_scm=True) as repository:

        def ran():
            return [stage.addressing for stage in repository.reproduce()]

        assert ran() == ["inputs", "read"]
        assert ran() == ["inputs"]
        Path("../mine/d.tar").touch()
        assert ran() == ["inputs", "read"]
