"""Training on meshes of devices. Run as a program, this file is one of the processes that its tests start."""

import json
import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace

import flax.linen as nn
import jax
import numpy as np
import pytest
from jax.sharding import AxisType, PartitionSpec

from lib.errors import EaselError
from lib.models import dalle_mini
from lib.models.layout import DalleMiniConfig, Layout
from lib.training import mesh
from lib.training.dalle_mini import Captions, DalleMiniTrainee, evaluate
from lib.training.muon_jax import orthogonalise
from lib.training.optimizers import optimizer
from lib.weights import checkpoint

ROOT = Path(__file__).parents[2]
STEPS, BATCH = 4, 8
AUTO = (AxisType.Auto,) * 2
TOKENS = np.random.default_rng(0).integers(0, 7, (16, 6))
LETTERS = np.random.default_rng(1).integers(3, 30, (16, 5))


class Toy(nn.Module):
    """Compiles in a fraction of a second; its parameters are named, and so split, like those of DALL·E Mini."""

    config = SimpleNamespace(codes=7, image_length=6)

    @nn.compact
    def __call__(self, text_ids, image_ids, deterministic=True):
        x = nn.Embed(30, 8, name="embed_tokens")(text_ids)  # [B, S, 8]
        x = nn.gelu(nn.Dense(8, use_bias=False, name="q_proj")(x))
        x = nn.Dropout(0.2)(x, deterministic)
        x = nn.Dense(8, use_bias=False, name="out_proj")(x).mean(axis=1, keepdims=True)  # [B, 1, 8]
        x = nn.LayerNorm()(x) + nn.Embed(6, 8, name="embed_positions")(np.arange(6))  # [B, 6, 8]
        return nn.Dense(8, use_bias=False, name="lm_head")(x)


@cache
def create(kind):
    if kind == "toy":
        model = Toy()
        return model, jax.device_get(model.init(jax.random.key(0), LETTERS[:1], TOKENS[:1]))
    layout = Layout(dropout=0.1, attention_dropout=0.1, activation_dropout=0.1)
    return dalle_mini.create(DalleMiniConfig(30, 5, 0, 7, 6, 16, 1, 1, 2, 16, layout), seed=0)


def captions():
    encode = lambda texts: np.array([LETTERS[int(text)] if text else np.zeros(5) for text in texts])  # noqa: E731
    return Captions([{"en": [str(row)]} for row in range(16)], encode)


def batch(step):
    return (np.arange(BATCH) + step * BATCH) % 16


# Cached, so that a second trainee on the same mesh compiles nothing.
muon = cache(lambda on: optimizer("muon", 0.02, 1, 10, 0.0, 0.01, on))


def trainee(kind, on, accumulation=1):
    return DalleMiniTrainee(*create(kind), captions(), TOKENS, muon(on), 0.3, 5, on, accumulation)


def train(who, start=0, stop=STEPS):
    return [who.step(step, batch(step))["loss"] for step in range(start, stop)]


def measured(who):
    texts = captions().first()
    return np.stack(evaluate(who.model, who.params, texts, TOKENS, BATCH, who.mesh))


# ---- what the started processes do


def muon_on(devices):
    """How far five matrices that so many devices share come out from what one computes; how many a device has."""
    kernels = [np.random.default_rng(2).standard_normal((5, 3, 4), np.float32)]
    on = jax.make_mesh((1, devices), ("data", "model"), AUTO, devices=jax.devices()[:devices])
    compiled = jax.jit(lambda kernels: orthogonalise(kernels, on)).lower(kernels).compile()
    error = np.abs(compiled(kernels)[0] - jax.jit(orthogonalise)(kernels)[0]).max()
    squares = {int(count) for count in re.findall(r"f32\[(\d+),3,3\]", compiled.as_text())}
    return {"error": float(error), "matrices": sorted(squares)}


