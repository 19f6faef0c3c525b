"""Captions: truth of the statements, and texts that say exactly what the statement says.

The texts are read back with a small parser of each grammar, written independently of the writers.
"""

import hashlib
from dataclasses import replace

import pytest
from scene_examples import dice, scenes

from lib.scenes import captions
from lib.scenes import vocabulary as words
from lib.scenes.captions import Group, Statement, chinese, english, random_statements
from lib.scenes.scene import Background, Object, Scene, clear_relation

SCENES = scenes(1200) + scenes(300, max_objects=2) + scenes(300, heldout=True)
STATEMENTS = [(s, t) for i, s in enumerate(SCENES) for t in random_statements(s, dice(i))]


# ------------------------------------------------------------------------------------------------- truth


def test_every_statement_is_true_of_its_scene():
    for scene, statement in STATEMENTS:
        assert statement.holds(scene), (scene, statement)


def test_relations_are_stated_along_the_longer_axis():
    stated = 0
    for scene, statement in STATEMENTS:
        if statement.relation:
            a, b = statement.groups
            stated += 1
            for p in filter(a.matches, scene.objects):
                for q in filter(b.matches, scene.objects):
                    assert clear_relation(p, q) == statement.relation
    assert stated > 500


def test_a_changed_statement_is_false():
    star = Object("star", "red", "small", "striped", 16, 20)
    ring = Object("ring", "blue", "large", "solid", 46, 24)
    scene = Scene((star, ring), Background("gradient", "grey", "vertical"))
    true = Statement((Group(1, "star", "red", "small"), Group(1, "ring", "blue")), "left of", "gradient", "grey")
    a, b = true.groups
    assert true.holds(scene)
    false = (
        replace(true, relation="right of"),
        replace(true, relation="above"),
        replace(true, background_kind="plain"),
        replace(true, background_colour="beige"),
        replace(true, groups=(replace(a, colour="pink"), b)),
        replace(true, groups=(replace(a, size="large"), b)),
        replace(true, groups=(replace(a, texture="solid"), b)),
        replace(true, groups=(replace(a, count=2), b)),
        replace(true, groups=(a,), relation=None),  # an object left unnamed
        Statement((a, replace(a, colour=None))),  # one object named twice
    )
    assert not any(s.holds(scene) for s in false)


def test_counts_are_exact_and_one_of_two_is_not_a_single_one():
    stars = tuple(Object("star", "red", "small", "solid", x, 30) for x in (12, 32, 52))
    three = Scene(stars, Background("plain", "grey"))
    assert Statement((Group(3, "star"),)).holds(three)
    assert not Statement((Group(2, "star"),)).holds(three)
    assert not Statement((Group(1, "star"),)).holds(three)
    assert not Statement((Group(4, "star"),)).holds(three)


def test_levels_go_from_terse_to_full():
    lengths = [[len(english(t, dice(0)).split()) for t in random_statements(s, dice(i))] for i, s in enumerate(SCENES)]
    terse, medium, full = (sum(column) / len(lengths) for column in zip(*lengths, strict=True))
    assert terse + 2 < medium < full - 2
    assert max(map(max, lengths)) <= 26  # words; subword models get short contexts


def test_everything_sayable_is_said_often():
    groups = [g for _, t in STATEMENTS for g in t.groups]
    assert {g.count for g in groups} == {1, 2, 3, 4}
    for attribute, names in (
        ("shape", words.SHAPES),
        ("colour", words.COLOURS),
        ("size", words.SIZES),
        ("texture", words.TEXTURES),
    ):
        said = [getattr(g, attribute) for g in groups]
        assert min(said.count(name) for name in names) > 100, attribute
    said = [t.relation for _, t in STATEMENTS]
    assert min(said.count(name) for name in words.RELATIONS) > 100
    assert {t.background_kind for _, t in STATEMENTS} == {None, *words.BACKGROUNDS}
    assert {t.background_colour for _, t in STATEMENTS} == {None, *words.BACKGROUND_COLOURS}


