"""The loop on a trainee whose result depends on every step, its order and its randomness."""

import errno
import os

import numpy as np
import pytest

from lib.errors import EaselError
from lib.training.loop import fit
from lib.training.order import BatchOrder
from lib.weights import checkpoint


class Walk:
    """A random walk: two steps commute in no way."""

    def __init__(self, stop_at=None, poison_at=None):
        self.position, self.stop_at, self.poison_at = np.zeros(3), stop_at, poison_at

    def step(self, step, indices):
        if step == self.stop_at:
            raise KeyboardInterrupt
        noise = np.random.Generator(np.random.PCG64([7, step])).normal(size=3)
        self.position = np.sin(1.1 * self.position + noise + indices.sum())
        return {"loss": float("nan") if step == self.poison_at else float(self.position.sum())}

    def state(self):
        return {"position": self.position}

    def load_state(self, arrays):
        self.position = arrays["position"]


def train(walk, path, fingerprint="f", **options):
    settings = {"steps": 23, "points": 5, "save_every": 0.0} | options
    return fit(walk, name="walk", order=BatchOrder(10, 3, 1), checkpoint=path, fingerprint=fingerprint, **settings)


@pytest.mark.parametrize("stop", [1, 9, 22])
def test_interrupted_and_resumed_equals_uninterrupted(tmp_path, stop):
    whole = Walk()
    history = train(whole, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train(Walk(stop_at=stop), tmp_path / "cut")
    resumed = Walk()
    assert train(resumed, tmp_path / "cut") == history
    np.testing.assert_array_equal(resumed.position, whole.position)


def test_there_is_a_checkpoint_from_the_first_update_on(tmp_path):
    for stop, found in ((0, None), (1, 1), (9, 1)):
        path = tmp_path / f"{stop}"
        with pytest.raises(KeyboardInterrupt):
            train(Walk(stop_at=stop), path, save_every=np.inf)
        assert (checkpoint.load(path)[1]["step"] if path.exists() else None) == found


def test_history_holds_the_mean_since_the_entry_before(tmp_path):
    walk, seen = Walk(), []
    step = walk.step
    walk.step = lambda number, indices: seen.append(step(number, indices)) or seen[-1]
    history = train(walk, tmp_path / "c")
    assert [entry["step"] for entry in history] == [4, 8, 12, 16, 20, 23]
    assert history[0]["loss"] == pytest.approx(np.mean([entry["loss"] for entry in seen[:4]]))
    assert history[-1]["loss"] == pytest.approx(np.mean([entry["loss"] for entry in seen[20:]]))


def test_a_finished_run_does_nothing_more(tmp_path):
    history = train(Walk(), tmp_path / "c")
    assert train(Walk(stop_at=0), tmp_path / "c") == history


def test_checkpoint_of_another_configuration_is_refused(tmp_path):
    train(Walk(), tmp_path / "c")
    with pytest.raises(EaselError, match="another configuration, code or data set"):
        train(Walk(), tmp_path / "c", fingerprint="g")


def test_nan_stops_with_the_step(tmp_path):
    with pytest.raises(EaselError, match="loss became nan at step 6; lower the learning rate"):
        train(Walk(poison_at=5), tmp_path / "c")


def test_full_disk_keeps_the_previous_checkpoint(tmp_path, monkeypatch):
    path = tmp_path / "c.safetensors"
    checkpoint.save(path, {"x": np.arange(4)}, {"step": 1})

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(EaselError, match=r"the disk is full.*is whole; free some space"):
        checkpoint.save(path, {"x": np.zeros(4)}, {"step": 2})
    arrays, meta = checkpoint.load(path)
    assert meta == {"step": 1} and list(arrays["x"]) == [0, 1, 2, 3]
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_really_full_device(tmp_path):
    path = tmp_path / "c.safetensors"
    os.symlink("/dev/full", path.with_name(path.name + ".part"))
    with pytest.raises(EaselError, match=r"the disk is full.*There was no earlier checkpoint"):
        checkpoint.save(path, {"x": np.zeros(100_000)}, {})


def test_damaged_and_missing_checkpoints_are_named(tmp_path):
    path = tmp_path / "c.safetensors"
    with pytest.raises(EaselError, match="does not exist"):
        checkpoint.load(path)
    path.write_bytes(b"not a checkpoint")
    with pytest.raises(EaselError, match="is damaged"):
        checkpoint.load(path)


def test_arrays_survive_whatever_their_strides(tmp_path):
    path = tmp_path / "c.safetensors"
    array = np.arange(12.0).reshape(3, 4).T[::2]
    checkpoint.save(path, {"x": array, "n": np.int64(3)}, {})
    arrays, _ = checkpoint.load(path)
    np.testing.assert_array_equal(arrays["x"], array)
    assert arrays["n"] == 3
