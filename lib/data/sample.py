"""One picture with its captions, as the sources of real data hand it over."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

# Why a sample is skipped; the words of the report.
MISSING_PICTURE = "missing picture"
UNREADABLE_PICTURE = "unreadable picture"
HUGE_PICTURE = "picture of too many pixels"
UNCLEAR_RANGE = "grey picture whose white is not known (12 bits in 16, or 32)"
SEVERAL_PICTURES = "several pictures in one sample"
DOTTED_NAME = "dot in the sample's name"
NAME_TWICE = "name used twice in its shard"
NO_PLAIN_FILE = "link or sparse file in a shard"
AMBIGUOUS_NAME = "name that several files have"
MISSING_CAPTION = "missing caption"
UNREADABLE_CAPTION = "unreadable caption"

# What to do about a reason, where that is not plain.
REMEDIES = {
    MISSING_CAPTION: "captions are read from .txt files and from 'caption' and 'caption_<language>' in JSON",
    SEVERAL_PICTURES: "leave one picture in each sample",
    DOTTED_NAME: "WebDataset ends a name at its first dot; rename the files",
    NAME_TWICE: "pack the shard again; `tar -r` appends without replacing",
    AMBIGUOUS_NAME: "write the folder before the name",
}

DEFAULT_LANGUAGE = "en"  # of `caption` and .txt, which name no language
_LANGUAGE_KEY = re.compile(r"caption_([a-z]{2,3}(?:[-_][A-Za-z]+)*)")
# Escape sequences of terminals, control characters that are not white space, and invisible marks: byte-order marks,
# soft hyphens, zero-width spaces and changes of direction. Joiners stay: Persian and emoji are spelled with them.
_MARKS = re.compile(
    "\x1b\\[[0-?]*[ -/]*[@-~]"
    "|[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff]"
)


@dataclass(frozen=True)
class Sample:
    """A picture still in its file format, its captions by language, and what is wrong with it, if anything is."""

    name: str  # names the sample in the report: shard and key, or file name
    picture: bytes = b""
    captions: Mapping[str, list[str]] = field(default_factory=dict)
    problem: str | None = None
    number: int = 1  # how many pictures this one stands for: a sample may hold several
    part: str = ""  # the shard that it comes from
    marked: int = 0  # captions that were not as they should be: marks were taken out of them


class CaptionSet:
    """The captions of one picture, by language, each once."""

    def __init__(self):
        self._found: dict[str, dict[str, None]] = {}
        self.marked = 0

    def add_record(self, record: Mapping[str, Any]) -> None:
        """Add what a JSON record has under `caption` (English), `caption_zh` and other `caption_<language>`."""
        for key, value in record.items():
            match = _LANGUAGE_KEY.fullmatch(key)
            if key == "caption" or match:
                self.add(match.group(1) if match else DEFAULT_LANGUAGE, value)

    def add(self, language: str, value: Any) -> None:
        """Add a caption or a list of captions; what is no text is passed over.

        White space is evened out and marks are taken out; empty and repeated captions are dropped, and half a surrogate
        pair, which JSON allows and UTF-8 does not, becomes "?".
        """
        for text in value if isinstance(value, list) else [value]:
            if not isinstance(text, str):
                continue
            clean = _MARKS.sub("", text)
            self.marked += clean != text
            clean = " ".join(clean.split()).encode("utf-8", "replace").decode("utf-8")
            if clean:
                self._found.setdefault(language, {})[clean] = None

    @property
    def by_language(self) -> dict[str, list[str]]:
        return {language: list(texts) for language, texts in self._found.items()}