def on_four_devices(folder):
    report = {}
    for kind, shapes in (("toy", [(4, 1), (2, 2), (1, 4)]), ("dalle_mini", [(1, 1), (2, 2)])):
        for data, model in shapes:
            devices = jax.devices()[: data * model]
            on = jax.make_mesh((data, model), ("data", "model"), AUTO, devices=devices) if data * model < 4 else None
            name = f"{kind}-{data}x{model}"
            who = trainee(kind, on or mesh.make_mesh(data, model))
            losses = train(who)
            np.savez(folder / f"{name}.npz", losses=losses, measured=measured(who), **who.state())
            parts = jax.tree_util.tree_leaves_with_path(who.train_state)
            report[name] = {
                jax.tree_util.keystr(path, simple=True, separator="/"): leaf.addressable_shards[0].data.shape
                for path, leaf in parts
            }
    who = trainee("toy", mesh.make_mesh(2, 2), accumulation=2)
    report["accumulated"] = train(who, stop=1)[0]
    report["muon"] = {devices: muon_on(devices) for devices in (1, 2, 4)}
    return report


def as_one_of_two_processes(folder, process):
    address = f"unix:{folder}/meeting"  # not a port, which another program may take
    jax.distributed.initialize(address, 2, process, coordinator_bind_address=address)
    report = {}
    for data, model in [(2, 1), (1, 2)]:
        on = mesh.make_mesh(data, model)
        name, saved = f"processes-{data}x{model}", folder / f"{data}x{model}.safetensors"
        who = trainee("toy", on)
        losses = train(who, stop=2)
        middle = who.state()
        if mesh.is_first():
            checkpoint.save(saved, middle, {})
        losses += train(who, 2)
        end, numbers = who.state(), measured(who)
        again = trainee("toy", on)
        again.load_state(checkpoint.load(saved)[0])
        resumed = train(again, 2)
        same = all(np.array_equal(array, again.state()[key]) for key, array in end.items())
        report[name] = {"rows": mesh.own_rows(on, BATCH).tolist(), "bit for bit": same and resumed == losses[2:]}
        report[name]["agreed"] = [mesh.agree(process == 0), mesh.agree(process == 1)]
        np.savez(folder / f"{name}-{process}.npz", losses=losses, measured=numbers, **end)
    return report


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    jax.config.update("jax_num_cpu_devices", 4 if len(sys.argv) == 2 else 1)
    print(json.dumps(as_one_of_two_processes(folder, int(sys.argv[2])) if sys.argv[2:] else on_four_devices(folder)))
    sys.exit()


# ---- tests

# One worker for all of them: the processes that they compare are started once.
pytestmark = pytest.mark.xdist_group("mesh")


def start(*arguments):
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, __file__, *map(str, arguments)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process):
    out, error = process.communicate()
    assert process.returncode == 0, error
    return json.loads(out.splitlines()[-1])


@pytest.fixture(scope="module")
def runs():
    """The reports of all processes; their arrays by name; the same on this process's one device as "alone"."""
    with TemporaryDirectory(prefix="mesh") as folder:  # a short path: a socket's has at most 107 letters
        yield ran(Path(folder))


def ran(folder):
    processes = [start(folder), start(folder, 0), start(folder, 1)]
    try:
        who = trainee("toy", mesh.make_mesh())
        arrays = {"alone": {"losses": train(who), "measured": measured(who), **who.state()}}
        reports = [finish(process) for process in processes]
    finally:
        for process in processes:
            process.kill()
    arrays |= {path.stem: dict(np.load(path)) for path in folder.glob("*.npz")}
    return SimpleNamespace(reports=reports, arrays=arrays)


def same(found, wanted):
    assert found.keys() == wanted.keys()
    for name in wanted:
        np.testing.assert_allclose(found[name], wanted[name], rtol=1e-3, atol=2e-5, err_msg=name)


@pytest.mark.parametrize("shape", ["4x1", "2x2", "1x4"])
def test_training_on_four_devices_is_that_on_one(runs, shape):
    same(runs.arrays[f"toy-{shape}"], runs.arrays["alone"])


def test_dalle_mini_with_dropout_trains_the_same_on_four_devices_as_on_one(runs):
    same(runs.arrays["dalle_mini-2x2"], runs.arrays["dalle_mini-1x1"])


@pytest.mark.parametrize("shape", ["2x1", "1x2"])
def test_training_in_two_processes_is_that_in_one(runs, shape):
    for process in (0, 1):
        same(runs.arrays[f"processes-{shape}-{process}"], runs.arrays["alone"])


