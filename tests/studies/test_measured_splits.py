"""Every stage measures on the split that its claims name: each split has a mark, and recorders see what is measured."""

from types import SimpleNamespace

import numpy as np
import pytest

from lib.data import store
from lib.data.store import Split
from lib.metrics import panel as panels
from lib.metrics.panel import Panel
from lib.pipeline.stage import Training
from lib.weights import checkpoint
from studies.dalle_mini.code import evaluate as evaluate_dalle_mini
from studies.dalle_mini.code.reports import SampleSet
from studies.glu.code import search, text_training, train_variants, training
from studies.glu.code.settings import GluSearchParams, GluTextParams, GluVariantsParams
from studies.sjd2.code import evaluate as evaluate_sjd2
from studies.sjd2.code.reports import Row
from tests.studies.glu.test_stages import SEARCH, SETTING, VARIANTS

MARKS = {"train": 11, "val": 22, "test": 33}  # of every token, pixel and caption of a split
PICTURES, SIDE = 12, 2


def split_of(values):
    """The one split from which all of these values are."""
    (mark,) = set(np.asarray(values).ravel().tolist())
    return {number: name for name, number in MARKS.items()}[mark]


# ------------------------------------------------------------------------------------------- networks of the GLU study


class Text:
    vocabulary, pad_id = 64, 0

    @staticmethod
    def encode(texts, length):
        return np.array([[int(text)] * length for text in texts])


@pytest.fixture
def glu(monkeypatch, tmp_path):
    """Runs a stage of the study without networks; returns what it trained on, watched and measured, by split."""
    seen = {"trained": [], "watched": [], "measured": []}

    def encoded(data, tokens, split, size, leave_out):
        captions = [{"en": [str(MARKS[split])]}] * PICTURES
        return np.full((PICTURES, SIDE, SIDE), MARKS[split]), captions

    def trainee(model, initial, seeds, task, recipe, held_out=None, points=0):
        seen["trained"].append(split_of(task.tokens if hasattr(task, "tokens") else task.stretches))
        if held_out is not None:
            seen["watched"].append(split_of(np.concatenate([part.ravel() for part in held_out])))
        losses = np.ones((recipe.steps, len(seeds)))
        return SimpleNamespace(average=None, losses=losses, measured=np.arange(points), curve=losses[:points])

    def evaluate(model, weights, held_out, batch_size):
        ids = np.concatenate([part.ravel() for part in held_out])
        seen["measured"].append((split_of(ids[ids < Text.vocabulary]), len(held_out[0])))  # without the marks of gaps
        return np.arange(3.0) ** len(seen["measured"])  # no two differ by the same for every seed

    def run(stage, parts):
        """Every part in this process."""
        for part in parts:
            arrays, numbers = part.work(Training(tmp_path / "x.training", "x"), **part.arguments)
            checkpoint.save(tmp_path / f"{part.name}.safetensors", arrays, numbers)
        return {part.name: tmp_path / f"{part.name}.safetensors" for part in parts}

    monkeypatch.chdir(tmp_path)
    for module in (training, text_training):
        monkeypatch.setattr(module, "use_jax_devices", lambda count: None)
        monkeypatch.setattr(module, "TextTokenizer", SimpleNamespace(load=lambda path: Text))
    monkeypatch.setattr(training, "train", lambda name, trainee, where: None)
    monkeypatch.setattr(training, "encoded_pictures", encoded)
    monkeypatch.setattr(text_training, "captions_of", lambda split, pictures: [str(MARKS[split])] * pictures)
    monkeypatch.setattr(training.paired, "create", lambda network, seeds: (None, None))
    monkeypatch.setattr(training.paired, "SeedsTrainee", trainee)
    monkeypatch.setattr(training.paired, "evaluate", evaluate)
    monkeypatch.setattr(train_variants, "chosen_rate", lambda task: 0.1)
    monkeypatch.setattr(train_variants.parts, "run", run)
    codes = SimpleNamespace(codes=64, leave_out=(), stride=32)
    params = SimpleNamespace(
        seed=0,
        threads=1,
        text=SimpleNamespace(length=4),
        encode=SimpleNamespace(pictures=9),
        tokenizer=SimpleNamespace(coarse=codes, fine=codes),
        glu_setting=SETTING,
        glu_variants=GluVariantsParams(**VARIANTS),
        glu_search=GluSearchParams(**SEARCH),
        glu_text=GluTextParams(seeds=3, steps=4, length=9, masked=0.3, span=3.0, stretches=3),
    )
    return params, seen


def test_blocks_are_trained_watched_and_measured_on_three_splits(glu):
    params, seen = glu
    train_variants.run(params)
    trainings = 2 * len(params.glu_variants.variants) + 2  # on two kinds of tokens, and two blocks for a shorter time
    assert seen["trained"] == ["train"] * trainings and seen["watched"] == ["val"] * trainings
    assert seen["measured"] == [("test", params.glu_variants.pictures)] * trainings


def test_the_search_never_reads_the_test_split(glu):
    params, seen = glu
    search.run(params)
    assert seen["trained"] == ["train"] * 3 * 2 * 2 and not seen["watched"]  # tasks, blocks, rates
    assert seen["measured"] == [("val", 2)] * len(seen["trained"])  # as many as SEARCH says, of pictures and stretches


# ------------------------------------------------------------------------------------------------- judges of pictures


