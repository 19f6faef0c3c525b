"""Verdicts: what each claim's numbers allow to be said, and not a word more.

A claim over seeds is decided on paired differences, or on values measured from a threshold or from the end of a margin.
It is *reproduced* when, and only when,
  1. there are at least five of them (and as many as the ledger asks for),
  2. the p of the two-sided t test is at most 0.05 after Holm's correction among all such tests of its study,
  3. that p is, uncorrected, as small as so few values need if their distribution may be skewed, and
  4. their mean lies on the claimed side;
it is *contradicted* when 1 to 3 hold and the mean lies on the other side, and *inconclusive* otherwise. Where nothing
is to be found, a study gets a false verdict of either kind in at most 5 % of all runs if its differences are normal,
and a single claim does even if they are skewed (docs/statistics.md). An equality holds when the mean lies within its
margin in this sense, and is contradicted when it lies outside.

Exact claims are equal or not. A claim about a single training has no seeds: it is decided by the interval of its
number over pictures, all of which must lie on one side of the threshold. A claim that arithmetic finds possible stays
*inconclusive*, since possible is not yet true; one that it finds impossible is *contradicted*. "At paper scale" needs
an entry that says so and, for anything trained, the `paper` profile. What no paper asks is not reproduced but
*supported*.
"""

from __future__ import annotations

import json
from collections.abc import Container, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lib.errors import EaselError
from lib.evidence import inference, measurements, statistics
from lib.evidence.ledger import MINIMUM_SEEDS, SEEDED, Claim, Requirement
from lib.evidence.statistics import Interval

PAPER_SCALE = "reproduced at paper scale"
REDUCED_SCALE = "trend reproduced at reduced scale"
SUPPORTED = "supported"
INCONCLUSIVE = "inconclusive"
CONTRADICTED = "contradicted"
NOT_ATTEMPTED = "not attempted"  # printed as "not attempted (needs …)"

MET, MISSED, NOT_MEASURED = "met", "missed", "not measured"


@dataclass(frozen=True)
class Judgement:
    """A verdict with the numbers it follows from.

    effect: mean of treatment − baseline over the pairs, or mean of the values, with its t interval, in `unit`.
    seeds: number of pairs or values; p: two-sided, of the t test, None with too few of them; corrected: by Holm's rule.
    results: the file it was read from, None where nothing was measured; measured: what lies there at the metric's key.
    """

    claim: Claim
    profile: str
    verdict: str
    sentence: str
    effect: Interval | None = None
    unit: str | None = None
    seeds: int | None = None
    p: float | None = None
    corrected: float | None = None
    results: Path | None = None
    measured: Any = None


@dataclass(frozen=True)
class BenchOutcome:
    """Whether the bench keeps a requirement; `value` is what was measured."""

    requirement: Requirement
    outcome: str
    sentence: str
    value: float | None = None
    results: Path | None = None


@dataclass(frozen=True)
class _Test:
    """What a claim's values over seeds say before the other tests of its study are counted.

    p: None with too few seeds; claimed: whether their mean lies on the claimed side; found: the numbers as text.
    """

    effect: Interval
    unit: str
    seeds: int
    p: float | None
    claimed: bool
    found: str


def judge(
    claims: Iterable[Claim], results_folder: str | Path, measured_elsewhere: Container[tuple[str, str]] = ()
) -> list[Judgement]:
    """A judgement per claim from the results of one profile (`results/<profile>`; the folder's name is the profile).

    Args:
        measured_elsewhere: files and dotted keys that some reference run has: a smaller profile may leave them out.

    Raises:
        EaselError: results that are there but unusable (not JSON, no pairs, NaN), or a key (or, where there are
            references, a file) that neither these results nor a reference have; names the claim and the file.
    """
    claims, folder = list(claims), Path(results_folder)
    found = [_measured(claim, folder, measured_elsewhere) for claim in claims]
    corrected = _corrected(claims, [test for _, _, test in found])
    return [
        _judge(claim, folder, *numbers, correction)
        for claim, numbers, correction in zip(claims, found, corrected, strict=True)
    ]


def judge_bench(
    requirements: Iterable[Requirement],
    results_folder: str | Path,
    measured_elsewhere: Container[tuple[str, str]] = (),
) -> list[BenchOutcome]:
    """An outcome per bench requirement; arguments and errors as for `judge`."""
    return [_judge_requirement(requirement, Path(results_folder), measured_elsewhere) for requirement in requirements]


def _measured(claim: Claim, folder: Path, elsewhere: Container[tuple[str, str]]) -> tuple[Any, str, _Test | None]:
    """What the results have for a claim (None: nothing), a sentence on it, and the test of its seeds if it has any."""
    if claim.metric is None:
        return None, "", None
    measured, note = measurements.measured(claim.metric, f"claim {claim.id}", folder, elsewhere)
    if measured is None or claim.metric.kind not in SEEDED:
        return measured, note, None
    with _named(claim, folder):
        return measured, note, _test(claim, measured)


