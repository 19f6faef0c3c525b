"""Encoded pictures with their captions."""

import numpy as np
import pytest

from lib.data import store
from lib.data.encoded import chosen_languages, encoded_pictures, encoded_splits
from lib.errors import EaselError


def test_tokens_and_captions_belong_together(tmp_path):
    kinds = ["plain", "speckled", "striped", "plain"]
    captions = [{"zh": ["天"], "en": [letter]} for letter in "abcd"]
    images = {64: np.zeros((4, 64, 64, 3), np.uint8)}
    scenes = [{"background": {"kind": kind}} for kind in kinds]
    store.write_split(tmp_path, "train", images, captions, scenes)
    tokens = tmp_path / "tokens"
    tokens.mkdir()
    grids = np.arange(3)[:, None, None].repeat(2, 1).repeat(2, 2).astype(np.uint16)
    np.save(tokens / "train_128.npy", grids)  # the first three pictures alone

    found, texts = encoded_pictures(tmp_path, tokens, "train", 128, ["speckled"])
    assert found[:, 0, 0].tolist() == [0, 2] and found.shape == (2, 2, 2)
    assert texts == [{"zh": ["天"], "en": ["a"]}, {"zh": ["天"], "en": ["c"]}]
    assert len(encoded_pictures(tmp_path, tokens, "train", 128, [])[0]) == 3

    def encode(texts):
        return [[ord(text[0]) if text else 0] for text in texts]

    store.write_meta(tmp_path, "scenes", ["en", "zh"], has_truth=True)
    split = encoded_splits(tmp_path, tokens, ["train"], 128, ["speckled"], ["en"], encode)
    assert split["train"].tokens.tolist() == [[0] * 4, [2] * 4] and split["train"].grid == (2, 2)
    assert split["train"].captions.first().tolist() == [[ord("a")], [ord("c")]]
    with pytest.raises(EaselError, match=r"train_64\.npy does not exist; run `dvc repro`"):
        encoded_pictures(tmp_path, tokens, "train", 64, [])


def test_captions_are_in_the_languages_named_or_in_all():
    assert chosen_languages(["zh"], ["en", "zh"]) == ["zh"]
    assert chosen_languages([], ["en", "zh"]) == ["en", "zh"]
    with pytest.raises(EaselError, match=r"asks for captions in de, but they are in en, zh; name some of these"):
        chosen_languages(["en", "de"], ["en", "zh"])
