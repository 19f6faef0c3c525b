import numpy as np
import pytest
import torch

from lib.errors import EaselError
from lib.metrics.clip_score import clip_score, own_judge
from lib.models import clip as clips
from lib.models.clip import Clip, ClipConfig
from lib.text import TextTokenizer

CAPTIONS = ["a red circle", "a blue star", "红色的圆形", "a red circle", "two rings"]


@pytest.fixture(scope="module")
def tokenizer():
    return TextTokenizer.train(CAPTIONS * 2, 400)


@pytest.fixture(scope="module")
def clip(tokenizer):
    return Clip(ClipConfig(tokenizer.vocabulary, 12, 4, 6, 8, 1, 2), torch.Generator().manual_seed(0)).eval()


def pictures(count, size=64):
    return np.random.default_rng(0).integers(0, 256, (count, size, size, 3), dtype=np.uint8)


def test_score_is_a_hundred_times_the_cosine(clip, tokenizer):
    images = pictures(5)
    report, scores = clip_score(
        images, CAPTIONS, own_judge(clip, tokenizer), np.random.default_rng(0), 100, batch_size=2
    )
    texts = clips.embed_texts(clip, tokenizer.encode(CAPTIONS, 12))
    expected = 100 * (clips.embed_images(clip, images) * texts).sum(1)
    np.testing.assert_allclose(scores, expected, rtol=1e-3, atol=1e-3)
    assert report["value"] == pytest.approx(max(expected.mean(), 0), abs=1e-3)
    assert report["low"] <= report["value"] <= report["high"] and report["n"] == 5


def test_larger_pictures_are_scored_too(clip, tokenizer):
    _, scores = clip_score(pictures(2, 128), CAPTIONS[:2], own_judge(clip, tokenizer), np.random.default_rng(0), 10)
    assert np.isfinite(scores).all()


def test_numbers_must_agree(clip, tokenizer):
    with pytest.raises(EaselError, match="3 pictures for 2 captions"):
        clip_score(pictures(3), CAPTIONS[:2], own_judge(clip, tokenizer), np.random.default_rng(0), 10)