@contextmanager
def _named(claim: Claim, folder: Path) -> Iterator[None]:
    """Errors name the claim and the file."""
    try:
        yield
    except EaselError as error:
        where = f"{claim.metric.key} in {folder / claim.metric.results}"
        raise EaselError(f"claim {claim.id}: {where}: {error}") from error


def _corrected(claims: Sequence[Claim], tests: Sequence[_Test | None]) -> list[tuple[float, int] | None]:
    """For every claim with a p: what Holm's correction within its study makes of it, and how many tests that has."""
    found: list[tuple[float, int] | None] = [None] * len(claims)
    for study in {claim.study for claim in claims}:
        family = [i for i, test in enumerate(tests) if claims[i].study == study and test and test.p is not None]
        for i, p in zip(family, inference.holm([tests[i].p for i in family]), strict=True):
            found[i] = (float(p), len(family))
    return found


def _judge(
    claim: Claim, folder: Path, measured: Any, note: str, test: _Test | None, corrected: tuple[float, int] | None
) -> Judgement:
    def judgement(verdict: str, sentence: str, **numbers: Any) -> Judgement:
        return Judgement(claim, folder.name, verdict, sentence, **numbers)

    metric = claim.metric
    if metric is None:
        return judgement(f"{NOT_ATTEMPTED} (needs {claim.needs})", f"Not attempted: needs {claim.needs}.")
    if measured is None:
        return judgement(f"{NOT_ATTEMPTED} (needs {metric.key} in {metric.results})", f"Nothing measured: {note}.")
    numbers: dict[str, Any] = {}
    with _named(claim, folder):
        if test is not None:
            verdict, sentence = _decide_seeds(claim, test, corrected, folder.name)
            numbers = {"effect": test.effect, "unit": test.unit, "seeds": test.seeds, "p": test.p}
            numbers |= {"corrected": corrected[0]} if corrected else {}
        elif metric.kind == "exact":
            verdict, sentence = _decide_exact(claim, measured)
        elif metric.kind == "none":
            sentence = f"Measured, but no number could decide it: {json.dumps(measured, ensure_ascii=False)}."
            verdict = INCONCLUSIVE
        elif metric.kind == "possible":
            verdict, sentence = _decide_possible(measured)
        else:
            verdict, sentence = _decide_interval(claim, measured)
    return judgement(verdict, sentence + note, **numbers, results=folder / metric.results, measured=measured)


def _yes(claim: Claim, at_paper_scale: bool) -> str:
    """The verdict on a claim that holds."""
    if claim.source.own:
        return SUPPORTED
    return PAPER_SCALE if at_paper_scale else REDUCED_SCALE


def _decide_exact(claim: Claim, measured: Any) -> tuple[str, str]:
    expected = claim.metric.equals
    # In Python True == 1; a check that passed is not a count of one.
    equal = measured == expected and isinstance(measured, bool) == isinstance(expected, bool)
    if isinstance(measured, bool) and isinstance(expected, bool):
        sentence = "What the claim says holds here." if equal else "What the claim says does not hold here."
    else:
        sentence = f"Found {_listed(measured)}, {'as claimed' if equal else f'not {_listed(expected)}'}."
    return (_yes(claim, claim.scale == "paper") if equal else CONTRADICTED), sentence


def _listed(value: Any) -> str:
    """A counted value, or several, as one writes them."""
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _decide_interval(claim: Claim, measured: Any) -> tuple[str, str]:
    needed = ("value", "low", "high", "unit", "over")
    if not isinstance(measured, dict) or not set(needed) <= set(measured):
        raise EaselError(f"needs the fields {', '.join(needed)}.")
    interval, bound = Interval(*(measured[end] for end in needed[:3])), claim.metric.threshold
    found = (
        f"{interval.value:.3g} [{interval.low:.3g}, {interval.high:.3g}] {measured['unit']} against a threshold of "
        f"{bound:g} (interval over {measured['over']})"
    )
    failed = [name for name, holds in measured.get("conditions", {}).items() if not holds]
    if failed:
        return CONTRADICTED, f"{found}; does not hold: {', '.join(failed)}."
    if not (interval.above(bound) or interval.below(bound)):
        return INCONCLUSIVE, f"{found}: the interval holds the threshold."
    if interval.above(bound) != (claim.metric.better == "higher"):
        return CONTRADICTED, f"{found}: on the other side."
    return _yes(claim, False), f"{found}: on the claimed side."


