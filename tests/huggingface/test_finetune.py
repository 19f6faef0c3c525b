"""SJD2's fine-tuning on transformers' classes: its loss is what decoders see, and a run is the same run however it is
interrupted, accumulated or divided among processes."""

import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from huggingface import finetune, tuning
from huggingface.models.levels import NoiseLevels
from huggingface.models.predictor import HFPredictor
from huggingface.noisy import NoisyReader
from huggingface.pictures import Settings as PictureSettings
from huggingface.pictures import draw
from huggingface.shards import write
from huggingface.tuning import NoisyTrainee, Settings, tune
from lib.decoding.noise_levels import corrupt, levels
from lib.errors import EaselError
from tests.huggingface.models.tiny import CODES, MODELS, layout_of, prompts, tiny
from tests.huggingface.models.words import tokenizer

ROOT = Path(__file__).parents[2]
TOLD = NoiseLevels(spacing="karras", denoising_steps=(3,))
PICTURES, BATCH, UPDATES = 8, 4, 4


def given(family, layout, rows=3):
    """What the loss reads, for prompts of different lengths."""
    random = torch.Generator().manual_seed(4)
    codes = torch.randint(CODES, (rows, layout.length), generator=random)
    at_levels = torch.randint(4, codes.shape, generator=random)
    at_levels[:, 0] = 0
    noise = torch.randn(*codes.shape, family.codes().shape[1], generator=random)
    return prompts(rows), codes, at_levels, levels(3, "karras"), noise


