"""Parts of Scenes that a study draws for itself, and their tokens."""

from pathlib import Path

import numpy as np
import pytest
import torch

from lib.data import store
from lib.errors import EaselError
from lib.models import vqgan
from lib.models.vqgan import VQGAN
from lib.pipeline import parts
from lib.pipeline.own_pictures import encodings, folders, left_out, make_parts
from tests import house

WHERE = Path("build/mine")
ONE = {"train": 6, "val": 2, "test": 3, "heldout": 1, "large": 4, "max_objects": 1, "backgrounds": {"plain": 1}}
TOKENIZERS = {"one": ["coarse"], "two": ["coarse", "fine"]}


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """Two tokenizers of a few weights; settings of drawn data."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(parts, "PARTS", tmp_path / "parts")
    weights = torch.Generator().manual_seed(0)
    for name, stride in (("coarse", 16), ("fine", 8)):
        network = VQGAN(8, 6, 4, 0.9, stride, weights)
        network.quantizer.codebook.copy_(torch.randn(6, 4, generator=weights))
        vqgan.save(network, Path("build/tokenizer") / name)
    return house.params("", "smoke", {"threads": 1})


def test_parts_are_drawn_and_encoded_by_their_tokenizers(workplace):
    two = ONE | {"train": 5, "large": 0}
    make_parts("mine/make", workplace, WHERE, {"one": ONE, "two": two}, TOKENIZERS, ("train", "test"))
    files = {str(path.relative_to(WHERE)) for path in WHERE.glob("*/tokens/*/*.npy")}
    expected = {f"one/tokens/coarse/{split}_{size}.npy" for split in ("train", "test") for size in (64, 128)}
    assert files == expected | {
        f"two/tokens/{tokenizer}/{split}_64.npy" for tokenizer in ("coarse", "fine") for split in ("train", "test")
    }
    own = folders(WHERE, "one", "coarse")
    images = store.Split.open(own.data, "train").images(128)
    tokens = np.load(own.tokens / "train_128.npy")
    assert tokens.shape == (4, 8, 8) and tokens.dtype == np.uint16
    network = vqgan.load(Path("build/tokenizer/coarse"))
    np.testing.assert_array_equal(tokens, vqgan.encode_batches(network, images))
    make_parts("mine/make", workplace, WHERE, {"one": ONE}, TOKENIZERS, ("test",))
    assert not (WHERE / "two").exists() and not (WHERE / "one/tokens/coarse/train_64.npy").exists()


def test_of_data_that_are_not_drawn_every_part_is_all(workplace):
    images = {64: np.zeros((3, 64, 64, 3), np.uint8)}
    for split in ("train", "test"):
        store.write_split("data", split, images, [{"en": ["a star"]}] * 3)
    store.write_meta("data", "coco", ["en"], has_truth=False)
    Path("data/MANIFEST.sha256").write_text("x")
    Path("photos").mkdir()
    given = house.params("", "smoke", {"threads": 1, "data": {"source": "coco", "path": "photos"}})
    make_parts("mine/make", given, WHERE, {"one": ONE, "two": ONE}, TOKENIZERS, ("train", "test"))
    assert folders(WHERE, "one", "coarse") == folders(WHERE, "two", "coarse")
    assert folders(WHERE, "one", "coarse").data == Path("data")
    assert np.load(WHERE / "tokens/coarse/test_64.npy").shape == (3, 4, 4)
    assert np.load(WHERE / "tokens/fine/test_64.npy").shape == (3, 8, 8)


def test_grounds_that_a_tokenizer_does_not_know_are_refused_before_anything_is_drawn(workplace):
    assert left_out(workplace, ["fine"]) == [] and left_out(workplace, ["fine", "coarse"]) == ["gradient", "speckled"]
    shaded = ONE | {"backgrounds": {"gradient": 1}}
    with pytest.raises(EaselError, match="backgrounds has gradient"):
        make_parts("mine/make", workplace, WHERE, {"one": ONE, "two": shaded}, TOKENIZERS, ("test",))
    assert not WHERE.exists()


def test_an_encoding_is_known_by_what_it_reads(workplace):
    store.write_split("data", "test", {64: np.zeros((2, 64, 64, 3), np.uint8)}, [{"en": ["a star"]}] * 2)
    ((path, part),) = encodings(folders(WHERE, "one", "fine"), "fine", ["test"])
    assert path == WHERE / "tokens/fine/test_64.npy"
    assert {str(one) for one in part.inputs} == {"data/MANIFEST.sha256", "build/tokenizer/fine"}
