import numpy as np
import pytest
import torch

from lib.errors import EaselError
from lib.metrics import scene_accuracy
from lib.metrics.scene_accuracy import accuracy, match, reader_quality, satisfies, summary
from lib.models.reader import Reader, ReaderConfig


def seen(shape, colour="red", x=32.0, y=32.0, **more):
    return {"shape": shape, "colour": colour, "size": "small", "texture": "solid", "x": x, "y": y, "score": 0.9} | more


def need(*objects, relation=None):
    return {
        "objects": [{"shape": shape, "colour": colour, "count": count} for shape, colour, count in objects],
        "relation": relation,
    }


RED_CIRCLE, ANY_CIRCLE, ANY_STAR = ("circle", "red", 1), ("circle", None, 1), ("star", None, 1)
LEFT = [0, "left of", 1]


@pytest.mark.parametrize(
    ("category", "detections", "requirement", "expected"),
    [
        ("single_object", [seen("circle")], need(ANY_CIRCLE), True),
        ("single_object", [seen("ring")], need(ANY_CIRCLE), False),
        ("single_object", [], need(ANY_CIRCLE), False),
        ("single_object", [seen("circle"), seen("star")], need(ANY_CIRCLE), True),
        ("two_objects", [seen("circle"), seen("star")], need(ANY_CIRCLE, ANY_STAR), True),
        ("two_objects", [seen("circle"), seen("circle")], need(ANY_CIRCLE, ANY_STAR), False),
        ("counting", [seen("circle")] * 2, need(("circle", None, 3)), False),
        ("counting", [seen("circle")] * 3, need(("circle", None, 3)), True),
        ("counting", [seen("circle")] * 4, need(("circle", None, 3)), False),
        ("counting", [seen("circle")] * 3 + [seen("star")], need(("circle", None, 3)), True),
        ("counting", [seen("circle")] * 3 + [seen("circle", "blue")], need(("circle", "red", 3)), True),
        ("single_object", [seen("circle")] * 4, need(("circle", None, 3)), True),
        ("colours", [seen("circle", "red")], need(RED_CIRCLE), True),
        ("colours", [seen("circle", "blue")], need(RED_CIRCLE), False),
        ("heldout", [seen("square", "pink")], need(("square", "pink", 1)), True),
        ("heldout", [seen("square", "red"), seen("circle", "pink")], need(("square", "pink", 1)), False),
        (
            "colour_attribution",
            [seen("circle", "red"), seen("star", "blue")],
            need(RED_CIRCLE, ("star", "blue", 1)),
            True,
        ),
        (
            "colour_attribution",
            [seen("circle", "blue"), seen("star", "red")],
            need(RED_CIRCLE, ("star", "blue", 1)),
            False,
        ),
    ],
)
def test_truth_table(category, detections, requirement, expected):
    assert satisfies(detections, requirement, category) is expected


@pytest.mark.parametrize(
    ("relation", "a", "b", "expected"),
    [
        ("left of", (20, 32), (40, 32), True),
        ("left of", (40, 32), (20, 32), False),
        ("right of", (40, 32), (20, 32), True),
        ("right of", (20, 32), (40, 32), False),
        ("above", (32, 10), (32, 40), True),
        ("above", (32, 40), (32, 10), False),
        ("below", (32, 40), (32, 10), True),
        ("below", (32, 10), (32, 40), False),
        ("left of", (30, 10), (36, 50), False),  # six pixels are too few to be "left of"
        ("left of", (30, 10), (38, 50), True),
        ("left of", (30, 10), (37.5, 50), True),  # a true eight, read half a pixel short
        ("left of", (10, 10), (40, 40), True),  # a diagonal is both left of …
        ("above", (10, 10), (40, 40), True),  # … and above
    ],
)
def test_relations_compare_centres(relation, a, b, expected):
    detections = [seen("star", x=b[0], y=b[1]), seen("circle", x=a[0], y=a[1])]
    assert satisfies(detections, need(ANY_CIRCLE, ANY_STAR, relation=[0, relation, 1]), "position") is expected


def test_any_of_several_objects_may_stand_in_the_relation():
    detections = [seen("circle", x=60), seen("circle", x=10), seen("star", x=32)]
    assert satisfies(detections, need(ANY_CIRCLE, ANY_STAR, relation=LEFT), "position")


