"""Results files: reading results/<profile>/*.json and finding numbers in them by dotted key."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lib.errors import EaselError


def read(path: str | Path) -> Any:
    """The JSON document in `path`.

    Raises:
        EaselError: no such file, or no JSON.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise EaselError(f"Results file {path} does not exist.") from error
    except ValueError as error:
        raise EaselError(f"Results file {path} is not valid JSON: {error}") from error


def find(document: Any, key: str) -> Any:
    """What lies at a dotted key ("a.b.0"; numbers index lists), or None where there is nothing."""
    for part in key.split("."):
        if isinstance(document, dict) and part in document:
            document = document[part]
        elif isinstance(document, list) and part.isdigit() and int(part) < len(document):
            document = document[int(part)]
        else:
            return None
    return document


def nearest(document: Any, key: str) -> str:
    """The existing dotted key most like `key`: its parts as far as they lead, then the name most alike there."""
    found: list[str] = []
    for part in key.split("."):
        inner = find(document, ".".join(found)) if found else document
        names = list(inner) if isinstance(inner, dict) else [str(index) for index in range(len(inner or ()))]
        if part not in names:
            return ".".join([*found, *difflib.get_close_matches(part, names, n=1, cutoff=0.0)])
        found.append(part)
    return key


def leaves(document: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every (dotted key, value) of a document that is neither a dict nor a list, in the document's order."""
    if isinstance(document, dict | list):
        items = document.items() if isinstance(document, dict) else enumerate(document)
        for name, value in items:
            yield from leaves(value, f"{prefix}.{name}" if prefix else str(name))
    else:
        yield prefix, document
