"""What a caption asks for, read from its words: the same as from the statement that they were made of."""

import pytest
from scene_examples import dice, scenes

from lib.errors import EaselError
from lib.scenes.asked import asked
from lib.scenes.captions import english, random_statements
from lib.scenes.prompts import CATEGORIES, random_prompt_statement, requirement


def test_captions_ask_for_what_their_statements_say():
    for number, scene in enumerate(scenes(300)):
        for statement in random_statements(scene, dice(number)):
            caption = english(statement, dice(number + 1))
            assert asked(caption) == requirement(statement), caption


@pytest.mark.parametrize("category", CATEGORIES)
def test_prompts_ask_for_what_their_statements_say(category):
    for number in range(100):
        statement = random_prompt_statement(category, dice(number), max_objects=4)
        prompt = english(statement, dice(number + 1))
        assert asked(prompt) == requirement(statement), prompt


@pytest.mark.parametrize("text", ["", "a picture of nothing", "on a white background", "一个红色的圆形"])
def test_what_names_no_object_is_refused(text):
    with pytest.raises(EaselError, match="names no objects"):
        asked(text)
