"""Random scenes: geometry, held-out pairs, hash and split, relations, variety."""

from collections import Counter

import pytest
from scene_examples import BACKGROUNDS, scenes

from lib.scenes import vocabulary as words
from lib.scenes.scene import (
    BORDER,
    GAP,
    Background,
    Object,
    Scene,
    clear_relation,
    relation_holds,
    split_of,
)

MANY = scenes(3000)


def test_objects_stay_inside_and_apart():
    for scene in MANY + scenes(300, heldout=True):
        boxes = [o.box for o in scene.objects]
        for i, (left, top, right, bottom) in enumerate(boxes):
            assert min(left, top) >= BORDER
            assert max(right, bottom) <= words.GRID - BORDER
            for left2, top2, right2, bottom2 in boxes[:i]:
                assert max(left2 - right, left - right2, top2 - bottom, top - bottom2) >= GAP


@pytest.mark.parametrize("most", [1, 2, 3, 4])
def test_number_of_objects_covers_one_to_the_maximum(most):
    assert {len(s.objects) for s in scenes(400, max_objects=most)} == set(range(1, most + 1))


def test_heldout_pairs_only_where_asked_for():
    def has_heldout(scene):
        return any((o.shape, o.colour) in words.HELDOUT_PAIRS for o in scene.objects)

    assert not any(map(has_heldout, MANY))
    asked = scenes(400, heldout=True)
    assert all(map(has_heldout, asked))
    assert {split_of(s) for s in asked} == {"heldout"}
    assert {(o.shape, o.colour) for s in asked for o in s.objects} >= words.HELDOUT_PAIRS


def test_heldout_pairs_use_no_shape_and_no_colour_twice():
    shapes, colours = zip(*words.HELDOUT_PAIRS, strict=True)
    assert len(set(shapes)) == len(set(colours)) == len(words.HELDOUT_PAIRS)
    assert set(shapes) <= set(words.SHAPES)
    assert set(colours) <= set(words.COLOURS)


def test_every_word_and_every_category_is_common():
    objects = [o for s in MANY for o in s.objects]
    for attribute, names in (
        ("shape", words.SHAPES),
        ("colour", words.COLOURS),
        ("size", words.SIZES),
        ("texture", words.TEXTURES),
    ):
        counts = Counter(getattr(o, attribute) for o in objects)
        assert set(counts) == set(names)
        assert min(counts.values()) > 0.5 * len(objects) / len(names), counts
    assert {(s.background.kind, s.background.colour) for s in MANY} == {
        (kind, colour) for kind in words.BACKGROUNDS for colour in words.BACKGROUND_COLOURS
    }
    share = Counter()
    for s in MANY:
        pairs = Counter((o.shape, o.colour) for o in s.objects)
        share["single"] += len(s.objects) == 1
        share["two different"] += len(s.objects) == 2 and len({o.shape for o in s.objects}) == 2
        share["copies"] += len(pairs) == 1 and len(s.objects) > 1
        share["mixed"] += len(s.objects) > 2 and len(pairs) > 1
        share["related"] += len(s.objects) == 2 and clear_relation(*s.objects) is not None
    assert min(share.values()) > 0.1 * len(MANY), share
    assert {n for s in MANY for n in Counter((o.shape, o.colour) for o in s.objects).values()} == {1, 2, 3, 4}


def test_backgrounds_and_textures_follow_their_weights():
    backgrounds = {"plain": 0, "gradient": 1, "striped": 3, "speckled": 0}
    textures = {"solid": 3, "striped": 0, "dotted": 1}
    found = scenes(1000, seed=1, max_objects=1, backgrounds=backgrounds, textures=textures)
    for kinds, common, rare in (
        (Counter(s.background.kind for s in found), "striped", "gradient"),
        (Counter(s.objects[0].texture for s in found), "solid", "dotted"),
    ):
        assert set(kinds) == {common, rare}
        assert 650 < kinds[common] < 850


