"""What an English caption asks for: `captions.english` read backwards, for captions kept without their scene."""

import re

from lib.errors import EaselError
from lib.scenes.captions import _NUMBERS, _PLURALS, _RELATIONS  # one grammar, in one place
from lib.scenes.vocabulary import COLOURS, SHAPES

NOUNS = {shape: shape for shape in SHAPES} | {_PLURALS.get(shape, f"{shape}s"): shape for shape in SHAPES}
COUNTS = {"a": 1, "an": 1} | {word: count for count, word in _NUMBERS.items()}
RELATIONS = {words: relation for relation, wordings in _RELATIONS.items() for words in wordings}
_GROUP = re.compile(rf"\b({'|'.join(COUNTS)})\b((?: [a-z]+)*?) ({'|'.join(NOUNS)})\b")
_RELATION = re.compile(rf"\b({'|'.join(RELATIONS)})\b")
_AROUND = re.compile(r"^a picture of |\bon an? [a-z ]*background\b")


def asked(caption: str) -> dict:
    """The requirement of a caption or prompt, as `prompts.requirement` makes it of the statement behind it.

    Raises:
        EaselError: the caption names no object.
    """
    body = _AROUND.sub("", caption)
    objects = [
        {"shape": NOUNS[noun], "colour": next((one for one in words.split() if one in COLOURS), None)}
        | {"count": COUNTS[count]}
        for count, words, noun in _GROUP.findall(body)
    ]
    if not objects:
        raise EaselError(f"{caption!r} names no objects; captions do, as 'a red circle on a white background'.")
    between = _RELATION.search(body)
    return {"objects": objects, "relation": [0, RELATIONS[between[1]], 1] if between else None}