# ----------------------------------------------------------------------------------------------- English


@pytest.mark.parametrize(
    ("statement", "wordings"),
    [
        (Statement((Group(1, "star"),)), {"a star", "a picture of a star", "there is a star"}),
        (
            Statement((Group(1, "square", "orange"),)),
            {"an orange square", "a picture of an orange square", "there is an orange square"},
        ),
        (
            Statement((Group(3, "cross", "green"),)),
            {"three green crosses", "a picture of three green crosses", "there are three green crosses"},
        ),
        (
            Statement((Group(1, "star", "red", "small", "striped"), Group(2, "circle", "blue")), "left of"),
            {
                f"{start}a small {a} star {relation} two blue circles"
                for start in ("", "a picture of ", "there is ")
                for a in ("red striped", "striped red")
                for relation in ("to the left of", "left of")
            },
        ),
        (
            Statement((Group(1, "ring"), Group(1, "heart"), Group(2, "star")), None, "plain", "grey"),
            {"a ring, a heart and two stars on a plain grey background"},
        ),
        (
            Statement((Group(1, "ring", "cyan", None, "solid"),), None, "striped"),
            {
                "a solid cyan ring on a striped background",
                "a picture of a solid cyan ring on a striped background",
                "on a striped background there is a solid cyan ring",
            },
        ),
    ],
)
def test_english_wordings(statement, wordings):
    assert {english(statement, dice(i)) for i in range(200)} == wordings


def read_english(text: str) -> Statement:
    """Parses a caption word by word; fails on anything outside the grammar, wrong articles and plurals included."""
    tokens = text.replace(",", " ,").split()
    kind = colour = None
    if "background" in tokens:
        end = tokens.index("background")
        start = max(i for i in range(end) if tokens[i] == "on")
        assert tokens[start + 1] == "a"
        for word in tokens[start + 2 : end]:
            if word in words.BACKGROUNDS:
                assert kind is None
                kind = word
            else:
                assert word in words.BACKGROUND_COLOURS and colour is None
                colour = word
        tokens = tokens[:start] + tokens[end + 1 :]
    relation, groups, current, verb = None, [], None, None
    if tokens[:3] == ["a", "picture", "of"]:
        tokens = tokens[3:]
    elif tokens[0] == "there":
        verb, tokens = tokens[1], tokens[2:]
    numbers = {"a": 1, "an": 1, "two": 2, "three": 3, "four": 4}
    for i, word in enumerate(tokens):
        singular = "cross" if word == "crosses" else word if word == "cross" else word.removesuffix("s")
        if word in numbers:
            assert current is None
            if numbers[word] == 1:
                assert (word == "an") == (tokens[i + 1][0] in "aeiou")
            current = {"count": numbers[word]}
        elif singular in words.SHAPES:
            assert (singular != word) == (current["count"] > 1)
            groups.append(Group(shape=singular, **current))
            current = None
        elif current is not None:
            attribute = next(
                name
                for name, known in (("colour", words.COLOURS), ("size", words.SIZES), ("texture", words.TEXTURES))
                if word in known
            )
            assert attribute not in current
            current[attribute] = word
        elif word in ("left", "right", "above", "over", "below", "under"):
            assert relation is None and len(groups) == 1
            relation = {"left": "left of", "right": "right of", "over": "above", "under": "below"}.get(word, word)
        else:
            assert word in ("to", "the", "of", "and", ","), text
    assert current is None
    assert verb is None or verb == ("is" if groups[0].count == 1 else "are")
    return Statement(tuple(groups), relation, kind, colour)


def test_english_says_the_statement_and_nothing_else():
    for i, (_, statement) in enumerate(STATEMENTS):
        text = english(statement, dice(i))
        assert read_english(text) == statement, text


# ----------------------------------------------------------------------------------------------- Chinese


