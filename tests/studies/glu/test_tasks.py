import math

import numpy as np
import pytest

from lib.data.captions import Captions
from lib.errors import EaselError
from studies.glu.code.tasks import ImageTask, SpanTask, compressed_nats, stretches, unigram_entropy

VOCABULARY = 50


def rng(seed=0):
    return np.random.default_rng(seed)


def span_task(length=20, masked=0.3, span=3.0):
    return SpanTask(np.arange(2 * length).reshape(2, length), VOCABULARY, masked, span)


def filled(inputs, targets):
    """The text that inputs and targets together tell, and the marks in the order in which they stand."""
    gaps, mark = {}, None
    for token in targets.tolist():
        if token >= VOCABULARY:
            mark = token
            gaps[mark] = []
        else:
            gaps[mark].append(token)
    text = [t for token in inputs.tolist() for t in (gaps[token] if token >= VOCABULARY else [token])]
    return text, [token for token in inputs.tolist() if token >= VOCABULARY], gaps


def test_inputs_and_targets_together_are_the_text():
    task = span_task()
    for seed in range(20):
        for number, (inputs, targets) in enumerate(zip(*task.draw(np.array([0, 1]), rng(seed)), strict=True)):
            text, marks, gaps = filled(inputs, targets)
            assert text == task.stretches[number].tolist()
            assert marks == list(gaps) == [50, 51] and all(gaps.values())
            assert inputs[0] < VOCABULARY, "a text starts with text"


def test_counts_are_those_of_t5():
    task = SpanTask(np.zeros((1, 512), int), VOCABULARY, 0.15, 3.0)
    inputs, targets = task.draw(np.array([0]), rng())
    assert (task.noise, task.gaps) == (77, 26)
    assert inputs.shape == (1, 512 - 77 + 26) == (1, task.input_length)
    assert targets.shape == (1, 77 + 26) == (1, task.target_length)
    assert task.ids == VOCABULARY + 26 and targets.max() == task.ids - 1
    assert inputs.dtype == targets.dtype == np.int32


def test_gaps_move_with_the_generator_and_only_with_it():
    task = span_task()
    first, again, other = (task.draw(np.array([0]), rng(seed))[0].tolist() for seed in (1, 1, 2))
    assert first == again != other
    assert np.array_equal(task.held_out(2, seed=5)[1], task.held_out(9, seed=5)[1])


def test_a_stretch_that_would_be_all_gaps_is_refused():
    with pytest.raises(EaselError, match="of 4 tokens, 3 in 2 gaps leave nothing"):
        SpanTask(np.zeros((1, 4), int), VOCABULARY, 0.75, 1.5)


def test_captions_are_laid_end_to_end_without_padding():
    ids = np.array([[1, 2, 0, 0], [3, 4, 5, 0], [6, 7, 0, 0]])
    assert stretches(ids, padding=0, length=3).tolist() == [[1, 2, 3], [4, 5, 6]]
    with pytest.raises(EaselError, match="7 tokens, fewer than one stretch of 8"):
        stretches(ids, padding=0, length=8)


def test_entropies_of_known_texts():
    assert unigram_entropy(np.array([1, 1, 2, 2])) == pytest.approx(math.log(2))
    assert unigram_entropy(np.array([4, 4])) == 0
    letters = rng().integers(0, 16, 20_000)
    random = ["".join("abcdefghijklmnop"[letter] for letter in letters)]
    assert compressed_nats(random, 20_000) == pytest.approx(math.log(16), rel=0.15)
    assert compressed_nats(["a" * 20_000], 20_000) < 0.1


def test_pictures_come_with_one_of_their_captions():
    captions = Captions(
        [{"en": ["a"]}, {"en": ["b"]}], lambda texts: np.array([[len(t), ord(t or "z")] for t in texts])
    )
    task = ImageTask(captions, np.array([[1, 2], [3, 4]], np.uint16))
    inputs, targets = task.draw(np.array([1, 0]), rng())
    assert inputs[:, 1].tolist() == [ord("b"), ord("a")] and targets.tolist() == [[3, 4], [1, 2]]
    assert targets.dtype == np.int32 and len(task) == 2
    assert task.held_out(1)[1].tolist() == [[1, 2]]
    with pytest.raises(EaselError, match="2 pictures have captions, but 1 have tokens"):
        ImageTask(captions, np.zeros((1, 2)))
