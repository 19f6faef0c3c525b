"""The stages around the image tokenizer: what they measure and write."""

import json

import numpy as np
import pytest

from lib import config
from lib.config_tree import replace
from lib.data import store
from lib.models import vqgan
from lib.models.clip import Clip, ClipConfig
from lib.models.vqgan import VQGAN
from lib.pipeline import encode, train_tokenizer
from lib.weights.torch_state import generator

COUNTS = {"train": 5, "test": 4}


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """An empty folder with a little data set, pictures of both sizes, and an untrained tokenizer."""
    params = config.load()
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    for name, count in COUNTS.items():
        images = {64: random.integers(0, 256, (count, 64, 64, 3), dtype=np.uint8)}
        images[128] = random.integers(0, 256, (2, 128, 128, 3), dtype=np.uint8)
        store.write_split("data", name, images, [{"en": ["a picture"]}] * count)
    store.write_meta("data", "webdataset", ["en"], has_truth=False)
    model = VQGAN(8, 16, 4, 0.9, 4, generator(0))
    images = vqgan.pixels_to_tensor(store.Split.open("data", "test").images(64), model.device)
    model.quantizer.revive(model.embed(images).detach().flatten(0, 2), generator(1))
    for name in ("fine", "coarse"):
        vqgan.save(model, f"build/tokenizer/{name}")
    return params


def test_encode_writes_the_tokens_of_every_split_and_size(workplace):
    encode.run(workplace)
    assert {path.name for path in encode.OUT.iterdir()} == {"fine", "coarse"}
    model = vqgan.load("build/tokenizer/fine")
    report = json.loads((encode.OUT / "fine/report.json").read_text())
    assert report["codes"] == 16
    assert set(report["arrays"]) == {"train_64", "train_128", "test_64", "test_128"}
    for name, count in COUNTS.items():
        split = store.Split.open("data", name)
        for size, number in ((64, count), (128, 2)):
            tokens = np.load(encode.OUT / "fine" / f"{name}_{size}.npy")
            assert tokens.dtype == np.uint16 and tokens.shape == (number, size // 4, size // 4)
            np.testing.assert_array_equal(tokens, vqgan.encode_batches(model, split.images(size)))
            entry = report["arrays"][f"{name}_{size}"]
            assert entry["pictures"] == number and entry["tokens"] == tokens.size
            assert entry["perplexity"] == pytest.approx(2 ** entry["entropy_bits"])
            assert 0 < entry["code_use"] <= 1 < entry["perplexity"] <= 16


def test_encode_leaves_nothing_of_an_earlier_run(workplace):
    old = encode.OUT / "fine/old_64.npy"
    old.parent.mkdir(parents=True)
    old.touch()
    encode.run(workplace)
    assert not old.exists()


def test_measured_are_quality_and_use_of_the_codebook(workplace):
    model = vqgan.load("build/tokenizer/fine")
    images = np.asarray(store.Split.open("data", "test").images(64))
    extractor = train_tokenizer.ClipFeatures(Clip(ClipConfig(8, 4, 8, 8, 8, 1, 1), generator(0)).eval())
    evaluation = replace(workplace.evaluation, bootstrap=40)

    def measured(kinds):
        return train_tokenizer.measure(model, images, kinds, extractor, evaluation, np.random.default_rng(0))

    report = measured(["plain", "plain", "striped", "plain"])
    rebuilt = vqgan.decode_batches(model, vqgan.encode_batches(model, images)).astype(float)
    errors = ((images - rebuilt) ** 2).mean(axis=(1, 2, 3))  # [N]
    psnr = 10 * np.log10(255**2 / errors)
    assert report["psnr"]["value"] == pytest.approx(psnr.mean(), rel=1e-4)
    assert report["psnr"]["low"] <= report["psnr"]["value"] <= report["psnr"]["high"]
    assert report["psnr_pooled"] == pytest.approx(10 * np.log10(255**2 / errors.mean()), rel=1e-6)
    assert report["by_background"] == pytest.approx({"plain": psnr[[0, 1, 3]].mean(), "striped": psnr[2]}, rel=1e-4)
    assert {"ssim", "rfid", "code_use", "perplexity", "entropy_bits", "n"} <= set(report)
    assert "by_background" not in measured(None)