@pytest.mark.parametrize(
    ("statement", "wordings"),
    [
        (
            Statement((Group(1, "circle", "red"),)),
            {f"{start}一个红色{de}圆形" for start in ("", "图中有", "画面上有") for de in ("", "的")},
        ),
        (Statement((Group(3, "star"),)), {"三颗星星", "图中有三颗星星", "画面上有三颗星星"}),
        (
            Statement((Group(2, "heart", "pink", "large", "dotted"),), None, "plain", "white"),
            {
                "纯白色背景上的两颗带圆点的粉色大爱心",
                "纯白色背景上有两颗带圆点的粉色大爱心",
                "两颗带圆点的粉色大爱心，纯白色背景",
            },
        ),
        (
            Statement((Group(1, "star"), Group(1, "ring")), "above", "gradient"),
            {
                f"渐变背景上，{body}"
                for side in ("上方", "上面")
                for body in (f"一颗星星在一个圆环的{side}", f"一个圆环的{side}有一颗星星")
            },
        ),
    ],
)
def test_chinese_wordings(statement, wordings):
    assert {chinese(statement, dice(i)) for i in range(200)} == wordings


def _chinese_words() -> dict[str, tuple]:
    table = {n: ("number", k) for k, n in captions.ZH_NUMBERS.items()}
    table |= {noun: ("shape", k) for k, (_, noun) in captions.ZH_SHAPES.items()}
    table |= {w: ("colour", k) for k, w in captions.ZH_COLOURS.items()}
    table |= {w: ("size", k) for k, w in captions.ZH_SIZES.items()}
    table |= {w: ("texture", k) for k, w in captions.ZH_TEXTURES.items()}
    table |= {w + "背景": ("kind", k) for k, w in captions.ZH_BACKGROUNDS.items()}
    table |= {w: ("ground", k) for k, w in captions.ZH_BACKGROUND_COLOURS.items()}
    table |= {"纯" + w: ("plain ground", k) for k, w in captions.ZH_BACKGROUND_COLOURS.items()}
    table |= {w: ("relation", k) for k, sides in captions.ZH_RELATIONS.items() for w in sides}
    fillers = (
        "背景上",
        "背景",
        "图中有",
        "画面上有",
        "上的",
        "上有",
        "上，",
        "，",
        "、",
        "和",
        "的",
        "在",
        "有",
        "个",
        "颗",
    )
    return table | {w: ("filler", w) for w in fillers}


def read_chinese(text: str) -> Statement:
    """Parses a caption by longest match; measure words are checked against their nouns."""
    table = _chinese_words()
    found, rest = [], text
    while rest:
        word = next((rest[:n] for n in range(len(rest), 0, -1) if rest[:n] in table), None)
        assert word, (text, rest)
        found.append(table[word])
        rest = rest[len(word) :]
    kind = colour = relation = None
    groups, current, measure, relation_after_first = [], {}, None, True
    for role, value in found:
        if role == "kind":
            kind = value
        elif role == "ground":
            colour = value
        elif role == "plain ground":
            kind, colour = "plain", value
        elif role == "relation":
            relation, relation_after_first = value, len(groups) == 1
        elif role == "number":
            assert not current
            current = {"count": value}
        elif role == "shape":
            assert captions.ZH_SHAPES[value][0] == measure
            groups.append(Group(shape=value, **current))
            current = {}
        elif role in ("colour", "size", "texture"):
            assert role not in current
            current[role] = value
        elif value in ("个", "颗"):
            measure = value
    if relation and relation_after_first:
        groups.reverse()  # "to the left of B there is A"
    return Statement(tuple(groups), relation, kind, colour)


def test_chinese_says_the_statement_and_nothing_else():
    for i, (_, statement) in enumerate(STATEMENTS):
        text = chinese(statement, dice(i))
        assert read_chinese(text) == statement, text
        assert "的的" not in text


def test_texts_are_pinned():
    """A change here changes the data set: every result has to be made anew."""
    lines = [w(t, dice(i)) for i, (_, t) in enumerate(STATEMENTS[:300]) for w in (english, chinese)]
    digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    assert digest == "396961d8a932bd87843a2176567596ab12b85ee043d358c1b5ea481d4db01845"
