"""One picture with its captions, as the sources of real data hand it over."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

# Why a sample is skipped; the words of the report.
MISSING_PICTURE = "missing picture"
UNREADABLE_PICTURE = "unreadable picture"
MISSING_CAPTION = "missing caption"
UNREADABLE_CAPTION = "unreadable caption"
TRUNCATED_SHARD = "lost in a truncated shard"

DEFAULT_LANGUAGE = "en"  # of `caption` and .txt, which name no language
_LANGUAGE_KEY = re.compile(r"caption_([a-z]{2,3}(?:[-_][A-Za-z]+)*)")


@dataclass(frozen=True)
class Sample:
    """A picture still in its file format, its captions by language, and what is wrong with it, if anything is."""

    name: str  # names the sample in the report: shard and key, or file name
    picture: bytes = b""
    captions: Mapping[str, list[str]] = field(default_factory=dict)
    problem: str | None = None
    number: int = 1  # how many samples this one stands for: behind a cut there may be many


def captions_in(record: Mapping[str, Any]) -> dict[str, list[str]]:
    """Captions in a JSON record, by language: `caption` (English), `caption_zh` and other `caption_<language>`.

    A value is a string or a list of strings. White space is evened out; empty and repeated captions are dropped, and
    half a surrogate pair, which JSON allows and UTF-8 does not, becomes "?".
    """
    found: dict[str, list[str]] = {}
    for key, value in record.items():
        match = _LANGUAGE_KEY.fullmatch(key)
        if key == "caption" or match:
            add_captions(found, match.group(1) if match else DEFAULT_LANGUAGE, value)
    return found


def add_captions(found: dict[str, list[str]], language: str, value: Any) -> None:
    """Add the caption, or list of captions, `value` to those `found` in `language`."""
    for text in value if isinstance(value, list) else [value]:
        text = " ".join(text.split()).encode("utf-8", "replace").decode("utf-8") if isinstance(text, str) else ""
        if text and text not in found.get(language, []):
            found.setdefault(language, []).append(text)
