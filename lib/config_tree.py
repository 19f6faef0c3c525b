"""Reading a tree of configuration: YAML → plain values → frozen pydantic models, checked key by key.

Knows no section of params.yaml; lib/config.py has those.
"""

import difflib
import json
import typing
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    Strict,
    ValidationError,
    model_validator,
)
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
            raise EaselError(f"{where}: {_unknown(f'{prefix}{key}', key, base)}")
        if isinstance(base[key], dict) and isinstance(value, dict):
            merged[key] = overlay(base[key], value, where, f"{prefix}{key}.")
        elif value is None:
            del merged[key]
        else:
            merged[key] = value
    return merged


def _unknown(dotted: str, key: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(str(key), list(known), n=1)
    hint = f"did you mean '{near[0]}'?" if near else f"known here: {', '.join(known) or 'none'}"
    return f"unknown key '{dotted}'; {hint}"


Value = TypeVar("Value")


def _zero_or_warm(value: float) -> float:
    require(value == 0 or value >= 1e-3, "", "must be 0, which draws the most likely token, or at least 0.001")
    return value


# Types with bounds. A boolean is no number, a fraction no whole one, and numbers are finite.
Several = Annotated[tuple[Value, ...], Strict(False)]  # a list
Entries = Annotated[  # a mapping from names
    dict[str, Value],
    BeforeValidator(lambda value: dict(value) if isinstance(value, Mapping) else value),
    AfterValidator(Table),
]
Count = Annotated[int, Field(ge=1, lt=2**31)]
Amount = Annotated[int, Field(ge=0, lt=2**31)]  # a count that may be 0
Width = Annotated[int, Field(ge=1, le=2**16)]  # channels, dimensions, tokens
Depth = Annotated[int, Field(ge=1, le=1000)]  # layers
Seed = Annotated[int, Field(ge=0, lt=2**31)]  # leaves room for the seeds that are counted from it, below 2³²
Rate = Annotated[float, Field(gt=0, le=1000)]  # a learning rate
Weight = Annotated[float, Field(ge=0, le=1e6)]
Share = Annotated[float, Field(ge=0, le=1)]
PartialShare = Annotated[float, Field(ge=0, lt=1)]
Guidance = Annotated[float, Field(ge=0, le=1e6)]  # 1: none
Temperature = Annotated[float, Field(ge=0, le=1e6), AfterValidator(_zero_or_warm)]
Name = Annotated[str, Field(pattern=r"^\w[\w.-]*$")]  # names a folder or file


class Refused(EaselError, ValueError):
    """Values that a section cannot have.

    Args:
        faults: (key, sentence) pairs; `KEY` in a sentence stands for the whole key.
        where: the file that the values are from, or what they were to become.
    """

    def __init__(self, faults: Iterable[tuple[str, str]], where: str):
        self.faults = list(faults)
        lines = [sentence.replace("KEY", key, 1) for key, sentence in self.faults]
        lines = [line if line.endswith("?") else f"{line}." for line in lines]
        super().__init__(f"{where}: {lines[0]}" if len(lines) == 1 else "\n  ".join([f"{where}:", *lines]))


def require(condition: object, key: str, message: str) -> None:
    """For `Section.check`: refuses the section, naming its `key`, unless `condition` holds."""
    if not condition:
        raise Refused([(key, f"KEY {message}")], "params.yaml")


@contextmanager
def within(key: str) -> Iterator[None]:
    """What is refused inside is said of `key` and what lies below it."""
    try:
        yield
    except Refused as error:
        raise Refused([(_joined(key, inner), text) for inner, text in error.faults], "params.yaml") from None


class _Kind(type(BaseModel)):
    """Makes `Section(...)` raise what people can read; pydantic itself never calls it."""

    def __call__(cls, **values: Any) -> Any:
        try:
            return super().__call__(**values)
        except ValidationError as error:
            raise Refused(_faults(error, cls), cls.__name__) from None


class Section(BaseModel, metaclass=_Kind):
    """A part of the configuration: frozen, no unknown keys, every value of its type and within its bounds.

    Raises:
        EaselError: all faults, one a line.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )

    def check(self) -> None:
        """Relations between values: a subclass calls `require` here, with keys from this section on."""

    @model_validator(mode="after")
    def _checked(self) -> "Section":
        self.check()
        return self


Kind = TypeVar("Kind", bound=Section)


def read(tree: Any, kind: type[Kind], where: str, key: str = "") -> Kind:
    """The section `key` that the plain values `tree`, read from `where`, describe.

    Raises:
        EaselError: names the keys that are unknown, missing, of the wrong type or out of range.
    """
    try:
        return kind.model_validate(tree)
    except ValidationError as error:
        raise Refused([(_joined(key, inner), text) for inner, text in _faults(error, kind)], where) from None


def replace(section: Kind, **changes: Any) -> Kind:
    """`section` with other values, checked like any."""
    return type(section)(**dict(section) | changes)


# What a value must be, by pydantic's name for the fault; its bounds by the name that the type above gives them.
_TYPES = {
    "int_type": "int",
    "int_from_float": "int",
    "float_type": "float",
    "string_type": "str",
    "bool_type": "bool",
    "tuple_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping of keys to values",
    "model_attributes_type": "a mapping of keys to values",
}
_BOUNDS = {
    "greater_than": "above {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than": "below {lt}",
    "less_than_equal": "at most {le}",
    "finite_number": "a finite number",
    "string_pattern_mismatch": "a name of letters, digits, _, . and -",
}


def _faults(error: ValidationError, kind: type[Section]) -> Iterator[tuple[str, str]]:
    """(key, sentence) of all that pydantic found wrong, missing keys together."""
    missing = []
    for fault in error.errors(include_url=False):
        path, name, value, context = fault["loc"], fault["type"], fault["input"], fault.get("ctx", {})
        key = ""
        for step in path:
            key = _joined(key, step)
        if name == "missing":
            missing.append(key)
        elif name == "value_error" and isinstance(context["error"], Refused):
            yield from ((_joined(key, inner), text) for inner, text in context["error"].faults)
        elif name == "invalid_key" or path[-1:] == ("[key]",):
            yield key.removesuffix(".[key]"), "KEY is not a name; put it in quotes"
        elif name == "extra_forbidden":
            yield key, _unknown("KEY", path[-1], _at(kind, path[:-1]).model_fields)
        elif name == "literal_error":
            known = context["expected"].replace("'", "").replace(" or ", ", ")
            yield key, f"KEY is {value!r}, must be one of {known}"
        elif name in _BOUNDS:
            bounds = {name: f"{one:g}" if isinstance(one, float) else one for name, one in context.items()}
            yield key, f"KEY is {value!r}, must be {_BOUNDS[name].format(**bounds)}"
        else:
            expected = _TYPES.get(name, fault["msg"])
            yield key, f"{'KEY' if key else 'the file'} is {value!r} ({type(value).__name__}), must be {expected}"
    if missing:
        yield ", ".join(missing), "missing KEY"


def _joined(key: str, step: str | int) -> str:
    """A dotted key and what lies below it."""
    if isinstance(step, int):
        return f"{key}[{step}]"
    return f"{key}.{step}" if key and step else key or step


def _at(kind: Any, path: Sequence[str | int]) -> type[Section]:
    """The section that lies at `path` below the section `kind`."""
    for step in path:
        kind = kind.model_fields[step].annotation if isinstance(kind, type) else _of(kind)
        while typing.get_origin(kind) is Annotated:
            kind = typing.get_args(kind)[0]
    return kind


def _of(kind: Any) -> Any:
    """What a tuple or mapping has for entries."""
    return next(entry for entry in reversed(typing.get_args(kind)) if entry is not ...)


def plain(section: Any) -> Any:
    """A section as plain dicts and lists, for hashing and for JSON."""
    if isinstance(section, Section | Mapping):
        return {key: plain(value) for key, value in dict(section).items()}
    if isinstance(section, tuple):
        return [plain(item) for item in section]
    return section
