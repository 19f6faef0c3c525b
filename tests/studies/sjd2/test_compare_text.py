"""Stage sjd2/compare_text: texts as pictures of one row, and what its claim compares."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from lib.config_tree import read
from lib.errors import EaselError
from lib.evidence.report import Estimate
from lib.pipeline import parts
from studies.sjd2.code import compare_text, text
from studies.sjd2.code.reports import TextComparison
from studies.sjd2.code.settings import TextModelParams

DESCENT = {"steps": 60, "batch_size": 8, "learning_rate": 0.02, "adam_learning_rate": 0.01, "warmup": 2, "decay": 0.8}
SIZES = {"width": 32, "layers": 1, "heads": 1, "feed_forward": 64, "length": 16, "rows": 3, "measured": 4}


@pytest.fixture
def data(tmp_path, monkeypatch):
    """Captions that say one thing, and no more pictures than a data folder must have."""
    monkeypatch.chdir(tmp_path)
    for split in ("train", "test"):
        folder = tmp_path / "data" / split
        folder.mkdir(parents=True)
        (folder / "captions.jsonl").write_text(f"{json.dumps({'en': ['aé', 'bc'], 'zh': ['圆']})}\n" * 40, "utf-8")
        np.save(folder / "images_64.npy", np.zeros((40, 64, 64, 3), np.uint8))
    (tmp_path / "data/meta.json").write_text(json.dumps({"languages": ["en", "zh"]}))
    monkeypatch.setattr(parts, "run", run_here)


def run_here(stage, listed):
    """Parts in this process."""
    from lib.pipeline.stage import Training
    from lib.weights import checkpoint

    paths = {}
    for part in listed:
        path = parts.Path(f"{part.name}.safetensors")
        checkpoint.save(path, *part.work(Training(path.with_suffix(".training"), part.name), **part.arguments))
        paths[part.name] = path
    return paths


def settings(**changes):
    return TextModelParams(**SIZES, trainings=2, training=DESCENT | {"caption_dropout": 0.0}, **changes)


def test_a_text_is_cut_into_bytes_of_captions(data):
    found = compare_text.stretches(compare_text.texts_of("train", "en"), 14)
    assert bytes(found[0]).decode() == "aé\nbc\naé\nbc\n" and found.dtype == np.uint8
    assert len(found) == (40 * 7 - 1) // 14  # what is left is left out


def test_every_training_learns_the_text_and_every_decoder_draws_it(data):
    params = SimpleNamespace(
        seed_of=lambda name, number: number,
        text_model=settings(),
        autoregressive=SimpleNamespace(languages=["en"]),
    )
    compare_text.run(params)
    found = TextComparison.read(compare_text.OUT)
    assert set(found.compression) == set(text.NAMES) >= set(text.ROLES)
    assert len(found.nats.by_seed) == 2 and found.nats.by_seed[0] != found.nats.by_seed[1]
    assert found.nats.value < 1  # of ln 256 = 5.5 before
    assert all(1 <= one <= 16 for entry in found.compression.values() for one in entry.by_seed)
    assert len(found.sample.encode()) == 16 and set(found.sample) <= set("aébc\n")


def test_the_claim_compares_gains_training_by_training():
    compression = {"sjd": Estimate.of([1.1, 1.2], "text")}
    found = text.gain(SimpleNamespace(compression=compression), Estimate.of([2.0, 3.0], "pictures"))
    assert found.values == pytest.approx([0.1, 0.1])
    with pytest.raises(ValueError, match="shorter"):
        text.gain(SimpleNamespace(compression=compression), Estimate.of([2.0], "pictures"))


def test_a_share_of_captions_left_out_is_refused():
    wrong = {**SIZES, "trainings": 1, "training": DESCENT | {"caption_dropout": 0.1}}
    with pytest.raises(EaselError, match="texts have no caption"):
        read(wrong, TextModelParams, "params.yaml")
