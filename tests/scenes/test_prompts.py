"""Evaluation prompts: requirements that agree with the text, categories, errors."""

from collections import Counter

import numpy as np
import pytest
from scene_examples import dice
from test_captions import read_chinese, read_english

from lib.errors import EaselError
from lib.scenes.prompts import CATEGORIES, random_prompts, requirement
from lib.scenes.vocabulary import HELDOUT_PAIRS, RELATIONS


def prompts(per_category=40, max_objects=4, seed=3):
    return random_prompts(np.random.Generator(np.random.PCG64(seed)), per_category, max_objects)


ALL = prompts()


def test_categories_ids_and_texts():
    assert Counter(p["category"] for p in ALL) == dict.fromkeys(CATEGORIES, 40)
    assert ALL[0]["id"] == "single_object-000"
    for field in ("id", "en"):
        assert len({p[field] for p in ALL}) == len(ALL)


def test_requirements_say_what_both_texts_say():
    for p in ALL:
        assert requirement(read_english(p["en"])) == p["require"], p
        assert requirement(read_chinese(p["zh"])) == p["require"], p


def test_each_category_asks_for_its_thing():
    for p in ALL:
        objects, relation = p["require"]["objects"], p["require"]["relation"]
        colours = [o["colour"] for o in objects]
        counts = [o["count"] for o in objects]
        pairs = {(o["shape"], o["colour"]) for o in objects}
        assert (relation is not None) == (p["category"] == "position")
        assert bool(pairs & HELDOUT_PAIRS) == (p["category"] == "heldout")
        if p["category"] == "counting":
            assert len(objects) == 1 and counts[0] in (2, 3, 4)
            continue
        assert set(counts) == {1}
        two = p["category"] in ("two_objects", "position", "colour_attribution")
        assert len({o["shape"] for o in objects}) == len(objects) == (2 if two else 1)
        if p["category"] in ("single_object", "two_objects", "position"):
            assert set(colours) == {None}
        else:
            assert None not in colours and len(set(colours)) == len(objects)


def test_position_covers_all_relations_and_indices():
    stated = [p["require"]["relation"] for p in ALL if p["category"] == "position"]
    assert {(i, j) for i, _, j in stated} == {(0, 1)}
    assert {r for _, r, _ in stated} == set(RELATIONS)


def test_fewer_objects_leave_out_what_they_cannot_show():
    assert {p["category"] for p in prompts(max_objects=1)} == {"single_object", "colours", "heldout"}
    counts = {p["require"]["objects"][0]["count"] for p in prompts(max_objects=2) if p["category"] == "counting"}
    assert counts == {2}


def test_same_generator_same_prompts():
    assert prompts(5) == prompts(5)
    assert prompts(5) != prompts(5, seed=4)


def test_too_many_prompts_are_refused():
    with pytest.raises(EaselError, match="prompts_per_category is 5000, but category single_object has only about 1"):
        prompts(5000)


def test_dice_are_fair_enough():
    d = dice(0)
    counts = Counter(d.below(7) for _ in range(14000))
    assert set(counts) == set(range(7))
    assert all(abs(c - 2000) < 200 for c in counts.values())
    weighted = Counter(d.weighted({"a": 1, "b": 0, "c": 3}) for _ in range(4000))
    assert set(weighted) == {"a", "c"} and abs(weighted["c"] - 3000) < 150
