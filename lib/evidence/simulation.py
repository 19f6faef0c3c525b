"""What the rules of `lib.evidence.inference` promise, by simulation.

`python -m lib.evidence.simulation` prints the tables of docs/statistics.md, in seconds.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable

import numpy as np
from scipy.special import stdtr, stdtrit

from lib.errors import command_line
from lib.evidence.inference import ALPHA, decided, holm, outside, t_p

DRAWS, RESAMPLES = 20_000, 400
SEEDS = (5, 6, 7, 8, 9)
Law = Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]
# Laws of a difference whose mean is 0. The skewness of the log-normal ones is 1.8 and 6.2, that of the exponential 2.
LAWS: dict[str, Law] = {
    "normal": lambda generator, shape: generator.normal(size=shape),
    "uniform": lambda generator, shape: generator.uniform(-1, 1, size=shape),
    "Laplace": lambda generator, shape: generator.laplace(size=shape),
    "t, 3 degrees of freedom": lambda generator, shape: generator.standard_t(3, size=shape),
    "exponential": lambda generator, shape: generator.exponential(size=shape) - 1,
    "log-normal, σ = 0.5": lambda generator, shape: generator.lognormal(sigma=0.5, size=shape) - np.exp(0.125),
    "log-normal, σ = 1": lambda generator, shape: generator.lognormal(size=shape) - np.exp(0.5),
}
SKEWED_LAW = "log-normal, σ = 1"


def ours(values: np.ndarray) -> np.ndarray:
    """Which rows of values [draws, n] decide a claim that is the only one of its study."""
    p = t_p(values)
    return decided(p, p, values.shape[-1])


def same_sign(values: np.ndarray) -> np.ndarray:
    """t test and values that all have one sign, which with five pairs is all that the sign-flip test can ask for."""
    return (t_p(values) <= ALPHA) & (np.abs(np.sign(values).sum(axis=-1)) == values.shape[-1])


def johnson(values: np.ndarray) -> np.ndarray:
    """t test with Johnson's correction for skewness (1978), which has to agree with the plain one."""
    count, mean, variance = values.shape[-1], values.mean(axis=-1), values.var(axis=-1, ddof=1)
    third = ((values - mean[:, None]) ** 3).sum(axis=-1) * count / ((count - 1) * (count - 2))
    moved = mean + third / (6 * variance * count) + third * mean**2 / (3 * variance**2)
    p = 2 * stdtr(count - 1, -np.abs(moved) / np.sqrt(variance / count))
    return (p <= ALPHA) & (t_p(values) <= ALPHA)


def bootstrap_t(values: np.ndarray) -> np.ndarray:
    """Studentized bootstrap, equal tails."""
    generator, (draws, count) = np.random.default_rng(0), values.shape
    mean, t = values.mean(axis=-1), values.mean(axis=-1) / values.std(axis=-1, ddof=1)
    below = above = np.ones(draws)
    for _ in range(RESAMPLES):
        drawn = np.take_along_axis(values, generator.integers(0, count, size=values.shape), axis=-1)
        spread = np.maximum(drawn.std(axis=-1, ddof=1), 1e-9)
        other = (drawn.mean(axis=-1) - mean) / spread
        below, above = below + (other <= t), above + (other >= t)
    return 2 * np.minimum(below, above) / (RESAMPLES + 1) <= ALPHA


RULES = {
    "t test": lambda values: t_p(values) <= ALPHA,
    "t test, all of one sign": same_sign,
    "t test and Johnson's": johnson,
    "bootstrap-t": bootstrap_t,
    "this repository's": ours,
}


def coverage() -> str:
    """How often the 95 % t interval holds the mean."""

    def row(law: Law, count: int, generator: np.random.Generator) -> float:
        values = law(generator, (DRAWS, count))
        half = stdtrit(count - 1, 1 - ALPHA / 2) * values.std(axis=-1, ddof=1) / np.sqrt(count)
        return (np.abs(values.mean(axis=-1)) <= half).mean()

    return _by_seeds("coverage, %", row)


def false_verdicts() -> str:
    """How often one claim gets a verdict, in either direction, when there is nothing."""
    return _by_seeds("verdicts, %", lambda law, count, generator: ours(law(generator, (DRAWS, count))).mean())


def rules() -> str:
    """Rules against each other: verdicts where there is nothing, and where the mean is some standard deviations off."""
    head = ["rule", "seeds", "nothing: normal", "nothing: log-normal", *(f"{shift} sd off" for shift in (1, 2, 3, 5))]
    rows = []
    for name, rule in RULES.items():
        for count in (5, 8):
            generator = np.random.default_rng(count)
            draws = DRAWS // 5 if rule is bootstrap_t else DRAWS
            normal = LAWS["normal"](generator, (draws, count))
            skewed = LAWS[SKEWED_LAW](generator, (draws, count))
            found = [rule(values).mean() for values in (normal, skewed, *(normal + shift for shift in (1, 2, 3, 5)))]
            rows.append([name, str(count), *map(_percent, found)])
    return _table(head, rows)


def studies() -> str:
    """How often a study in which nothing is to be found gets any verdict at all."""
    head = ["differences", "seeds", "claims", "uncorrected t tests", "this repository's"]
    rows = []
    for name in ("normal", "t, 3 degrees of freedom", "uniform", "log-normal, σ = 0.5", SKEWED_LAW):
        for count, claims in ((5, 10), (5, 40), (8, 10), (8, 40)):
            p = t_p(LAWS[name](np.random.default_rng([count, claims]), (DRAWS, claims, count)))
            found = [(rejected.any(axis=-1)).mean() for rejected in (p <= ALPHA, decided(p, holm(p), count))]
            rows.append([name, str(count), str(claims), *map(_percent, found)])
    return _table(head, rows)


def equality() -> str:
    """What an equality gets, its margin some standard deviations wide: with no difference, and with the margin's."""
    head = [
        "differences",
        "seeds",
        "margin, sd",
        "none: equal",
        "none: not equal",
        "margin: equal",
        "margin: not equal",
    ]
    rows = []
    for name in ("normal", SKEWED_LAW):
        for count, margin in ((5, 2), (5, 4), (8, 1), (8, 2)):
            values = LAWS[name](np.random.default_rng(count), (DRAWS, count))
            width = margin * values.std()
            cells = []
            for shift in (0.0, width):
                measured = outside(values + shift, width)
                told = ours(measured)
                inside = measured.mean(axis=-1) < 0
                cells += [(told & inside).mean(), (told & ~inside).mean()]
            rows.append([name, str(count), str(margin), *map(_percent, cells)])
    return _table(head, rows)


TABLES = (coverage, false_verdicts, rules, studies, equality)


def _by_seeds(what: str, cell: Callable[[Law, int, np.random.Generator], float]) -> str:
    """A row for every law, a column for every number of seeds."""
    rows = [
        [name, *(_percent(cell(law, count, np.random.default_rng(count))) for count in SEEDS)]
        for name, law in LAWS.items()
    ]
    return _table([what, *(f"{count} seeds" for count in SEEDS)], rows)


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"


def _table(head: list[str], rows: Iterable[list[str]]) -> str:
    line = "|---" + "|---:" * (len(head) - 1) + "|"
    return "\n".join([f"| {' | '.join(head)} |", line, *(f"| {' | '.join(row)} |" for row in rows)])


@command_line
def main(arguments: list[str]) -> None:
    """Prints the tables."""
    print("\n\n".join(table() for table in TABLES))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
