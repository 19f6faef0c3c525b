"""What a caption says (`Statement`), when that is true of a scene, and how it is put into English and Chinese.

A caption is never written from the scene directly: a statement is drawn first, and the words only put it into a
language, so that truth is a property of the structure. A statement names every object of its picture, perhaps
without all attributes, and its counts are exact: "a star" stands for exactly one star.
"""

from dataclasses import dataclass, replace

from lib.scenes.scene import Dice, Object, Scene, clear_relation, relation_holds


@dataclass(frozen=True)
class Group:
    """`count` objects of one shape that share the attributes given; None leaves an attribute unsaid."""

    count: int
    shape: str
    colour: str | None = None
    size: str | None = None
    texture: str | None = None

    def matches(self, o: Object) -> bool:
        """Whether the object fits the description."""
        said = ((self.shape, o.shape), (self.colour, o.colour), (self.size, o.size), (self.texture, o.texture))
        return all(word is None or word == value for word, value in said)


@dataclass(frozen=True)
class Statement:
    """Groups that together are all objects; `relation` is that of groups[0] to groups[1], the only two then."""

    groups: tuple[Group, ...]
    relation: str | None = None
    background_kind: str | None = None
    background_colour: str | None = None

    def holds(self, scene: Scene) -> bool:
        """Whether the statement is true of a scene and complete: exact counts, no object unnamed or named twice."""
        members = [[o for o in scene.objects if g.matches(o)] for g in self.groups]
        if any(len(m) != g.count for m, g in zip(members, self.groups, strict=True)):
            return False
        if {o for m in members for o in m} != set(scene.objects) or sum(map(len, members)) != len(scene.objects):
            return False
        if self.background_kind not in (None, scene.background.kind):
            return False
        if self.background_colour not in (None, scene.background.colour):
            return False
        return self.relation is None or all(
            relation_holds((a.x, a.y), self.relation, (b.x, b.y)) for a in members[0] for b in members[1]
        )


# ------------------------------------------------------------------------------------------- scene → statements


def random_statements(scene: Scene, dice: Dice) -> tuple[Statement, Statement, Statement]:
    """Three true statements about a scene: terse, medium and full."""
    pairs = _parts(scene, coloured=True)
    shapes = _parts(scene, coloured=False)
    terse = _state(scene, pairs if dice.below(3) else shapes, dice, relation=dice.below(2))
    medium = _state(
        scene,
        pairs if dice.below(5) else shapes,
        dice,
        relation=dice.below(4),
        size=not dice.below(3),
        texture=not dice.below(3),
        background=dice.below(2),
    )
    full = _state(scene, pairs, dice, relation=dice.below(8), size=True, texture=True, background=2)
    return terse, medium, full


def _parts(scene: Scene, coloured: bool) -> list[tuple[Group, list[Object]]]:
    """The objects by shape, or by shape and colour, each part with the shortest description that singles it out."""
    members: dict[tuple[str, str | None], list[Object]] = {}
    for o in scene.objects:
        members.setdefault((o.shape, o.colour if coloured else None), []).append(o)
    return [(Group(len(part), shape, colour), part) for (shape, colour), part in members.items()]


def _state(scene: Scene, parts, dice: Dice, relation=0, size=False, texture=False, background=0) -> Statement:
    """Adds to the parts' descriptions what the flags ask for, where all members of a part share it.

    background: 0 not said, 1 its colour or its kind or both, 2 both.
    """
    first = dice.below(len(parts))
    parts = parts[first:] + parts[:first]
    if len(parts) > 2 and size and texture:  # one of the two is enough: captions stay within a short context
        size, texture = dice.pick(((True, False), (False, True)))
    groups = []
    for group, members in parts:
        said = {}
        if size and len({o.size for o in members}) == 1:
            said["size"] = members[0].size
        # A plain surface is rarely worth a word.
        if texture and len({o.texture for o in members}) == 1 and (members[0].texture != "solid" or not dice.below(3)):
            said["texture"] = members[0].texture
        groups.append(replace(group, **said))
    said = {}
    if relation and len(parts) == 2:
        stated = {clear_relation(a, b) for a in parts[0][1] for b in parts[1][1]}
        said["relation"] = stated.pop() if len(stated) == 1 else None
    if background:
        what = 2 if background == 2 else dice.below(3)
        said["background_colour"] = scene.background.colour if what != 1 else None
        said["background_kind"] = scene.background.kind if what != 0 else None
    return Statement(tuple(groups), **said)


# ---------------------------------------------------------------------------------------------------- English

_NUMBERS = {2: "two", 3: "three", 4: "four"}
_PLURALS = {"cross": "crosses"}
_RELATIONS = {
    "left of": ("to the left of", "left of"),
    "right of": ("to the right of", "right of"),
    "above": ("above", "over"),
    "below": ("below", "under"),
}


