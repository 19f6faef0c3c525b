"""The benchmark of a GPU, rehearsed on a CPU at a tiny size: what it counts, measures and writes."""

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.gpu import made_up, measure, table
from benchmarks.gpu.__main__ import main
from lib.decoding.noise import RowRandom
from lib.metering.flops_autoregressive import blocks_flops, output_flops
from lib.models.autoregressive_predictor import AutoregressivePredictor
from tests import house

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def lines():
    """All that is measured, as briefly as can be, and the predictors that were decoded with."""
    bench, given = measure.Bench(made_up.TINY, CPU, 1e-3), []
    decoded = bench.decoded

    def watched(name, graphs, predictor, draw, *others):
        given.append((name, graphs, predictor, draw))
        return decoded(name, graphs, predictor, draw, *others)

    bench.decoded = watched
    return list(bench.run()), given


def test_every_line_is_measured(lines):
    found, names = lines[0], [*measure.LATENCIES, measure.MUSE]
    assert [line.name for line in found] == [*measure.TRAINING, *names, *names]
    assert [line.graphs for line in found] == [None] * 3 + [True] * 5 + [False] * 5
    for line in found:
        assert min(line.seconds) > 0 and line.operations > 0 and len(line.seconds) >= 2
    passes = {line.name: line.calls for line in found}
    size = made_up.TINY
    assert passes["autoregressive"] == size.side**2 and passes[measure.MUSE] == size.side**2 < measure.MUSE_STEPS
    assert all(line.picture for line in found[3:]) and not any(line.picture for line in found[:3])


def test_operations_are_those_of_the_formulas(lines):
    """Guidance runs two rows; an update is three forward passes of its batch."""
    size, found = made_up.TINY, {line.name: line for line in lines[0]}
    predictor = next(make(False) for name, _, make, _ in lines[1] if name == "autoregressive")
    assert isinstance(predictor, AutoregressivePredictor)
    config, length = predictor.model.config, size.side**2
    columns = predictor.before + length + 1
    one = blocks_flops(config, 1, columns, size.layers) + output_flops(config, 1)
    assert found["autoregressive"].operations == 2 * one  # the later of both lines of this name
    inputs = size.text_length + length
    update = 3 * size.batch * (blocks_flops(config, inputs, inputs, size.layers) + output_flops(config, length))
    assert lines[0][0].operations == update


def test_pictures_are_the_same_with_graphs(lines):
    """Recorded or not, with what the picture before left behind."""
    made = {(name, graphs): (make, draw) for name, graphs, make, draw in lines[1]}
    for name in (*measure.LATENCIES, measure.MUSE):
        drawn = {}
        for graphs in (True, False):
            make, draw = made[name, graphs]
            predictor = make(graphs)
            draw(predictor, RowRandom([9]))
            drawn[graphs] = [draw(predictor, RowRandom([seed])).tokens for seed in (1, 2)]
        fresh = [made[name, False][1](made[name, False][0](False), RowRandom([seed])).tokens for seed in (1, 2)]
        for one, other, alone in zip(drawn[True], drawn[False], fresh, strict=True):
            assert torch.equal(one, other) and torch.equal(one, alone)


def test_pictures_follow_the_law():
    random = np.random.Generator(np.random.PCG64(1))
    size, captions = made_up.TINY, random.integers(0, made_up.CAPTIONS, 4000)
    found = made_up.pictures(random, captions, size).reshape(-1, size.side, size.side)
    left, above = found[:, 1:, :-1], found[:, :-1, 1:]
    copied = ((found[:, 1:, 1:] == left) | (found[:, 1:, 1:] == above)).mean()
    assert 0.9 < copied < 0.97  # and some by chance
    used = [set(found[captions == caption].ravel()) for caption in (3, 4)]
    assert all(len(codes) <= made_up.PALETTE for codes in used) and used[0] != used[1]


def test_without_a_gpu_it_is_a_rehearsal_that_says_so(tmp_path, monkeypatch, capsys):
    """The command itself, its lines made up: into build/, never into results/."""
    made = measure.Line("autoregressive", True, 1_000_000, 1, 16.0, [2e-3, 1e-3, 3e-3], 10**9, [0.032, 0.016, 0.048])
    trained = measure.Line("Muse", None, 2_000_000, 4, 7, [0.5], 10**9, [])
    monkeypatch.setattr(measure.Bench, "run", lambda self: iter([trained, made]))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.chdir(tmp_path)
    Path("requirements.lock").write_bytes((house.REPOSITORY / "requirements.lock").read_bytes())
    Path("benchmarks/gpu").mkdir(parents=True)
    Path("benchmarks/gpu/__main__.py").write_text("")  # which the table's sidecar names
    assert main([]) == 0
    text = Path("build/benchmarks/gpu.md").read_text(encoding="utf-8")
    assert (
        "A rehearsal on a CPU" in text
        and "buffers alone" in text
        and "TF32" not in text
        and "training: Muse" in text
        and not Path("results").exists()
    )
    assert "2.000 [1.000, 3.000]" in text and "0.0320 [0.0160, 0.0480]" in text and text in capsys.readouterr().out
    told = json.loads(Path("build/benchmarks/gpu.json").read_text(encoding="utf-8"))
    assert told["machine"]["gpu"] is None and len(told["lines"]) == 2
    assert main(["--seconds", "0"]) == 2


@pytest.mark.parametrize(
    ("gpu", "rate"),
    [("NVIDIA H200", 989e12), ("NVIDIA A100-SXM4-80GB", 312e12), ("NVIDIA L40S", 362e12), ("NVIDIA L4", 121e12)],
)
def test_shares_are_of_the_card_s_data_sheet(gpu, rate):
    assert table.peak(gpu) == rate
    line = measure.Line("Muse", None, 1, 4, 7, [1.0], 10**14, [])
    assert table.row(line, float("nan"), 5e14, rate, True)["MFU"].value == pytest.approx(100 * 1e14 / rate)
    assert table.peak("GeForce RTX 4090") is None and table.peak(None) is None


def test_the_script_takes_another_interpreter(tmp_path):
    """From any folder, with its arguments; one that is not there is named."""
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\necho "$PWD $PYTHONPATH $@"\n')
    python.chmod(0o755)
    script = house.REPOSITORY / "benchmarks/gpu.sh"

    def run(name):
        variables = {**os.environ, "PYTHON": str(name)}
        return subprocess.run([script, "--seconds", "9"], cwd=tmp_path, env=variables, capture_output=True, text=True)

    assert run(python).stdout == f"{house.REPOSITORY} . -m benchmarks.gpu --seconds 9\n"
    absent = run(tmp_path / "none")
    assert absent.returncode == 2 and "PYTHON=python3 benchmarks/gpu.sh" in absent.stderr
