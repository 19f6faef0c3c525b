import json
from collections import Counter
from types import SimpleNamespace

import numpy as np

from lib.config import ReaderParams
from lib.pipeline import train_reader
from lib.pipeline.train_reader import repaint, trainee
from lib.scenes.scene import Background, Object, Scene
from lib.scenes.vocabulary import COLOURS
from lib.training.loop import fit
from lib.training.order import BatchOrder

SCENE = Scene(
    (Object("square", "red", "small", "solid", 12, 12), Object("ring", "red", "large", "dotted", 40, 40)),
    Background("speckled", "grey", None, 7),
)
PARAMS = ReaderParams(steps=4, batch_size=2, learning_rate=1e-2, width=4)


def test_repainting_changes_colours_only_and_makes_every_pair():
    random, pairs = np.random.default_rng(0), Counter()
    for _ in range(400):
        painted = repaint(SCENE, random)
        assert painted.background == SCENE.background
        for old, new in zip(SCENE.objects, painted.objects, strict=True):
            assert (old.shape, old.size, old.texture, old.x, old.y) == (new.shape, new.size, new.texture, new.x, new.y)
        pairs[painted.objects[0].colour] += 1
    # ("square", "pink") is held out from the data, and as frequent here as every other.
    assert set(pairs) == set(COLOURS) and min(pairs.values()) > 25


def test_training_resumes_exactly(tmp_path):
    def learner():
        return trainee(PARAMS, 0, [SCENE.to_json()] * 5)

    order = BatchOrder(5, 2, 0)
    whole, parts = learner(), learner()
    fit(whole, name="reader", steps=4, order=order, checkpoint=tmp_path / "a", fingerprint="f")
    fit(parts, name="reader", steps=3, order=order, checkpoint=tmp_path / "b", fingerprint="f")
    resumed = learner()
    fit(resumed, name="reader", steps=4, order=order, checkpoint=tmp_path / "b", fingerprint="f")
    for name, value in whole.state().items():
        np.testing.assert_array_equal(value, resumed.state()[name], err_msg=name)


def test_data_without_truth_gives_a_reason_and_no_model(tmp_path, monkeypatch):
    data, out = tmp_path / "data", tmp_path / "reader"
    data.mkdir()
    (data / "meta.json").write_text(json.dumps({"has_truth": False}))
    out.mkdir()
    (out / "model.safetensors").write_bytes(b"of an earlier run")
    monkeypatch.setattr(train_reader, "DATA", data)
    monkeypatch.setattr(train_reader, "OUT", out)
    train_reader.run(SimpleNamespace())
    assert [path.name for path in out.iterdir()] == ["metrics.json"]
    report = json.loads((out / "metrics.json").read_text())
    assert report["applicable"] is False and "scenes.jsonl" in report["reason"]
