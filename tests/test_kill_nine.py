"""The program that kills runs, on a pipeline of seconds."""

import json
import random
import shutil
import sys
from pathlib import Path

import kill_nine
import pytest

DRIVER = """import os, sys
from pathlib import Path
sys.path.insert(0, {repository!r})
from lib import dvc_state, repro
with dvc_state.only_run(Path(".")) as lock, dvc_state.kept(Path(".")):
    status = repro.call(["-m", "dvc", "repro"], Path("."), dict(os.environ), lock)
sys.exit(status)
"""
WORK = """import json, pathlib, sys, time
name, *inputs = sys.argv[1:]
open("work.log", "a").write(name + "\\n")
time.sleep(1)  # long enough to be hit on a busy machine
out = pathlib.Path("results") / f"{name}.json"
out.parent.mkdir(exist_ok=True)
out.write_text(json.dumps({"sum": [json.loads(pathlib.Path(i).read_text()) for i in inputs], "time": time.time()}))
"""
STAGES = {"draw": [], "train@a": ["draw"], "train@b": ["draw"], "judge": ["a", "b"]}


def test_a_text_beside_a_time_may_differ_and_no_other():
    first = {"r.json:slowest:run": "a", "r.json:slowest:minutes": 1.0, "r.json:best:run": "a", "f.png": "5e"}
    assert kill_nine.with_names(["r.json:slowest:minutes"], first) == {"r.json:slowest:minutes", "r.json:slowest:run"}
    assert kill_nine.with_names(["f.png"], first) == {"f.png"}


def test_kills_are_survived_and_a_difference_is_seen(tmp_path):
    def stage(name, *inputs, **more):
        files = [f"results/{file}.json" for file in inputs]
        command = f"{sys.executable} work.py {name} {' '.join(files)}"
        return {"cmd": command, "deps": ["work.py", *files], "outs": [f"results/{name}.json"], **more}

    stages = {
        "draw": stage("draw"),
        "train": stage("${item.item}", "draw", matrix={"item": ["a", "b"]}),
        "judge": stage("judge", "a", "b"),
    }
    (tmp_path / "dvc.yaml").write_text(json.dumps({"stages": stages}))
    (tmp_path / "work.py").write_text(WORK.replace("time.time()", "0"))
    (tmp_path / "run.py").write_text(DRIVER.format(repository=str(kill_nine.REPOSITORY)))
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc" / "config").write_text("[core]\n    no_scm = true\n    site_cache_dir = .dvc_site_cache\n")
    command = [sys.executable, "run.py"]
    seconds = kill_nine.finish(command, tmp_path)
    assert list(seconds) == list(STAGES) and all(length > 0 for length in seconds.values())
    first = kill_nine.values(tmp_path)
    for name in ("results", ".dvc/cache", ".dvc/tmp", "dvc.lock", "work.log"):
        path = tmp_path / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    lock = tmp_path / "dvc.lock"
    moments = [
        ("draw", kill_nine.after_stage("draw", 0.2)),
        ("train@b", kill_nine.after_stage("train@b", 0.1)),
        ("writing", kill_nine.while_written(lock, "train@b")),  # the last: past it, nothing is left to kill
    ]
    kills = kill_nine.run_killed(command, tmp_path, moments)
    assert kills >= 2  # whether a write of milliseconds is hit depends on the machine
    assert kill_nine.differing(first, kill_nine.values(tmp_path)) == []
    work = (tmp_path / "work.log").read_text().split()
    assert len(work) <= 4 + kills and set(work) == {"draw", "a", "b", "judge"}
    (tmp_path / "results" / "a.json").unlink()  # linked to DVC's cache
    (tmp_path / "results" / "a.json").write_text('{"sum": [7]}')
    assert kill_nine.differing(first, kill_nine.values(tmp_path))


@pytest.mark.parametrize("count", [1, 3, 8, 20])
def test_moments_are_spread_over_kinds_of_stage_in_their_order(count, tmp_path):
    seconds = {f"stage{kind}@{item}": 5.0 for kind in range(7) for item in range(3)}
    moments = kill_nine.choose(seconds, count, tmp_path, random.Random(0))
    kinds = [int(what.split("stage")[1][0]) for what, _ in moments]
    assert len(moments) == count and kinds == sorted(kinds) and len(set(kinds)) == min(count, 7)


def test_a_command_that_fails_ends_the_program():
    with pytest.raises(SystemExit, match="ended with status 3"):
        kill_nine.finish([sys.executable, "-c", "print('reason'); raise SystemExit(3)"], Path("."))


def test_the_end_before_the_moment_is_no_kill():
    process = kill_nine.start([sys.executable, "-c", "print(\"Running stage 'a'\")"], Path("."))
    assert not kill_nine.kill_when(process, kill_nine.after_stage("b", 0))