def test_one_detection_cannot_be_two_objects():
    both = need(RED_CIRCLE, ANY_CIRCLE)
    assert not satisfies([seen("circle", "red")], both, "two_objects")
    assert satisfies([seen("circle", "red"), seen("circle", "blue")], both, "two_objects")
    # The red one has to be left for the name that needs it, whatever the order.
    assert satisfies([seen("circle", "red"), seen("circle", "blue")], need(ANY_CIRCLE, RED_CIRCLE), "two_objects")


def test_overall_is_the_mean_over_categories_not_over_pictures():
    right = np.array([True] * 9 + [False])
    report = summary(right, ["a"] * 9 + ["b"], np.random.default_rng(0), 200)
    assert report["a"] == {"value": 1.0, "low": 1.0, "high": 1.0, "n": 9}
    assert report["overall"]["value"] == 0.5 and report["overall"]["n"] == 10


def test_interval_of_overall_holds_the_value_and_narrows_with_more_pictures():
    random = np.random.default_rng(0)
    widths = []
    for count in (50, 800):
        right = random.random(2 * count) < 0.5
        overall = summary(right, ["a"] * count + ["b"] * count, random, 500)["overall"]
        assert overall["low"] < overall["value"] < overall["high"]
        widths.append(overall["high"] - overall["low"])
    assert widths[1] < widths[0] / 3


def test_accuracy_reads_pictures_and_returns_each_verdict(monkeypatch):
    readings = [{"objects": [seen("circle")], "background": "plain"}, {"objects": [], "background": "plain"}]
    monkeypatch.setattr(scene_accuracy, "read", lambda reader, images: readings)
    prompts = [{"id": str(i), "category": "single_object", "require": need(ANY_CIRCLE)} for i in range(2)]
    report, right = accuracy(None, np.zeros((2, 64, 64, 3), np.uint8), prompts, np.random.default_rng(0), 100)
    assert right.tolist() == [True, False]
    assert report["single_object"]["value"] == report["overall"]["value"] == 0.5


def test_accuracy_of_an_untrained_reader_runs():
    reader = Reader(ReaderConfig(4), torch.Generator().manual_seed(0)).eval()
    prompts = [{"id": "a", "category": "counting", "require": need(("circle", None, 2))}]
    report, right = accuracy(reader, np.zeros((1, 64, 64, 3), np.uint8), prompts, np.random.default_rng(0), 10)
    assert right.shape == (1,) and report["counting"]["n"] == 1


def test_pictures_without_prompts_and_prompts_without_requirement_are_errors():
    image = np.zeros((1, 64, 64, 3), np.uint8)
    with pytest.raises(EaselError, match="1 pictures for 0 prompts"):
        accuracy(None, image, [], np.random.default_rng(0), 10)
    with pytest.raises(EaselError, match="prompt real-1 does not say"):
        accuracy(None, image, [{"id": "real-1", "category": "x", "require": None}], np.random.default_rng(0), 10)


def test_matching_takes_the_nearest_and_each_once():
    detections = [seen("circle", x=11, y=10), seen("circle", x=13, y=10), seen("circle", x=60, y=60)]
    objects = [seen("circle", x=10, y=10), seen("circle", x=40, y=40), seen("circle", x=14, y=10)]
    assert match(detections, objects) == [(0, 0), (1, 2)]


def quality(found, true, kind="plain"):
    reading = {"objects": found, "background": "plain"}
    scene = {"objects": true, "background": {"kind": kind}}
    return reader_quality([reading], [scene], np.random.default_rng(0), 10)


def test_reader_quality_counts_what_it_says():
    true = [seen("circle", x=10, y=10), seen("star", x=40, y=10), seen("ring", x=40, y=50)]
    found = [seen("circle", x=11, y=10), seen("star", "blue", x=40, y=10), seen("heart", x=20, y=50)]
    report = {name: entry["value"] for name, entry in quality(found, true, "striped").items()}
    assert report == {
        "shape": 1.0,
        "colour": 0.5,
        "size": 1.0,
        "texture": 1.0,
        "count": 1.0,
        "background": 0.0,
        "precision": pytest.approx(2 / 3),
        "recall": pytest.approx(2 / 3),
        "picture": 0.0,
        "relation": 1.0,
    }


def test_reader_quality_sees_a_wrong_relation():
    true = [seen("circle", x=30, y=10), seen("star", x=38, y=40)]
    found = [seen("circle", x=32, y=10), seen("star", x=38, y=40)]
    assert quality(found, true)["relation"]["value"] == 0.0
    assert quality(true, true)["relation"]["value"] == 1.0
    assert quality(true, true)["picture"]["value"] == 1.0
