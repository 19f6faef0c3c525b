"""Links of the repository's own Markdown, turned into links between pages.

A file that has a page is linked there; any other text file gets a page with its source; of what is neither, only the
words are left.
"""

import os
import re
from pathlib import Path

LINK = re.compile(r"\[([^\]]*)\]\((?!\w+://|#|mailto:)([^)#\s]+)(#[^)\s]*)?\)")
LANGUAGES = {".py": "python", ".yaml": "yaml", ".yml": "yaml", ".toml": "toml", ".json": "json", ".tex": "latex"}
PLAIN = ("", ".txt", ".lock", ".cff", ".dvc", ".csv", ".log", ".md")


class Links:
    """Which file of the repository is on which page; grows by the sources that pages link."""

    def __init__(self, pages: dict[str, str]):
        """`pages`: file → page, both as paths without a leading slash, pages without suffix."""
        self.pages = pages
        self.sources: dict[str, str] = {}

    def rewritten(self, text: str, file: str, page: str) -> str:
        """Markdown of a repository's `file` for the site's `page`."""

        def replace(match: re.Match) -> str:
            words, target, anchor = match.group(1), match.group(2), match.group(3) or ""
            found = self.page_of(os.path.normpath(Path(file).parent / target))
            return f"[{words}]({relative(found, page)}{suffix(found)}{anchor})" if found else words

        return LINK.sub(replace, text)

    def page_of(self, path: str) -> str | None:
        """The page that shows a file, made if it is source text; None if there is none."""
        if path in self.pages:
            return self.pages[path]
        if path in self.sources:
            return self.sources[path]
        if Path(path).is_file() and Path(path).suffix in (*LANGUAGES, *PLAIN):
            self.sources[path] = f"code/{path.replace('.', '_')}"
            return self.sources[path]
        return None

    def source_pages(self) -> dict[str, str]:
        """Page → Markdown of every source that is linked."""
        return {page: _source(path) for path, page in self.sources.items()}


def relative(page: str, of: str) -> str:
    """The way from one page to another."""
    return os.path.relpath(page, os.path.dirname(of) or ".")


def suffix(page: str) -> str:
    """Of a page's source: notebooks stay notebooks."""
    return ".ipynb" if page.startswith("notebooks/") and page != "notebooks/index" else ".md"


def _source(path: str) -> str:
    text = Path(path).read_text(encoding="utf-8")
    fence = "`" * max(3, *(len(run) + 1 for run in re.findall(r"`+", text)), 3)
    language = LANGUAGES.get(Path(path).suffix, "text")
    # Sources would be most of what the search finds.
    head = f"---\nfrom: {path}\norphan: true\nnosearch: true\n---\n\n"
    return f"{head}# `{path}`\n\n{fence}{language}\n{text.rstrip()}\n{fence}\n"
