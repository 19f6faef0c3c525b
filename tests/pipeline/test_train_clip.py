import numpy as np
import torch

from lib.config import ClipParams
from lib.models import clip as clips
from lib.models.clip import Clip, ClipConfig
from lib.pipeline.train_clip import Captions, measure, retrieval, shift, trainee
from lib.training.loop import fit
from lib.training.order import BatchOrder

CAPTIONS = [
    {"en": ["a", "bb"], "zh": ["ccc"]},
    {"en": ["dddd"], "zh": ["eeeee", "a", "bb"]},
    {"en": ["ccc"], "zh": ["dddd"]},
]
PARAMS = ClipParams(
    steps=4, batch_size=2, learning_rate=1e-2, width=4, embedding=6, text_width=8, text_layers=1, text_heads=2
)
CONFIG = ClipConfig(vocabulary=9, length=5, width=4, embedding=6, text_width=8, text_layers=1, text_heads=2)


def encode(texts):
    """A caption's id is its length, so that rows can be told apart."""
    return np.array([[1, len(text), 2, 0, 0] for text in texts])


def captions():
    return Captions(CAPTIONS, ["en", "zh"], encode)


def pictures(count=3):
    return np.random.default_rng(0).integers(0, 256, (count, 64, 64, 3), dtype=np.uint8)


def test_every_caption_of_a_picture_is_drawn_and_no_other():
    random, found = np.random.default_rng(0), [set(), set(), set()]
    for _ in range(100):
        for row, ids in enumerate(captions().draw(np.arange(3), random)):
            found[row].add(int(ids[1]))
    assert found == [{1, 2, 3}, {4, 5, 1, 2}, {3, 4}]


def test_one_language_can_be_asked_for():
    random = np.random.default_rng(0)
    drawn = {int(captions().draw(np.array([1]), random, "en")[0, 1]) for _ in range(20)}
    assert drawn == {4}


def test_shift_moves_and_repeats_the_edge():
    image = torch.arange(9.0).reshape(1, 1, 3, 3)
    assert shift(image, 0, 0).equal(image)
    assert shift(image, 1, 0)[0, 0].tolist() == [[0, 1, 2], [0, 1, 2], [3, 4, 5]]
    assert shift(image, 0, -1)[0, 0].tolist() == [[1, 2, 2], [4, 5, 5], [7, 8, 8]]


def test_retrieval_counts_hits_and_forgives_equal_captions():
    images = np.eye(12, dtype=np.float32)
    texts = images[[1, 0, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]]  # the first two are swapped
    tokens = np.arange(12)[:, None]
    hits = retrieval(images, texts, tokens)
    assert hits["text_to_image@1"].tolist() == hits["image_to_text@1"].tolist() == [False] * 2 + [True] * 10
    assert hits["text_to_image@10"].all()
    tokens[1] = tokens[0]  # the swapped captions are one and the same
    assert retrieval(images, texts, tokens)["text_to_image@1"].all()


def test_measure_reports_both_languages_with_intervals():
    model = Clip(CONFIG, torch.Generator().manual_seed(0)).eval()
    report = measure(model, pictures(), captions(), 50, 0)
    assert report["candidates"] == report["queries"] == 3
    for language in ("en", "zh"):
        assert set(report[language]) == {f"{way}@{k}" for way in ("text_to_image", "image_to_text") for k in (1, 10)}
        assert report[language]["text_to_image@10"]["value"] == 1.0  # ten of three


def test_training_lowers_the_loss_and_resumes_exactly(tmp_path):
    def learner():
        return trainee(PARAMS, 0, CONFIG, pictures(), captions())

    order = BatchOrder(3, 2, 0)
    whole, parts = learner(), learner()
    fit(whole, name="clip", steps=4, order=order, checkpoint=tmp_path / "a", fingerprint="f")
    fit(parts, name="clip", steps=2, order=order, checkpoint=tmp_path / "b", fingerprint="f")
    resumed = learner()
    fit(resumed, name="clip", steps=4, order=order, checkpoint=tmp_path / "b", fingerprint="f")
    for name, value in whole.state().items():
        np.testing.assert_array_equal(value, resumed.state()[name], err_msg=name)


def test_a_tiny_clip_learns_to_tell_three_pictures_apart(tmp_path):
    images = np.zeros((3, 64, 64, 3), np.uint8)
    images[0, :, :32], images[1, :32], images[2] = 255, 255, 128
    texts = Captions([{"en": [text]} for text in ("a", "bb", "ccc")], ["en"], encode)
    params = ClipParams(**(vars(PARAMS) | {"steps": 30, "batch_size": 3}))
    learner = trainee(params, 0, CONFIG, images, texts)
    for step in range(30):
        learner.step(step, np.arange(3))
    model = learner.model.eval()
    similarity = clips.embed_texts(model, encode(["a", "bb", "ccc"])) @ clips.embed_images(model, images).T
    assert similarity.argmax(axis=1).tolist() == similarity.argmax(axis=0).tolist() == [0, 1, 2]
