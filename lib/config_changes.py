"""Sections of the configuration with other values: what a variant of a training changes."""

from collections.abc import Mapping
from typing import Any, TypeVar

from lib.config_tree import Section, plain, read

Kind = TypeVar("Kind", bound=Section)


def changed(section: Kind, changes: Mapping[str, Any]) -> Kind:
    """`section` with other values; mappings among the changes change what they name.

    Raises:
        Refused: values that the section cannot have.
    """
    return read(merged(plain(section), plain(changes)), type(section), "params.yaml")


def merged(tree: Any, changes: Any) -> Any:
    """Values with others in their places, mappings key by key."""
    if not (isinstance(tree, Mapping) and isinstance(changes, Mapping)):
        return changes
    return {**tree, **{key: merged(tree.get(key), value) for key, value in changes.items()}}