def english(statement: Statement, dice: Dice) -> str:
    """The statement in English, in one of several wordings."""
    order = dice.below(2)
    phrases = [_english_group(g, order) for g in statement.groups]
    if statement.relation:
        body = f"{phrases[0]} {dice.pick(_RELATIONS[statement.relation])} {phrases[1]}"
    else:
        body = _listed(phrases, ", ", " and ")
    ground = _english_background(statement, dice.below(2))
    if len(phrases) > 2:
        return f"{body} on {ground}" if ground else body
    there = "there is" if statement.groups[0].count == 1 else "there are"
    if ground:
        forms = (f"{body} on {ground}", f"a picture of {body} on {ground}", f"on {ground} {there} {body}")
    else:
        forms = (body, f"a picture of {body}", f"{there} {body}")
    return forms[max(dice.below(4) - 1, 0)]  # the bare form half of the time


def _english_group(g: Group, order: int) -> str:
    # "a red striped star" and "a striped red star" both read well; "red solid" does not.
    words = [g.texture, g.colour] if order or g.texture == "solid" else [g.colour, g.texture]
    noun = g.shape if g.count == 1 else _PLURALS.get(g.shape, g.shape + "s")
    phrase = " ".join(word for word in (g.size, *words, noun) if word)
    return f"{_NUMBERS[g.count]} {phrase}" if g.count > 1 else _with_article(phrase)


def _english_background(statement: Statement, order: int) -> str | None:
    kind, colour = statement.background_kind, statement.background_colour
    if not kind and not colour:
        return None
    words = [colour, kind] if order and kind != "plain" else [kind, colour]
    return _with_article(" ".join(word for word in (*words, "background") if word))


def _with_article(phrase: str) -> str:
    """ "a" or "an": in this vocabulary the first letter decides."""
    return f"{'an' if phrase[0] in 'aeiou' else 'a'} {phrase}"


def _listed(phrases: list[str], comma: str, last: str) -> str:
    return last.join([comma.join(phrases[:-1]), phrases[-1]]) if len(phrases) > 1 else phrases[0]


# ---------------------------------------------------------------------------------------------------- Chinese

ZH_NUMBERS = {1: "一", 2: "两", 3: "三", 4: "四"}
# Each noun with its measure word.
ZH_SHAPES = {
    "circle": ("个", "圆形"),
    "square": ("个", "正方形"),
    "triangle": ("个", "三角形"),
    "diamond": ("个", "菱形"),
    "star": ("颗", "星星"),
    "cross": ("个", "十字形"),
    "ring": ("个", "圆环"),
    "heart": ("颗", "爱心"),
}
ZH_COLOURS = {
    "red": "红色",
    "orange": "橙色",
    "yellow": "黄色",
    "green": "绿色",
    "cyan": "青色",
    "blue": "蓝色",
    "purple": "紫色",
    "pink": "粉色",
}
ZH_SIZES = {"small": "小", "medium": "中等大小的", "large": "大"}
ZH_TEXTURES = {"solid": "纯色的", "striped": "带条纹的", "dotted": "带圆点的"}
ZH_BACKGROUNDS = {"plain": "纯色", "gradient": "渐变", "striped": "条纹", "speckled": "噪点"}
ZH_BACKGROUND_COLOURS = {"white": "白色", "grey": "灰色", "black": "黑色", "beige": "米色", "brown": "棕色"}
ZH_RELATIONS = {
    "left of": ("左边", "左侧"),
    "right of": ("右边", "右侧"),
    "above": ("上方", "上面"),
    "below": ("下方", "下面"),
}


def chinese(statement: Statement, dice: Dice) -> str:
    """The statement in Chinese, in one of several wordings."""
    particle = dice.below(2)
    phrases = [_chinese_group(g, particle) for g in statement.groups]
    ground = _chinese_background(statement)
    form = max(dice.below(4) - 1, 0)  # the bare form half of the time
    if statement.relation:
        side = dice.pick(ZH_RELATIONS[statement.relation])
        # "A is on the left of B" or "on the left of B there is A".
        body = f"{phrases[1]}的{side}有{phrases[0]}" if form == 1 else f"{phrases[0]}在{phrases[1]}的{side}"
        return f"{ground}背景上，{body}" if ground else body
    body = _listed(phrases, "、", "和")
    if ground:
        return (f"{ground}背景上的{body}", f"{ground}背景上有{body}", f"{body}，{ground}背景")[form]
    return (body, f"图中有{body}", f"画面上有{body}")[form]


def _chinese_background(statement: Statement) -> str:
    kind, colour = statement.background_kind, ZH_BACKGROUND_COLOURS.get(statement.background_colour, "")
    if kind == "plain" and colour:
        return "纯" + colour
    return colour + ZH_BACKGROUNDS.get(kind, "")


def _chinese_group(g: Group, particle: int) -> str:
    measure, noun = ZH_SHAPES[g.shape]
    medium = ZH_SIZES["medium"] if g.size == "medium" else ""
    size = ZH_SIZES[g.size] if g.size in ("small", "large") else ""
    texture = ZH_TEXTURES.get(g.texture, "")
    colour = ZH_COLOURS.get(g.colour, "")
    # "红色的星星" or "红色星星"; without the particle after another 的, which would pile up.
    if colour and particle and not (medium or texture):
        colour += "的"
    return f"{ZH_NUMBERS[g.count]}{measure}{medium}{texture}{colour}{size}{noun}"
