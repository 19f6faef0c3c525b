"""After a refactor a sample of parts is computed anew, and only if all of it is equal are the others taken over."""

import importlib
import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest

from lib import imports
from lib.errors import EaselError
from lib.pipeline import parts, take_over
from lib.pipeline.parts import Part
from lib.weights import checkpoint

# The module that has the work, and two that it could load by name.
WORK = """
import time
import numpy as np

def drawn(training, *, seed, size=4):
    with open("log", "a") as file:
        file.write(f"{seed}\\n")
    picked = np.random.default_rng(seed).standard_normal(size)
    return {"values": picked}, {"mean": float(picked.mean()), "cpu_minutes": time.monotonic(), "none": float("nan")}

def counted(training, *, seed):
    with open("log", "a") as file:
        file.write(f"{seed}\\n")
    return {"count": np.arange(seed)}, {}
"""
FOLDER = Path("build/parts/s")
HARMLESS = ("picked", "chosen")  # a variable's name


@pytest.fixture(autouse=True)
def workplace(tmp_path, monkeypatch):
    """A folder that holds the sources of the parts, from which they are loaded."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setattr(parts, "ROOT", tmp_path)
    monkeypatch.delenv(take_over.VARIABLE, raising=False)
    monkeypatch.setenv("EASEL_ENGINE", "here")
    Path("requirements.lock").write_text("numpy==1\n")
    Path("in").write_text("a")
    for name, text in (("refactored", WORK), ("loaded", "x = 1\n"), ("loaded_too", "x = 1\n")):
        Path(f"{name}.py").write_text(text)
    forget()
    yield
    forget()


def edit(old, new, path="refactored.py"):
    """Puts one text in place of another in a module."""
    before = Path(path).read_text()
    assert old in before
    Path(path).write_text(before.replace(old, new))
    forget()


def forget():
    """Lets modules be found as by a new process."""
    imports._imported.cache_clear()
    parts._sources.cache_clear()
    sys.modules.pop("refactored", None)
    importlib.invalidate_caches()


def listed(**changes):
    """Twelve parts of three kinds."""
    work = importlib.import_module("refactored")
    found = []
    for seed in range(1, 13):
        function, code = (work.counted, ()) if seed > 8 else (work.drawn, ("loaded",) if seed > 4 else ("loaded_too",))
        given = {"arguments": {"seed": seed}, "inputs": [Path("in")], "code": code} | changes.get(f"p{seed}", {})
        found.append(Part(f"p{seed}", function, **given))
    return found


def run(sample=None, **changes):
    """Runs the stage. Returns the numbers of the parts that were computed, and the results."""
    Path("log").write_text("")
    with pytest.MonkeyPatch.context() as patch:
        if sample:
            patch.setenv(take_over.VARIABLE, str(sample))
        paths = parts.run("s", listed(**changes))
    return computed(), {name: checkpoint.load(path) for name, path in paths.items()}


def computed():
    return sorted(map(int, Path("log").read_text().split()))


def bits(found):
    return {name: [array.tobytes() for array in arrays.values()] for name, (arrays, _) in found.items()}


def kind(seed):
    return (seed > 4) + (seed > 8)


@pytest.mark.parametrize(("asked", "size"), [(1, 3), (3, 3), (5, 5), (50, 12)])
def test_after_a_harmless_edit_a_sample_of_every_kind_is_computed_and_the_rest_taken_over(asked, size, capsys):
    _, before = run()
    old = {one.name: one.identity() for one in listed()}
    edit(*HARMLESS)
    edit("x = 1", "x = 2", "loaded.py")
    new = {one.name: one.identity() for one in listed()}
    assert all(new[name].key != old[name].key and new[name].given == old[name].given for name in new)
    sample, after = run(asked)
    assert len(sample) == size and {kind(seed) for seed in sample} == {0, 1, 2}
    counts = [[kind(seed) for seed in sample].count(one) for one in range(3)]
    assert max(counts) - min(counts) <= 1  # spread
    assert bits(after) == bits(before)
    (record,) = take_over.records()
    assert record.stage == "s" and record.commit is None
    assert sorted(record.recomputed) == sorted(f"p{seed}" for seed in sample)
    assert record.taken == {name: one.key for name, one in new.items() if name not in record.recomputed}
    assert [tuple(module) for module in record.modules] == [
        (path, old["p5"].sources[path], new["p5"].sources[path]) for path in ("loaded.py", "refactored.py")
    ]
    said = capsys.readouterr().out
    assert f"[s] {12 - size} parts are taken over" in said and "refactored.py" in said and record.time in said
    assert run(asked)[0] == run()[0] == []  # all are there now
    assert len(take_over.records()) == 1


def test_the_sample_depends_on_the_keys_alone():
    run()
    edit(*HARMLESS)
    parts_now = listed()
    kinds = {one.name: (one.work_name, *one.code) for one in parts_now}
    found = take_over.candidates(FOLDER, kinds, {one.name: one.identity() for one in parts_now})
    assert len(found) == 12
    assert take_over.sample(found, 5) == take_over.sample(found[::-1], 5)


def test_an_edit_that_changes_a_result_is_refused_until_all_is_computed_anew():
    _, before = run()
    edit("standard_normal(size)", "standard_normal(size) + (np.arange(size) > 1)")
    kept = {path.name for path in FOLDER.glob("*.safetensors")}
    refused = r"part 'p\d' comes out differently: array values differs in 2 of 4 values; number mean is .* was .*\. "
    with pytest.raises(EaselError, match=refused + "Nothing was taken over; run the same command without TAKE_OVER"):
        run(3)
    sample = computed()
    assert len(sample) == 3
    assert len({path.name for path in FOLDER.glob("*.safetensors")} - kept) == 3  # what the new code has computed
    assert not take_over.RECORDS.exists()
    with pytest.raises(EaselError, match="comes out differently"):
        run(3)  # trying again does not help
    assert computed() == []
    rest, after = run()
    assert sorted(rest + sample) == list(range(1, 13))  # by the new code, all of them
    assert all((bits(after)[f"p{seed}"] != bits(before)[f"p{seed}"]) == (seed <= 8) for seed in range(1, 13))


def test_without_the_variable_all_is_computed_anew():
    run()
    edit(*HARMLESS)
    assert run()[0] == list(range(1, 13)) and not take_over.RECORDS.exists()


@pytest.mark.parametrize(
    "changes",
    [{"arguments": {"seed": 2, "size": 9}}, {"inputs": []}, {"threads": 2}],
)
def test_other_arguments_inputs_or_threads_are_never_taken_over(changes):
    run()
    edit(*HARMLESS)
    found, after = run(3, p2=changes)
    assert 2 in found and len(found) == 4
    (record,) = take_over.records()
    assert "p2" not in [*record.recomputed, *record.taken]
    assert after["p2"][0]["values"].size == changes.get("arguments", {}).get("size", 4)


def test_what_an_input_holds_counts():
    run()
    edit(*HARMLESS)
    Path("in").write_text("b")
    assert run(3)[0] == list(range(1, 13)) and not take_over.RECORDS.exists()


def test_timed_parts_are_never_taken_over():
    timed = {f"p{seed}": {"timed": True} for seed in (1, 2, 3, 4)}
    run(**timed)
    edit(*HARMLESS)
    found, _ = run(1, **timed)
    assert found[:4] == [1, 2, 3, 4] and len(found) == 4 + 2
    (record,) = take_over.records()
    assert not timed.keys() & {*record.recomputed, *record.taken}


def test_a_part_that_is_also_timed_under_another_name_is_not_taken_over():
    run()
    edit(*HARMLESS)
    assert {1, 2} <= set(run(1, p2={"arguments": {"seed": 1}, "timed": True}, p3={"arguments": {"seed": 2}})[0])
    assert "p1" not in take_over.records()[0].taken


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"{", b"[]", b"3", b"\xff", b"[" * 10_000, b"{}", b'{"parts": [], "sources": {}}'),
        b'{"parts": {"p1": {"key": "../../x", "given": "y", "sources": 0}}, "sources": [{}]}',
        b'{"parts": {"p1": {"key": 1, "given": 2, "sources": 5}}, "sources": []}',
    ],
)
def test_a_damaged_index_is_as_none(content):
    run()
    edit(*HARMLESS)
    (FOLDER / take_over.INDEX).write_bytes(content)
    assert take_over.read_index(FOLDER) == {}
    assert run(3)[0] == list(range(1, 13)) and not take_over.RECORDS.exists()
    assert len(take_over.read_index(FOLDER)) == 12


def test_the_index_is_small_and_of_the_last_run_that_ended_well():
    run()
    index = json.loads((FOLDER / take_over.INDEX).read_text())
    assert len(index["parts"]) == 12 and len(index["sources"]) == 3
    before = take_over.read_index(FOLDER)
    assert before == {one.name: one.identity() for one in listed()}
    edit("np.arange(seed)", "np.arange(seed, dtype=unknown)")
    with pytest.raises(NameError):
        run()
    assert take_over.read_index(FOLDER) == before


def test_a_result_that_is_gone_is_computed_anew():
    run()
    FOLDER.joinpath(f"{listed()[0].key[:32]}.safetensors").unlink()
    edit(*HARMLESS)
    assert 1 in run(1)[0] and "p1" not in take_over.records()[0].taken


def test_an_interrupted_take_over_has_its_record_and_goes_on(monkeypatch):
    run()
    edit(*HARMLESS)
    copy, copied = take_over._copy, []

    def interrupted(source, target):
        if len(copied) == 4:
            raise KeyboardInterrupt
        copied.append(target)
        copy(source, target)

    monkeypatch.setattr(take_over, "_copy", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(3)
    sample = computed()
    monkeypatch.setattr(take_over, "_copy", copy)
    assert run(9)[0]  # a larger sample is computed, not made of what was taken over
    first, second = take_over.records()
    keys = {path.stem for path in copied}
    interrupted_names = {name for name, key in first.taken.items() if key[:32] in keys}
    assert len(interrupted_names) == 4 and len(first.taken) == 9
    assert not interrupted_names & {*second.recomputed, *second.taken}
    assert {f"p{seed}" for seed in sample} <= set(second.recomputed)


def test_where_there_are_no_hard_links_files_are_copied(monkeypatch):
    def refused(*_):
        raise PermissionError(1, "Operation not permitted")

    _, before = run()
    monkeypatch.setattr(os, "link", refused)
    edit(*HARMLESS)
    assert bits(run(1)[1]) == bits(before) and len(take_over.records()[0].taken) == 9
    assert not list(FOLDER.glob("*.part"))


@pytest.mark.parametrize(
    ("arrays", "numbers", "said"),
    [
        ({}, {}, []),
        ({}, {"minutes": 2, "machine": {"load": 1}, "cpu_minutes": 3, "deep": [{"step_seconds": 4, "a": 1}]}, []),
        ({"a": np.array([-0.0, np.nan])}, {}, ["array a differs in 1 of 2 values"]),
        ({"a": np.zeros(2, np.float32)}, {}, ["array a is float32 [2], was float64 [2]"]),
        ({"a": np.zeros((2, 1))}, {}, ["array a is float64 [2, 1], was float64 [2]"]),
        ({"b": np.array(1)}, {}, ["array b is new"]),
        ({}, {"deep": [{"step_seconds": 1, "a": 2}]}, ['number deep is [{"a": 2}], was [{"a": 1}]']),
        ({}, {"new": None}, ["number new is null, was missing"]),
    ],
)
def test_what_differs_is_named_and_times_are_no_difference(arrays, numbers, said):
    old_arrays = {"a": np.array([0.0, np.nan]), "empty": np.zeros((0, 3))}
    old_numbers = {"mean": float("nan"), "minutes": 1, "deep": [{"step_seconds": 1, "a": 1}]}
    checkpoint.save(Path("old"), old_arrays, old_numbers)
    checkpoint.save(Path("new"), old_arrays | arrays, old_numbers | numbers)
    assert list(take_over.differences(Path("old"), Path("new"))) == said


def test_the_table_has_all_records(capsys):
    assert take_over.main([]) == 0
    assert capsys.readouterr().out == "nothing has been taken over here\n"
    run()
    for old, new in (HARMLESS, ("chosen", "drawn_now")):
        edit(old, new)
        run(1)
    capsys.readouterr()
    assert take_over.main([]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 + 2 and len({line.count("|") for line in lines}) == 1
    assert all("| s | – | 9 | p" in line and "refactored.py" in line for line in lines[2:])


def test_a_record_names_the_commit(monkeypatch):
    monkeypatch.chdir(Path(__file__).parent)
    assert take_over._commit() is None or len(take_over._commit()) == 40