@pytest.mark.parametrize("shape", ["2x1", "1x2"])
def test_two_processes_resume_from_the_first_ones_checkpoint_bit_for_bit(runs, shape):
    assert all(report[f"processes-{shape}"]["bit for bit"] for report in runs.reports[1:])


def test_each_process_loads_its_rows_only_and_follows_the_first_ones_decision(runs):
    first, second = runs.reports[1:]
    assert [report["processes-2x1"]["rows"] for report in (first, second)] == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert [report["processes-1x2"]["rows"] for report in (first, second)] == [list(range(8))] * 2
    for report in (first, second):
        assert report["processes-2x1"]["agreed"] == [True, False]


def test_parameters_and_optimizer_state_are_split_over_model(runs):
    parts = runs.reports[0]["dalle_mini-2x2"]
    layer = "params/model/decoder/layers/FlaxBartDecoderLayer_0"
    wanted = {
        "FlaxBartAttention_1/v_proj/kernel": [16, 8],
        "FlaxBartAttention_0/out_proj/kernel": [8, 16],
        "GLU_0/Dense_1/kernel": [16, 8],
        "GLU_0/Dense_2/kernel": [8, 16],
        "GLU_0/LayerNorm_1/bias": [16],
    }
    for name, shape in wanted.items():
        copies = [part for key, part in parts.items() if key.endswith(f"{layer}/{name}")]
        assert copies == [shape] * len(copies) and len(copies) >= 2, name  # the parameter and its optimizer state
    assert parts["0/params/lm_head/kernel"] == [16, 4]
    whole = runs.reports[0]["toy-4x1"]
    assert whole["0/params/q_proj/kernel"] == [8, 8]


def test_accumulation_works_on_a_mesh(runs):
    # Dropout draws other masks in a part of a batch than in the whole; the first loss is near all the same.
    assert runs.reports[0]["accumulated"] == pytest.approx(runs.arrays["alone"]["losses"][0], rel=0.02)


@pytest.mark.parametrize(("devices", "share"), [(1, 5), (2, 3), (4, 2)])  # of five matrices, filled up
def test_devices_share_the_matrices_of_muon(runs, devices, share):
    found = runs.reports[0]["muon"][str(devices)]
    assert found["error"] < 1e-5 and found["matrices"] == [share]


def test_rules_split_what_divides_and_copy_the_rest():
    stacked = "params/model/encoder/layers/FlaxBartEncoderLayers/"
    wanted = {
        (f"{stacked}FlaxBartAttention_0/k_proj/kernel", (3, 8, 8)): PartitionSpec(None, None, "model"),
        (f"{stacked}FFN_0/Dense_0/kernel", (3, 8, 12)): PartitionSpec(None, None, "model"),
        (f"{stacked}FFN_0/Dense_1/kernel", (3, 12, 8)): PartitionSpec(None, "model", None),
        (f"{stacked}GLU_0/Dense_2/kernel", (3, 10, 8)): PartitionSpec(),  # 10 rows are not 4 parts
        ("params/model/decoder/embed_tokens/embedding", (12, 8)): PartitionSpec("model", None),
        ("params/model/decoder/embed_tokens/embedding", (13, 8)): PartitionSpec(None, "model"),
        ("params/lm_head/kernel", (8, 13)): PartitionSpec("model", None),
        ("params/model/encoder/final_ln/bias", (8,)): PartitionSpec(),
    }
    for (name, shape), spec in wanted.items():
        assert mesh.partition(name, shape, 4) == spec, name
        assert mesh.partition(name, shape, 1) == PartitionSpec()


def test_meshes_and_batches_that_do_not_fit_are_refused():
    with pytest.raises(EaselError, match=r"a mesh of 1 × 3 \(data × model\) needs 3 devices, not 1"):
        mesh.make_mesh(1, 3)
    who = trainee("toy", mesh.make_mesh(), accumulation=3)
    with pytest.raises(EaselError, match="a batch of 8 cannot be split evenly over accumulation × data = 3 × 1"):
        who.step(0, batch(0))