def _decide_possible(measured: Any) -> tuple[str, str]:
    fields = measured if isinstance(measured, dict) else {}
    possible, because = fields.get("possible"), fields.get("because")
    if not isinstance(possible, bool) or not isinstance(because, str):
        raise EaselError("needs the fields possible (true or false) and because (a sentence).")
    if possible:
        return INCONCLUSIVE, f"Arithmetic finds it possible, which is no proof: {because}"
    return CONTRADICTED, f"Arithmetic rules it out: {because}"


def _test(claim: Claim, measured: Any) -> _Test:
    """The t test of a claim over seeds; without a p where there are too few of them."""
    metric, fields = claim.metric, measured if isinstance(measured, dict) else {}
    paired = metric.kind == "direction" or (metric.kind == "equal" and "values" not in fields)
    needed = (*(("baseline", "treatment") if paired else ("values",)), "unit", "seeds_are")
    if not set(needed) <= set(fields):
        raise EaselError(f"needs the fields {', '.join(needed)}.")
    pair = (fields["baseline"], fields["treatment"]) if paired else (np.zeros_like(fields["values"]), fields["values"])
    values = statistics.differences(*pair)
    effect = inference.t_interval(values)
    what = f"{'Mean difference' if paired else 'Mean'} {effect.value:+.3g} [{effect.low:+.3g}, {effect.high:+.3g}]"
    if metric.kind == "equal":
        tested, higher = inference.outside(values - metric.about, metric.margin), False
        against = f" (equal: within {metric.margin:g} of {metric.about:g})"
    else:
        higher = metric.better == "higher"
        margin = (metric.margin or 0.0) * (1 if higher else -1)
        bound = margin if paired else float(metric.threshold)
        tested = values - bound
        against = f" against a {'margin' if paired else 'threshold'} of {bound:g}" if bound or not paired else ""
    enough = len(values) >= max(MINIMUM_SEEDS, metric.minimum_seeds)
    noun = ("pair" if paired else "value") + ("s" if len(values) != 1 else "")
    return _Test(
        effect=effect,
        unit=fields["unit"],
        seeds=len(values),
        p=float(inference.t_p(tested)) if enough else None,
        claimed=bool((tested.mean() > 0) == higher),
        found=f"{what} {fields['unit']}{against} over {len(values)} {noun} ({fields['seeds_are']})",
    )


def _decide_seeds(claim: Claim, test: _Test, corrected: tuple[float, int] | None, profile: str) -> tuple[str, str]:
    """Verdict and sentence of a claim over seeds."""
    if corrected is None:
        needed = max(MINIMUM_SEEDS, claim.metric.minimum_seeds)
        return INCONCLUSIVE, f"{test.found}: a verdict needs at least {needed} seeds."
    p, tests = corrected
    found = f"{test.found}, two-sided t test p = {test.p:.2g}, {p:.2g} after Holm's correction for {tests} tests"
    if not inference.decided(test.p, p, test.seeds):
        if test.p > inference.ALPHA:
            because = f"p is above {inference.ALPHA:g}"
        elif p > inference.ALPHA:
            because = "among so many tests that is not certain"
        else:
            because = "skewed differences would show as much too often with so few seeds"
        return INCONCLUSIVE, f"{found}: {because}."
    if not test.claimed:
        return CONTRADICTED, f"{found}: on the other side of what is claimed."
    return _yes(claim, claim.scale == "paper" and profile == "paper"), f"{found}: on the claimed side."


def _judge_requirement(requirement: Requirement, folder: Path, elsewhere: Container[tuple[str, str]]) -> BenchOutcome:
    path = folder / requirement.results
    measured, note = measurements.measured(requirement, f"bench requirement {requirement.id}", folder, elsewhere)
    if measured is None:
        sentence = f"There is no {requirement.key} in {requirement.results} for this profile."
        return BenchOutcome(requirement, NOT_MEASURED, sentence)
    value = measured.get("value") if isinstance(measured, dict) else measured
    if not isinstance(value, int | float) or isinstance(value, bool) or not np.isfinite(value):
        raise EaselError(
            f"bench requirement {requirement.id}: {requirement.key} in {path} must be a finite number or "
            f'{{"value": …}} with its interval, found {measured!r}.'
        )
    higher = requirement.better == "higher"
    asked = f"asked for {'≥' if higher else '≤'} {requirement.threshold:g}"
    if folder.name not in requirement.profiles:
        sentence = f"{value:.4g}; {asked} only under {', '.join(requirement.profiles)}."
        return BenchOutcome(requirement, NOT_MEASURED, sentence, value, path)
    met = value >= requirement.threshold if higher else value <= requirement.threshold
    return BenchOutcome(requirement, MET if met else MISSED, f"{value:.4g}; {asked}.{note}", value, path)