@pytest.mark.parametrize("kind", MODELS)
def test_the_loss_is_that_of_what_decoders_see(kind):
    family = tiny(kind)
    layout = layout_of(kind, family)
    words, codes, at_levels, times, noise = given(family, layout)
    losses = NoisyReader(family, layout)(words, codes, at_levels, times, noise)
    family.tuned = TOLD
    predictor = HFPredictor(family, words, layout, times=times[1:])
    clean = predictor.embed(torch.nn.functional.pad(codes, (1, -1), value=CODES))
    vectors = corrupt(clean, noise, times[at_levels])
    log_p = predictor.predict_embedded(vectors, torch.zeros(3, dtype=torch.int64), at_levels)
    torch.testing.assert_close(losses.detach(), -log_p.gather(2, codes[..., None])[..., 0], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("kind", MODELS)
def test_all_that_draws_is_tuned_and_nothing_else(kind):
    family = tiny(kind)
    layout = layout_of(kind, family)
    network = NoisyReader(family, layout)
    network(*given(family, layout)).mean().backward()
    reached = {name for name, weight in network.named_parameters() if weight.grad is not None and weight.grad.any()}
    network.requires_grad_(False)
    for part in family.drawing():
        part.requires_grad_(True)
    assert reached == {name for name, weight in network.named_parameters() if weight.requires_grad}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A model's folder and a shard."""
    top = tmp_path_factory.mktemp("made")
    tiny("llama", scale=0.2).model.save_pretrained(top / "llama")
    tokenizer().save_pretrained(top / "llama")
    random = np.random.default_rng(0)
    write(
        top / "a.tar",
        [(f"a {('red', 'blue', 'star')[n % 3]}", random.integers(CODES, size=12)) for n in range(PICTURES)],
    )
    return top


def settings(made, **changes):
    sizes = dict(
        epochs=2, batch=BATCH, learning_rate=1e-2, denoising_steps=(2, 3), noisy_run=(2, 6), caption_dropout=0.3
    )
    return Settings(str(made / "llama"), (str(made / "a.tar"),), **sizes | changes)


def weights(folder):
    return load_file(folder / "model.safetensors")


@pytest.fixture(scope="module")
def whole(made):
    """The folder of a run that nothing interrupted."""
    report = tune(settings(made), made / "whole", at_once=BATCH)
    assert report["history"][-1]["step"] == UPDATES
    return made / "whole"


def test_a_tuned_folder_is_a_model_s_folder_that_decoders_know(made, whole, tmp_path):
    before, after = weights(made / "llama"), weights(whole)
    assert before.keys() == after.keys() and all(not torch.equal(before[name], after[name]) for name in before)
    assert json.loads((whole / "config.json").read_text())["noise_levels"] == {
        "spacing": "karras",
        "denoising_steps": [2, 3],
    }
    assert not (whole / "state").exists() and (whole / "tokenizer.json").is_file()
    tuned = draw(PictureSettings(str(whole), "sjd2", {"window": 6}), ["a star"], tmp_path / "told")
    (whole.parent / "untold").mkdir()
    for path in whole.iterdir():
        (whole.parent / "untold" / path.name).write_bytes(path.read_bytes())
    config = json.loads((whole / "config.json").read_text())
    del config["noise_levels"]
    (whole.parent / "untold" / "config.json").write_text(json.dumps(config))
    untold = draw(PictureSettings(str(whole.parent / "untold"), "sjd2", {"window": 6}), ["a star"], tmp_path / "untold")
    # Two levels, as it was tuned with, and not the five of a model that says nothing.
    assert tuned["mean_passes"] < untold["mean_passes"]


def test_an_interrupted_run_ends_as_if_it_were_not(made, whole, tmp_path, monkeypatch):
    steps, own = [], NoisyTrainee.step

    def step(self, number, indices):
        if len(steps) == 2:
            steps.append("killed")
            raise KeyboardInterrupt
        steps.append(number)
        return own(self, number, indices)

    monkeypatch.setattr(NoisyTrainee, "step", step)
    with pytest.raises(KeyboardInterrupt):
        tune(settings(made), tmp_path / "out", at_once=BATCH, save_every=0)
    assert len(list((tmp_path / "out" / "state").iterdir())) == 3  # two checkpoints, and the file that names one
    report = tune(settings(made), tmp_path / "out", at_once=BATCH, save_every=0)
    assert steps == [0, 1, "killed", 2, 3]
    expected, found = weights(whole), weights(tmp_path / "out")
    assert all(torch.equal(expected[name], found[name]) for name in expected)
    assert report["history"] == json.loads((whole / "tuning.json").read_text())["history"]
    monkeypatch.setattr(NoisyTrainee, "step", None)
    assert tune(settings(made), tmp_path / "out") == report  # nothing is left to do


def assert_almost(first, second):
    """The same but for rounding. Of a gradient that is almost nothing AdamW makes a large update, so that a few weights
    may differ by a part of the learning rate, 0.01."""
    found = weights(second)
    for name, expected in weights(first).items():
        away = (found[name] - expected).abs()
        assert away.max() < 2e-3 and away.mean() < 5e-6, (name, away.max(), away.mean())


def test_accumulation_and_checkpointing_change_rounding_alone(made, whole, tmp_path):
    tune(settings(made), tmp_path / "one", at_once=1, checkpointing=True)
    assert_almost(whole, tmp_path / "one")


def test_two_processes_are_one(made, tmp_path):
    """On the CPU, by gloo; a checkpoint of two is gone on with by one."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    common = ["--model", str(made / "llama"), "--shards", str(made / "a.tar"), "--epochs", "1", "--batch", "4"]
    common += ["--learning-rate", "0.01", "--steps", "3"]
    arguments = [*common, "--out", str(tmp_path / "two"), "--checkpointing"]
    started = []
    for rank in range(2):
        variables = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": 2, "LOCAL_WORLD_SIZE": 2}
        variables |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "OMP_NUM_THREADS": 1, "ACCELERATE_USE_CPU": 1}
        environment = os.environ | {name: str(value) for name, value in variables.items()}
        command = [sys.executable, "-m", "huggingface.finetune", *arguments]
        started.append(subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True))
    printed = [process.communicate()[0] for process in started]
    assert [process.returncode for process in started] == [0, 0]
    assert sum("2 updates on 8 pictures" in text for text in printed) == 1
    assert finetune.main([*common, "--out", str(tmp_path / "one"), "--at-once", "4"]) == 0
    assert_almost(tmp_path / "one", tmp_path / "two")


def test_bf16_trains(made, tmp_path):
    report = tune(settings(made, bf16=True), tmp_path / "out", at_once=BATCH)
    assert np.isfinite(report["history"][-1]["loss"])
    assert all(weight.dtype == torch.float32 for weight in weights(tmp_path / "out").values())


REFUSED = {
    "no model": (["--model", "nowhere"], "no folder nowhere"),
    "no shards": (["--shards", "nowhere.tar"], r"nowhere\.tar"),
    "a batch too large": (["--batch", "9"], "batch of 9"),
    "a batch that cannot be divided": (["--batch", "8", "--at-once", "3"], "cannot be divided"),
    "no epoch": (["--epochs", "0"], "at least one epoch"),
    "another size": (["--size", "4x4"], r"must be whole numbers \[16\]"),
    "no steps": (["--steps", "0"], "at least one denoising step"),
}


@pytest.mark.parametrize(("more", "said"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_tuned_is_refused_before_an_update(more, said, made, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(tuning, "fit", None)
    common = [
        "--model",
        str(made / "llama"),
        "--shards",
        str(made / "a.tar"),
        "--out",
        str(tmp_path / "out"),
        "--batch",
        "4",
    ]
    assert finetune.main([*common, *more]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert re.search(said, error), error


def test_a_folder_of_other_settings_is_not_gone_on_with(made, whole):
    with pytest.raises(EaselError, match="tuned with other settings"):
        tune(settings(made, seed=5), whole)
    assert finetune.main(["--model", "x"]) == 2
