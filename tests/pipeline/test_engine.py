"""Parts give equal bits wherever and in whatever order they run, and a killed worker costs the part that it was at."""

import json
import os
import random
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from lib.errors import EaselError
from lib.pipeline import engine, parts
from lib.weights import checkpoint
from tests.pipeline import small_parts
from tests.pipeline.small_parts import jax_sums, killed_once, part, sums

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def workplace(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(engine.VARIABLE, "processes:2")
    return tmp_path


def results(stage, listed):
    return {name: checkpoint.load(path) for name, path in parts.run(stage, listed).items()}


def bits(found):
    return {name: (arrays["values"].tobytes(), numbers["mean"]) for name, (arrays, numbers) in found.items()}


@contextmanager
def cluster(processes, path=ROOT):
    """A dask scheduler and its workers, as a person would start them; they find modules in `path`."""
    variables = {**os.environ, "PYTHONPATH": str(path)}
    program = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--port", "0", "--no-dashboard"]
    program += ["--host", "127.0.0.1", "--scheduler-file", "scheduler.json"]
    started = [subprocess.Popen(program, stderr=subprocess.DEVNULL, env=variables)]
    try:
        wait_until(Path("scheduler.json").is_file)
        address = json.loads(Path("scheduler.json").read_text())["address"]
        program = [sys.executable, "-m", "distributed.cli.dask_worker", address, "--nthreads", "1", "--no-dashboard"]
        program += ["--nworkers", str(processes), "--local-directory", "dask"]
        started.append(subprocess.Popen(program, stderr=subprocess.DEVNULL, env=variables))
        yield address.replace("tcp://", "dask://")
    finally:
        for process in reversed(started):
            for child in psutil.Process(process.pid).children(recursive=True):
                child.kill()
            process.kill()
            process.wait()


def wait_until(condition, seconds=60):
    for _ in range(10 * seconds):
        if condition():
            return
        time.sleep(0.1)
    pytest.fail("waited in vain")


def test_one_worker_two_in_any_order_and_a_cluster_give_equal_bits(monkeypatch):
    listed = [part(work, seed) for work in (sums, jax_sums) for seed in range(4)]
    found, run = {}, engine.run
    for name, setting in (("one", "processes:1"), ("two", "processes:2")):
        monkeypatch.setenv(engine.VARIABLE, setting)
        found[name] = results(name, listed)
    monkeypatch.setattr(engine, "run", lambda stage, tasks: run(stage, tasks, order=random.Random(1)))
    found["shuffled"] = results("shuffled", listed)
    with cluster(2) as address:
        monkeypatch.setenv(engine.VARIABLE, address)
        wait_until(lambda: not _says(address))
        found["dask"] = results("dask", listed)
    first = bits(found["one"])
    assert all(bits(other) == first for other in found.values())
    assert len(set(first.values())) == len(listed)
    for name in ("one", "two", "shuffled"):
        numbers = [numbers for _, numbers in found[name].values() if "cores" in numbers]
        assert {tuple(one["cores"]) for one in numbers} == {(1, 1)}


def _says(address):
    """What is wrong with a cluster, if anything."""
    try:
        engine.check(address)
    except EaselError as error:
        return str(error)
    return ""


def test_a_killed_worker_costs_the_part_that_it_was_at(workplace):
    listed = [part(sums, seed, log="sums.log") for seed in range(5)] + [part(killed_once, 9, mark="mark", size=9)]
    found = results("s", listed)
    assert set(found) == {one.name for one in listed}
    assert Path("mark.log").read_text() == "9\n"
    drawn = Path("sums.log").read_text().split()
    assert len(drawn) <= len(set(drawn)) + 1  # what the other worker was at is lost with the pool, no more


def test_workers_that_always_end_are_an_error():
    with pytest.raises(EaselError, match="workers were ended 3 times"):
        results("s", [part(small_parts.always_killed, 0)])


def test_a_part_that_is_refused_says_so_and_what_was_finished_is_kept(monkeypatch):
    monkeypatch.setenv(engine.VARIABLE, "processes:1")
    with pytest.raises(EaselError, match=r"^there are no such pictures; name others\.$"):
        results("s", [part(sums, 1, size=3, log="log"), part(small_parts.refused, 2, size=2), part(sums, 3)])
    results("s", [part(sums, 1, log="log")])
    assert Path("log").read_text() == "1\n"


def test_timed_parts_run_alone_and_every_time(workplace):
    listed = [part(small_parts.spans, seed, log="log", timed=seed > 3) for seed in range(7)]
    found = results("s", listed)
    spans = [tuple(map(float, line.split())) for line in Path("log").read_text().splitlines()]
    alone = spans[4:]
    assert all(
        end <= began or other_end <= own_began
        for own_began, end in alone
        for began, other_end in spans
        if (began, other_end) != (own_began, end)
    )
    assert all(("machine" in numbers) == (int(name.split()[1]) > 3) for name, (_, numbers) in found.items())
    results("s", listed)
    assert len(Path("log").read_text().splitlines()) == 7 + 3


def test_workers_end_with_their_stage(workplace):
    program = (
        "from lib.pipeline import parts; from tests.pipeline.small_parts import *\n"
        "parts.run('s', [part(slow, seed, log='log') for seed in range(2)])"
    )
    stage = subprocess.Popen([sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": str(ROOT)})
    wait_until(lambda: Path("log").exists() and len(Path("log").read_text().split()) == 2)
    workers = [int(number) for number in Path("log").read_text().split()]
    stage.kill()
    stage.wait()
    wait_until(lambda: not any(psutil.pid_exists(number) for number in workers), seconds=20)


@pytest.mark.parametrize(
    "setting", ["processes:0", "processes:", "processes:two", "dask", "dask://host", "ray://h:1", " "]
)
def test_another_engine_is_refused(setting):
    with pytest.raises(EaselError, match=r"ENGINE is .* it can be processes:<how many>, dask://<host>:<port>"):
        engine.check(setting)


def test_a_scheduler_that_is_not_there_is_named():
    with pytest.raises(EaselError, match=r"ENGINE=dask://127\.0\.0\.1:9: no dask scheduler answers there"):
        engine.check("dask://127.0.0.1:9")


def test_a_cluster_that_does_not_find_the_repository_is_named(tmp_path):
    with cluster(1, tmp_path) as address:
        wait_until(lambda: "no workers" not in _says(address))
        assert "do not find this repository" in _says(address)


def test_one_line_shows_all_that_runs(tmp_path):
    tasks = [engine.Task(name, size, 1, False, tmp_path / name) for name, size in (("a", 3.0), ("b", 1.0), ("c", 4.0))]
    (tmp_path / "b").write_text("0.5")
    (tmp_path / "c").write_text("0.25")
    board = engine._Board("stage", tasks)
    board.finished("a")
    line = board.line()
    assert line.startswith("[stage] 1/3  56 %  at work: b 50 %, c 25 %") and line.endswith("left")
