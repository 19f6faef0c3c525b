"""Pictures by a short and by a long caption: what drawing gains or loses where a caption says more than what is asked
for (Muse, arXiv:2301.00704, figure 6, has prompts of many details; Kolors was trained on long captions)."""

from collections.abc import Mapping, Sequence

from lib.scenes.asked import asked

WORDINGS = {"short": 0, "long": -1}  # of a picture's captions, which say more and more


def worded(captions: Sequence[Mapping[str, Sequence[str]]], language: str, most: int) -> tuple[list[int], dict]:
    """The first pictures, `most` of them, whose shortest and whose longest caption ask in English for the same objects.

    Args:
        captions: of every picture, by language.

    Returns:
        their numbers; by the wording, "short" and "long", a caption of each in `language`.
    """
    ends = [(own["en"][0], own["en"][-1]) for own in captions]
    same = [number for number, (short, long) in enumerate(ends) if asked(short) == asked(long)]
    chosen = same[:most]
    return chosen, {name: [captions[number][language][at] for number in chosen] for name, at in WORDINGS.items()}


def requirements(captions: Sequence[str]) -> list[dict]:
    """What pictures must show and nothing else, as `lib.metrics.exact_scene` takes it, of English captions."""
    return [{"category": "picture", "require": asked(caption)} for caption in captions]
