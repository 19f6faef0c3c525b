"""The pictures that figures and pages show, each with its prompt, and whether the scene reader found it right."""

from lib.evidence.report import Report


class Prompt(Report):
    """One prompt and its pictures."""

    text: str
    """in the language that the pictures were drawn from"""
    english: str
    right: list[bool | None]
    """of every picture, in order: what is asked for, and nothing else; None where there is no scene reader"""


class Shown(Report):
    """results/<profile>/<study>_shown.json"""

    pictures: dict[str, list[Prompt]]
    """of every strip, by its name without suffix"""

    def marks(self, name: str) -> list[bool | None]:
        """Of every picture of a strip, in order."""
        return [mark for prompt in self.pictures[name] for mark in prompt.right]