@pytest.fixture
def data(tmp_path, monkeypatch):
    """A data folder in which every picture is its split's mark and its own number."""
    monkeypatch.chdir(tmp_path)
    for name, mark in MARKS.items():
        images = np.zeros((PICTURES, 64, 64, 3), np.uint8)
        images[..., 0], images[..., 1] = mark, np.arange(PICTURES)[:, None, None]
        store.write_split("data", name, {64: images}, [{"en": [str(mark)]}] * PICTURES)
    store.write_prompts("data", [])
    store.write_meta("data", "scenes", ["en"], has_truth=False)
    return tmp_path


@pytest.fixture
def compared(monkeypatch):
    """What FID and KID compare with: the real pictures of every call."""
    calls = []

    def distance(real, drawn, *_):
        calls.append(np.array(real))
        return {name: {"value": 0.0, "low": 0.0, "high": 0.0} for name in ("fid", "kid")}

    monkeypatch.setattr(panels.image_distance, "distance", distance)
    monkeypatch.setattr(panels, "clip_judges", lambda evaluation: {})
    monkeypatch.setattr(panels, "feature_extractors", lambda evaluation: {"": None})
    monkeypatch.setattr(panels, "FEWEST", 1)
    return calls


EVALUATION = SimpleNamespace(bootstrap=2, pictures=9)
ABOUT = SampleSet(name="x", model="both", language="en", guidance=1.0, ids=[])


@pytest.mark.parametrize("numbers", [[7, 2, 9, 0], [0, 1, 2, 3], [11, 11, 5, 6]])
def test_distances_are_to_the_pictures_of_the_captions(data, compared, monkeypatch, numbers):
    panel = Panel(EVALUATION, 0)
    about = ABOUT.model_copy(update={"ids": [f"{number}" for number in numbers]})
    found = evaluate_dalle_mini.distances(panel, np.zeros((4, 1, 64, 64, 3), np.uint8), about)
    rows = [Row(id=f"test-{number}", kind="caption", picture=number, text="x") for number in numbers]
    monkeypatch.setattr(evaluate_sjd2.vqgan, "decode_batches", lambda _, tokens: np.zeros((len(tokens), 64, 64, 3)))
    easel = evaluate_sjd2.Easel.__new__(evaluate_sjd2.Easel)
    easel.panel, easel.painter = panel, None
    evaluate_sjd2.quality(easel, np.zeros((3, 4, SIDE, SIDE)), rows, whole=True)
    assert found["pictures_in_fid"] == 4 and len(compared) == 2
    for real in compared:
        assert split_of(real[..., 0]) == "test"
        assert real[:, 0, 0, 1].tolist() == numbers


def test_reconstructions_are_of_the_test_split(data, compared, monkeypatch):
    read = []
    monkeypatch.setattr(evaluate_dalle_mini.vqgan, "encode_batches", lambda tokenizer, images: images)
    monkeypatch.setattr(evaluate_dalle_mini.vqgan, "decode_batches", lambda tokenizer, images: images)
    monkeypatch.setattr(panels.reader, "read", lambda network, images: read.append(images))
    monkeypatch.setattr(evaluate_dalle_mini, "reader_quality", lambda *_: {})
    monkeypatch.setattr(Split, "scenes", [None] * PICTURES)
    panel = Panel(EVALUATION, 0)
    panel.reader = 1
    evaluate_dalle_mini.reconstructions(panel, None, (), EVALUATION.pictures)
    assert split_of(read[0][..., 0]) == "test" and len(read[0]) == EVALUATION.pictures


# ------------------------------------------------------------------------------------------------------ who judges


@pytest.mark.parametrize("liked", ["right", "wrong", "neither"])
def test_the_ranked_picture_is_judged_not_the_best_that_there_was(monkeypatch, liked):
    """CLIP likes the right pictures, the wrong ones or all alike; a perfect ranker always finds a right one."""
    prompts, seeds, candidates = 3, 5, 4
    right = np.zeros((prompts, seeds * candidates), bool)
    right[:, 1::candidates] = True  # the second candidate of every seed
    drawn = np.where(right[..., None, None, None], 255, 0).astype(np.uint8).repeat(3, axis=-1)
    scores = {"right": right, "wrong": ~right, "neither": np.zeros_like(right)}[liked].astype(float).ravel()
    panel = Panel.__new__(Panel)
    panel.resamples, panel.seed, panel.clips, panel.reader = 50, 0, {"clip_score": None}, 1
    panel.prompts = {str(n): {"id": str(n), "category": "c", "en": "any"} for n in range(prompts)}
    monkeypatch.setattr(panels.clip_score, "clip_score", lambda *_: ({}, scores))
    monkeypatch.setattr(panels.reader, "read", lambda _, flat: flat)
    monkeypatch.setattr(evaluate_dalle_mini, "exactly", lambda readings, _: readings[:, 0, 0, 0] == 255)
    about = ABOUT.model_copy(update={"ids": list(panel.prompts)})
    report, _ = evaluate_dalle_mini.ranking(panel, drawn, about, seeds)
    assert report.curve[-1].oracle.value == 1.0
    expected = {"right": 1.0, "wrong": 0.0, "neither": 0.0}[liked]  # of equal ones the first, which is wrong
    assert report.curve[-1].ranked.value == expected
    assert report.accuracy.treatment == [expected] * seeds
    assert report.accuracy.baseline == pytest.approx([1 / candidates] * seeds)
