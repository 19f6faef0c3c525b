"""Typed reports: what stages write for other stages and for people, as frozen classes with JSON in and out.

A report's class is its documentation, and a mistyped key an error where it is written. Fields that may lack have None
for default and stay out of the file where they were not given, so that a file says no more than was measured.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from lib.data.store import write_json
from lib.errors import EaselError
from lib.evidence import results, statistics

Number = int | float


class Report(BaseModel):
    """A report or a part of one: frozen, without unknown fields.

    Raises:
        ValueError: a field that is unknown, missing or of another type.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    @classmethod
    def read(cls, path: Path | str) -> Self:
        """What `write` wrote.

        Raises:
            EaselError: no such file, no JSON, or another report.
        """
        try:
            return cls.model_validate(results.read(path))
        except ValidationError as error:
            fault = error.errors(include_url=False)[0]
            key = ".".join(map(str, fault["loc"]))
            raise EaselError(f"{path} is not the {cls.__name__} of this code: {key}: {fault['msg']}.") from None

    def write(self, path: Path) -> None:
        """One JSON file; its folder need not be there."""
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, self.plain())

    def plain(self) -> dict[str, Any]:
        """As plain dicts and lists, without what was not given."""
        return self.model_dump(exclude_unset=True)


class Interval(Report):
    """A value with its 95 % interval, all in one unit."""

    value: float
    low: float
    high: float
    n: int | None = None
    """what the interval is over: pictures, prompts"""


class Estimate(Interval):
    """A mean over seeds with its 95 % interval."""

    by_seed: list[float]

    @classmethod
    def of(cls, values: Sequence[float], name: str) -> Self:
        """Of one value a seed; `name` seeds the resampling."""
        return cls(**statistics.estimate(values, name))


class Accuracy(Estimate):
    """Share of prompts whose picture is right, the mean over categories."""

    categories: dict[str, Estimate]


class Difference(Interval):
    """Mean of treatment − baseline over paired seeds, with the p of a one-sided sign-flip test."""

    p: float

    @classmethod
    def of(cls, baseline: Sequence[float], treatment: Sequence[float], name: str) -> Self:
        """Of one pair of values a seed; `name` seeds the resampling."""
        return cls(**statistics.paired(baseline, treatment, name))


class Pairs(Report):
    """What a claim on a difference is judged by: a value a seed, paired."""

    baseline: list[float]
    treatment: list[float]
    unit: str
    seeds_are: str


class Values(Report):
    """What a claim on one quantity is judged by: a value a seed."""

    values: list[float]
    unit: str
    seeds_are: str
