"""Strips of pictures that a run keeps for figures and pages, judged one by one by the scene reader."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from lib.errors import EaselError
from lib.evidence.shown import Prompt, Shown
from lib.evidence.strips import read_strip
from lib.metrics.exact_scene import exactly
from lib.models import reader
from lib.scenes.asked import asked

READER = Path("build/reader")


def judged(strips: Mapping[Path, Sequence[tuple[str, str]]]) -> Shown:
    """Whether every picture shows what its prompt asks for, and nothing else; see `lib.metrics.exact_scene`.

    Args:
        strips: file → (prompt, the same in English) in order, of each of which the strip holds equally many pictures.

    Raises:
        EaselError: the pictures of a strip cannot be shared out equally among its prompts.
    """
    judge = reader.load(READER) if (READER / "model.safetensors").is_file() else None
    pictures = {}
    for path, prompts in strips.items():
        images = read_strip(path)  # [P · n, S, S, 3]
        each = len(images) // max(1, len(prompts))
        if not each or each * len(prompts) != len(images):
            raise EaselError(f"{path} holds {len(images)} pictures, which {len(prompts)} prompts cannot share equally.")
        marks: list[list[bool | None]] = [[None] * each] * len(prompts)
        if judge is not None:
            every = [{"category": "", "require": asked(english)} for _, english in prompts for _ in range(each)]
            marks = exactly(reader.read(judge, images), every).reshape(-1, each).tolist()
        pictures[path.stem] = [
            Prompt(text=text, english=english, right=right)
            for (text, english), right in zip(prompts, marks, strict=True)
        ]
    return Shown(pictures=pictures)
