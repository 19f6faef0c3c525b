"""Evaluation prompts in the categories of GenEval (Ghosh et al. 2023), with what a picture must show to pass.

A seventh category, heldout, asks for shape–colour pairs that training never shows. The prompts use the grammar of the
captions; sizes and backgrounds vary the wording and are not judged.
"""

import numpy as np

from lib.errors import EaselError
from lib.scenes.captions import Group, Statement, chinese, english
from lib.scenes.kept import Kept
from lib.scenes.scene import TRAINING_PAIRS, Dice
from lib.scenes.vocabulary import BACKGROUND_COLOURS, HELDOUT_PAIRS, RELATIONS, SHAPES, SIZES

CATEGORIES = ("single_object", "two_objects", "counting", "colours", "position", "colour_attribution", "heldout")
_FOR_TWO = ("two_objects", "counting", "position", "colour_attribution")
_TRIES = 100  # draws for one new wording before the category counts as exhausted


def random_prompts(
    generator: np.random.Generator, per_category: int, max_objects: int, kept: Kept | None = None
) -> list[dict]:
    """All prompts: {"id", "category", "en", "zh", "require"}, `per_category` of each category, no text twice.

    Categories that need two objects are left out when max_objects is 1.

    Args:
        kept: the scenes that prompts may ask for; None for all.

    Raises:
        EaselError: a category does not have that many different prompts.
    """
    dice, kept = Dice(generator), kept or Kept()
    prompts, seen = [], set()
    for category in CATEGORIES:
        if max_objects < 2 and category in _FOR_TWO:
            continue
        for index in range(per_category):
            for _ in range(_TRIES):
                statement = random_prompt_statement(category, dice, max_objects)
                if statement not in seen and kept.describes(statement):
                    break
            else:
                raise EaselError(
                    f"scenes.prompts_per_category is {per_category}, but category {category} has only about {index} "
                    "different prompts: take fewer"
                )
            seen.add(statement)
            prompts.append(
                {
                    "id": f"{category}-{index:03d}",
                    "category": category,
                    "en": english(statement, dice),
                    "zh": chinese(statement, dice),
                    "require": requirement(statement),
                }
            )
    return prompts


def requirement(statement: Statement) -> dict:
    """What a picture must show for a prompt: {"objects": [{"shape", "colour", "count"}, …], "relation": [0, r, 1]}.

    `colour` is None where the prompt names none, `relation` where it states none.
    """
    objects = [{"shape": g.shape, "colour": g.colour, "count": g.count} for g in statement.groups]
    return {"objects": objects, "relation": [0, statement.relation, 1] if statement.relation else None}


def random_prompt_statement(category: str, dice: Dice, max_objects: int) -> Statement:
    """One prompt of a category, as a statement."""
    (s0, c0), (s1, c1) = dice.pick(TRAINING_PAIRS), dice.pick(TRAINING_PAIRS)
    while s1 == s0 or c1 == c0:  # two objects differ in both, so that neither can stand for the other
        s1, c1 = dice.pick(TRAINING_PAIRS)
    size = dice.pick((None, None, *SIZES))
    ground = dice.pick((None, *BACKGROUND_COLOURS))
    relation = dice.pick(RELATIONS)
    if category == "single_object":
        return Statement((Group(1, dice.pick(SHAPES), size=size),), background_colour=ground)
    if category == "two_objects":
        return Statement((Group(1, s0), Group(1, s1)), background_colour=ground)
    if category == "counting":
        count = 2 + dice.below(max_objects - 1)
        return Statement((Group(count, s0, dice.pick((None, c0))),), background_colour=ground)
    if category == "colours":
        return Statement((Group(1, s0, c0, size),), background_colour=ground)
    if category == "position":
        return Statement((Group(1, s0), Group(1, s1)), relation, background_colour=ground)
    if category == "colour_attribution":
        return Statement((Group(1, s0, c0), Group(1, s1, c1)), background_colour=ground)
    assert category == "heldout", category
    shape, colour = dice.pick(sorted(HELDOUT_PAIRS))
    return Statement((Group(1, shape, colour, size),), background_colour=ground)
