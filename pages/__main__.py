"""Makes the site, and the files for reviewers and authors that Git holds: `python -m pages`, or `make pages`."""

import sys
import time

from lib.errors import EaselError, command_line
from pages import artifact, captions
from pages.build import OUT, build
from pages.material import Material


@command_line
def main(arguments: list[str]) -> None:
    """Command line."""
    if arguments:
        raise EaselError("usage: python -m pages")
    started = time.monotonic()
    material = Material()
    files = artifact.written(material) | captions.written(material)
    for path in captions.folder(material).rglob("*.txt"):
        if path not in files:  # of a figure that is no more
            path.unlink()
    for path, content in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    pages = build(material)
    print(f"{pages} pages in {time.monotonic() - started:.0f} s: {OUT / 'html' / 'index.html'}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
