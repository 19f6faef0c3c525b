"""The built site, read: elements with their text, links, and the files that their numbers are said to be from."""

import re
from dataclasses import dataclass, field
from functools import cached_property
from html.parser import HTMLParser
from pathlib import Path

VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
HIDDEN = {"script", "style", "title", "annotation", "code", "pre", "math"}


@dataclass
class Text:
    """A piece of text in <main>, and the attributes of the nearest element that says where its numbers are from."""

    words: str
    origin: dict[str, str]


@dataclass
class Page(HTMLParser):
    """One page."""

    path: Path
    links: list[str] = field(default_factory=list)
    loaded: list[str] = field(default_factory=list)
    ids: set[str] = field(default_factory=set)
    images: list[dict[str, str]] = field(default_factory=list)
    texts: list[Text] = field(default_factory=list)
    scripts: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def __post_init__(self):
        super().__init__()
        self._open: list[tuple[str, dict[str, str]]] = []
        self.feed(self.path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        if tag not in VOID:
            self._open.append((tag, attributes))
        if "id" in attributes:
            if attributes["id"] in self.ids:
                self.faults.append(f"id {attributes['id']} occurs twice")
            self.ids.add(attributes["id"])
        if tag == "a" and attributes.get("href") is not None:
            self.links.append(attributes["href"])
        if tag == "img":
            self.images.append(attributes)
            self.loaded.append(attributes["src"])
        if tag in ("script", "iframe", "video", "audio", "source") and attributes.get("src"):
            self.loaded.append(attributes["src"])
        if tag == "link":
            self.loaded.append(attributes["href"])

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag):
        if tag in VOID:
            return
        if not self._open or self._open[-1][0] != tag:
            self.faults.append(f"</{tag}> closes {self._open[-1][0] if self._open else 'nothing'}")
            while self._open and self._open[-1][0] != tag:
                self._open.pop()
        if self._open:
            self._open.pop()

    def handle_data(self, data):
        tags = [tag for tag, _ in self._open]
        if tags[-1:] == ["script"] and self._open[-1][1].get("type") == "application/json":
            self.scripts.append(data)
        if "main" in tags and not HIDDEN & set(tags) and data.strip():
            said = [attributes for _, attributes in self._open if "data-from" in attributes]
            self.texts.append(Text(data, said[-1]))


@dataclass
class Site:
    """All pages below a folder."""

    folder: Path

    @cached_property
    def pages(self) -> dict[str, Page]:
        """Address below the folder → page."""
        return {path.relative_to(self.folder).as_posix(): Page(path) for path in sorted(self.folder.rglob("*.html"))}

    def file(self, page: str, address: str) -> Path:
        """The file that a link on a page leads to."""
        return (self.folder / page).parent / re.split(r"[#?]", address)[0]