@pytest.mark.parametrize("lattice", [2, 3, 4, 8])
def test_centres_lie_on_the_lattice_and_everywhere_on_it(lattice):
    found = [o for s in scenes(600, lattice=lattice) for o in s.objects]
    assert all(o.x % lattice == o.y % lattice == 0 for o in found)
    for size, diameter in words.DIAMETERS.items():
        reach = range(BORDER + diameter // 2, 64 - BORDER - diameter // 2 + 1)
        assert {o.x for o in found if o.size == size} == {x for x in reach if x % lattice == 0}
        assert {o.y for o in found if o.size == size} == {y for y in reach if y % lattice == 0}


def test_json_round_trip():
    for scene in MANY[:100]:
        record = scene.to_json()
        assert record["hash"] == scene.hash
        assert Scene.from_json(record) == scene


def test_hash_ignores_order_and_noise_but_nothing_else():
    a = Object("star", "red", "small", "solid", 20, 20)
    b = Object("ring", "blue", "large", "dotted", 44, 40)
    scene = Scene((a, b), Background("speckled", "grey", None, 5))
    assert scene.hash == Scene((b, a), Background("speckled", "grey", None, 6)).hash
    others = (
        Scene((a,), scene.background),
        Scene((a, b), Background("plain", "grey")),
        Scene((a, Object("ring", "blue", "large", "dotted", 44, 42)), scene.background),
        Scene((a, Object("ring", "blue", "large", "solid", 44, 40)), scene.background),
    )
    assert len({scene.hash, *(o.hash for o in others)}) == 5


def test_split_is_a_function_of_the_content_with_a_fixed_share():
    shares = Counter(split_of(s) for s in MANY)
    assert set(shares) == {"train", "val", "test"}
    assert 0.75 < shares["train"] / len(MANY) < 0.85
    assert 0.07 < shares["val"] / len(MANY) < 0.13


@pytest.mark.parametrize(
    ("a", "relation", "b", "holds"),
    [
        ((10, 30), "left of", (40, 30), True),
        ((40, 30), "left of", (10, 30), False),
        ((40, 30), "right of", (10, 30), True),
        ((30, 10), "above", (30, 40), True),
        ((30, 40), "below", (30, 10), True),
        ((30, 10), "below", (30, 40), False),
        ((10, 10), "above", (40, 40), True),  # a diagonal counts for both directions
        ((10, 10), "left of", (40, 40), True),
        ((30, 30), "left of", (37, 30), False),  # within the margin of 8
        ((30, 30), "left of", (38, 30), True),
    ],
)
def test_relation_holds(a, relation, b, holds):
    assert relation_holds(a, relation, b) is holds


def test_clear_relation_is_along_the_longer_axis_and_its_inverse_is_consistent():
    def at(x, y):
        return Object("star", "red", "small", "solid", x, y)

    assert clear_relation(at(10, 10), at(40, 30)) == "left of"
    assert clear_relation(at(40, 30), at(10, 10)) == "right of"
    assert clear_relation(at(10, 10), at(30, 40)) == "above"
    assert clear_relation(at(30, 40), at(10, 10)) == "below"
    assert clear_relation(at(10, 10), at(40, 40)) is None


def test_no_background_hides_a_colour_and_colours_are_far_apart():
    def distance(a, b):
        return sum((x - y) ** 2 for x, y in zip(a, b, strict=True)) ** 0.5

    rgb = list(words.COLOUR_RGB.values())
    assert tuple(words.COLOUR_RGB) == words.COLOURS
    assert min(distance(a, b) for i, a in enumerate(rgb) for b in rgb[:i]) > 85
    shades = [shade for pair in words.BACKGROUND_SHADES.values() for shade in pair]
    assert min(distance(a, b) for a in rgb for b in shades) > 85
    assert BACKGROUNDS.keys() == set(words.BACKGROUNDS)
