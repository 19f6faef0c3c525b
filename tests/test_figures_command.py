"""`make figures`: which stages are run, in which order, and what is said about them."""

import subprocess
from pathlib import Path

import pytest

from lib import figures
from lib.errors import EaselError
from lib.pipeline.stage import specs

ROOT = Path(__file__).parents[1]
with pytest.MonkeyPatch.context() as _patch:
    _patch.chdir(ROOT)
    STAGES = specs()


def stage(*deps, git=(), kept=(), cmd="python -c pass"):
    return {"cmd": cmd, "deps": list(deps), "outs": [*kept, *({out: {"cache": False}} for out in git)]}


MADE_UP = {
    "sources": stage("lib", kept=["build/sources"]),
    "train": stage("data", "build/sources/train.txt", kept=["build/net"]),
    "measure": stage("build/net/weights", git=["results/a.json"]),
    "count": stage("build/sources/count.txt", git=["results/b.json", "results/folder"]),
    "table": stage("results/a.json", "results/folder/c.csv", git=["results/tables"]),
    "draw": stage("notebooks/n.ipynb", "results/tables", kept=["build/notebooks/n.ipynb"], git=["figs"]),
}

NOTE = "import sys\nprint(sys.argv[1], file=open('log', 'a'))"


@pytest.fixture
def repository(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data.dvc").write_text("outs: [{path: data}]\n")
    (tmp_path / ".dvc").mkdir()
    return tmp_path


def test_stages_run_that_read_only_what_git_tracks_after_those_whose_outputs_they_read(repository):
    assert figures.drawing_stages(MADE_UP) == {"count": set(), "table": {"count"}, "draw": {"table"}}


def test_every_figure_table_and_verdict_of_this_repository_is_drawn(monkeypatch):
    """Whatever a notebook or a table stage writes; no stage that needs data or networks."""
    monkeypatch.chdir(ROOT)
    found = set(figures.drawing_stages(STAGES))
    notebooks = {name for name, spec in STAGES.items() if "lib.run" in spec["cmd"]}
    assert len(notebooks) == len(list((ROOT / "notebooks").glob("*.ipynb")))
    tables = {name for name in STAGES if name.endswith("tables")}
    assert found == notebooks | tables | {"verify", "overview", "systems", "dalle_mini/compare"}


def noting(*names):
    """The stages, of which those named write down that they ran."""
    return MADE_UP | {name: MADE_UP[name] | {"cmd": f"python note.py {name}"} for name in names}


def test_all_stages_run_once_and_in_order(repository):
    (repository / "note.py").write_text(NOTE)
    figures.draw(noting("count", "table", "draw"))
    assert (repository / "log").read_text().split() == ["count", "table", "draw"]


def test_a_failure_is_told_with_its_last_lines_and_ends_it(repository):
    (repository / "note.py").write_text(NOTE)
    (repository / "fail.py").write_text("print('the reason')\nraise SystemExit(2)")
    stages = noting("table", "draw") | {"count": MADE_UP["count"] | {"cmd": "python fail.py"}}
    with pytest.raises(EaselError, match="stage count failed:\nthe reason"):
        figures.draw(stages)
    assert not (repository / "log").exists()


def test_what_differs_is_asked_of_git(repository):
    assert figures.changed() is None
    subprocess.run(["git", "init", "--quiet"], check=True)
    assert figures.changed() == []
    (repository / "results").mkdir()
    (repository / "results" / "new.csv").write_text("1")
    assert figures.changed() == ["results/new.csv"]
