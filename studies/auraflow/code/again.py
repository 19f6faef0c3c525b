"""Test pictures that are drawn anew: from a caption that says little, from one that says all, from keywords, and, by
models that fill gaps, with everything but their middle given, or nothing but their middle."""

from lib.data.prompts import CAPTION_ITEMS
from lib.data.store import Split
from lib.metrics.drawings import Settings
from lib.pipeline.parts import Part
from lib.scenes.keywords import keywords
from lib.scenes.scene import Scene
from lib.scenes.wordings import worded
from studies.auraflow.code.drawing_parts import drawing_part
from studies.auraflow.code.material import folder
from studies.auraflow.code.reports import Again
from studies.auraflow.code.settings import FILLING, Params, seeds_of

HOLES = {"inpainted": "middle", "outpainted": "rim"}  # way → what is drawn anew


def ways(params: Params, test: Split, language: str) -> dict[str, Again]:
    """What is drawn anew; nothing where nobody knows what the pictures show."""
    if test.scenes is None:
        return {}
    settings, trainings = params.auraflow_drawing, params.auraflow_trainings
    chosen, wordings = worded(test.captions, language, settings.worded)
    asked = [own[language][-1] for own in (test.captions[number] for number in chosen)]
    wordings["keywords"] = [keywords(Scene.from_json(test.scenes[number])) for number in chosen]
    found = {
        wording: Again(pictures=chosen, captions=captions, asked=asked, trainings=list(trainings))
        for wording, captions in wordings.items()
    }
    filling = [name for name, one in trainings.items() if one.model in FILLING]
    captions = [own[language][-1] for own in test.captions[: settings.filled]]
    filled = Again(pictures=list(range(len(captions))), captions=captions, asked=captions, trainings=filling)
    return found | dict.fromkeys(HOLES, filled)


def drawn_again(params: Params, found: Settings, planned: dict[str, Again]) -> dict[tuple[str, str, int], Part]:
    """The parts, by the way, the training and the seed; with the settings that are best for the training."""
    listed = {}
    for way, one in planned.items():
        items = [CAPTION_ITEMS + number for number in one.pictures]
        own = {"kept": {"pictures": one.pictures, "hole": HOLES[way]}} if way in HOLES else {}
        for name in one.trainings:
            for seed in seeds_of(params, name):
                title, model, sampling = f"{name}, {way}, {seed}", folder(name, seed), found.models[name].best.sampling
                listed[way, name, seed] = drawing_part(params, title, model, seed, one.captions, items, sampling, **own)
    return listed
