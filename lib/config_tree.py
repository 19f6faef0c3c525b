"""Reading a tree of configuration: YAML → plain values → frozen dataclasses, checked key by key.

Knows no section of params.yaml; lib/config.py has those.
"""

import dataclasses
import difflib
import json
import typing
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from ruamel.yaml import YAML

from lib.errors import EaselError, naming


class Table(Mapping):
    """A mapping that cannot be changed, but can be sent to another process (unlike types.MappingProxyType)."""

    def __init__(self, entries: dict[str, Any]):
        self._entries = dict(entries)

    def __getitem__(self, key: str) -> Any:
        return self._entries[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)


def read_yaml(path: str | Path, *needed: str) -> dict[str, Any]:
    """A mapping, as one YAML 1.2 document or a file of JSON, in plain dicts, lists and scalars.

    Args:
        needed: its keys that must be there.

    Raises:
        EaselError: no such file, unreadable, not valid, no mapping, or a key is missing.
    """
    path = Path(path)
    if not path.is_file():
        absent = "is no file" if path.exists() else "does not exist"
        raise EaselError(f"{path} {absent}; run from the top of the repository.")
    as_json = path.suffix == ".json"
    with naming(path, "JSON" if as_json else "YAML"):
        tree = parse_yaml(path.read_text(encoding="utf-8"), as_json)
    if not isinstance(tree, dict):
        raise EaselError(f"{path}: the file must be a mapping of keys to values.")
    if missing := [key for key in needed if key not in tree]:
        raise EaselError(f"{path}: missing {', '.join(missing)}.")
    return tree


def parse_yaml(text: str, as_json: bool = False) -> Any:
    """One YAML 1.2 document. JSON is YAML but for Infinity, which Python and DVC read as a number."""
    return json.loads(text) if as_json else YAML(typ="safe", pure=True).load(text)


def overlay(base: dict, over: dict, where: str, prefix: str = "") -> dict:
    """`base` with the values of `over`: mappings merge, all else replaces, a key unknown to `base` is an error.

    A null takes an entry out of `base`, which suits lists of named things; `build` complains where it is needed.
    """
    merged = dict(base)
    for key, value in over.items():
        if key not in base:
            raise EaselError(_unknown(where, f"{prefix}{key}", key, base))
        if isinstance(base[key], dict) and isinstance(value, dict):
            merged[key] = overlay(base[key], value, where, f"{prefix}{key}.")
        elif value is None:
            del merged[key]
        else:
            merged[key] = value
    return merged


def _unknown(where: str, dotted: str, key: str, known: Iterable[str]) -> str:
    known = [str(name) for name in known]
    near = difflib.get_close_matches(str(key), known, n=1)
    hint = f"did you mean '{near[0]}'?" if near else f"known here: {', '.join(known)}."
    return f"{where}: unknown key '{dotted}'; {hint}"


def convert(value: Any, kind: Any, where: str, key: str) -> Any:
    """`value`, read from `where`, as `kind`: a dataclass, a scalar, a tuple, a mapping or a Literal.

    Raises:
        EaselError: names `key`, which is unknown, missing or of the wrong type.
    """
    if dataclasses.is_dataclass(kind):
        return _convert_section(value, kind, where, key)
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is Literal:
        if value in arguments:
            return value
        raise EaselError(f"{where}: {key} is {value!r}, must be one of {', '.join(map(str, arguments))}.")
    if origin is tuple and isinstance(value, list):
        return tuple(convert(item, arguments[0], where, f"{key}[{i}]") for i, item in enumerate(value))
    if origin is Mapping and isinstance(value, dict):
        return Table({k: convert(v, arguments[1], where, f"{key}.{k}") for k, v in value.items()})
    if kind is Any:
        return value
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(kind, type) and isinstance(value, kind) and not (kind is int and isinstance(value, bool)):
        return value
    expected = {tuple: "a list", Mapping: "a mapping"}.get(origin) or getattr(kind, "__name__", str(kind))
    raise EaselError(f"{where}: {key} is {value!r} ({type(value).__name__}), must be {expected}.")


def _convert_section(value: Any, kind: type, where: str, key: str) -> Any:
    if not isinstance(value, dict):
        raise EaselError(f"{where}: {key or 'the file'} must be a mapping of keys to values.")
    fields = {field.name: field.type for field in dataclasses.fields(kind)}
    defaults = {field.name for field in dataclasses.fields(kind) if has_default(field)}
    prefix = f"{key}." if key else ""
    for name in value:
        if name not in fields:
            raise EaselError(_unknown(where, f"{prefix}{name}", name, fields))
    missing = [name for name in fields if name not in value and name not in defaults]
    if missing:
        raise EaselError(f"{where}: missing {', '.join(prefix + name for name in missing)}.")
    return kind(**{name: convert(value[name], fields[name], where, prefix + name) for name in value})


def has_default(field: dataclasses.Field) -> bool:
    """Whether the field of a dataclass may be left out."""
    return not field.default is field.default_factory is dataclasses.MISSING


def plain(section: Any) -> Any:
    """A section as plain dicts and lists, for hashing and for JSON."""
    if dataclasses.is_dataclass(section):
        return {field.name: plain(getattr(section, field.name)) for field in dataclasses.fields(section)}
    if isinstance(section, Mapping):
        return {key: plain(value) for key, value in section.items()}
    if isinstance(section, tuple):
        return [plain(item) for item in section]
    return section
