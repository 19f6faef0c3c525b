"""Verdicts: what each claim's numbers allow to be said, and not a word more.

A claim about a direction is decided on paired seeds. It is *reproduced* when, and only when,
  1. there are at least five pairs (and as many as the ledger asks for),
  2. the 95 % BCa interval of the mean difference lies on the claimed side of zero, and
  3. the one-sided exact sign-flip test agrees (p ≤ 0.05);
it is *contradicted* when 2 and 3 hold for the other side, and *inconclusive* otherwise. Either wrong verdict thus has a
chance of at most 5 % when there is no difference. Claims against a threshold are decided in the same way on the values
minus the threshold; exact claims are equal or not. "At paper scale" needs an entry that says so and, for anything
trained, the `paper` profile. Each claim is judged alone: nothing corrects for the number of claims.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lib.errors import EaselError
from lib.evidence import results, statistics, tables
from lib.evidence.ledger import MINIMUM_SEEDS, Claim, Requirement
from lib.evidence.statistics import Interval

PAPER_SCALE = "reproduced at paper scale"
REDUCED_SCALE = "trend reproduced at reduced scale"
INCONCLUSIVE = "inconclusive"
CONTRADICTED = "contradicted"
NOT_ATTEMPTED = "not attempted"  # printed as "not attempted (needs …)"

MET, MISSED, NOT_MEASURED = "met", "missed", "not measured"

ALPHA = 0.05


@dataclass(frozen=True)
class Judgement:
    """A verdict with the numbers it follows from.

    effect: mean of treatment − baseline over the pairs (direction), mean of the values (threshold), in `unit`.
    seeds: number of pairs or values; p: one-sided sign-flip p in the direction in which the effect points.
    results: the file it was read from, None where nothing was measured.
    """

    claim: Claim
    verdict: str
    sentence: str
    effect: Interval | None = None
    unit: str | None = None
    seeds: int | None = None
    p: float | None = None
    results: Path | None = None


@dataclass(frozen=True)
class BenchOutcome:
    """Whether the bench keeps a requirement; `value` is the worst of the numbers asked about."""

    requirement: Requirement
    outcome: str
    sentence: str
    value: float | None = None
    results: Path | None = None


def judge(claims: Iterable[Claim], results_folder: str | Path) -> list[Judgement]:
    """A judgement per claim from the results of one profile (`results/<profile>`; the folder's name is the profile).

    Raises:
        EaselError: results that are there but unusable (not JSON, no pairs, NaN); names the claim and the file.
    """
    return [_judge(claim, Path(results_folder)) for claim in claims]


def judge_bench(requirements: Iterable[Requirement], results_folder: str | Path) -> list[BenchOutcome]:
    """An outcome per bench requirement; raises EaselError on results that are there but not numbers."""
    return [_judge_requirement(requirement, Path(results_folder)) for requirement in requirements]


def _judge(claim: Claim, folder: Path) -> Judgement:
    if claim.metric is None:
        return Judgement(claim, f"{NOT_ATTEMPTED} (needs {claim.needs})", f"Not attempted: needs {claim.needs}.")
    metric = claim.metric
    path = folder / metric.results
    measured = results.find(results.read(path), metric.key) if path.is_file() else None
    if measured is None:
        needs = f"{metric.key} in {metric.results}"
        return Judgement(
            claim,
            f"{NOT_ATTEMPTED} (needs {needs})",
            f"Nothing measured: {path.name} has no {metric.key}."
            if path.is_file()
            else f"Nothing measured: there is no {metric.results} for this profile.",
        )
    where = f"claim {claim.id}: {metric.key} in {path}"
    if metric.kind == "exact":
        return _judge_exact(claim, measured, path)
    if metric.kind == "none":
        text = f"Measured, but no number could decide it: {json.dumps(measured, ensure_ascii=False)}."
        return Judgement(claim, INCONCLUSIVE, text, results=path)
    return _judge_seeds(claim, measured, path, where)


def _judge_exact(claim: Claim, measured: Any, path: Path) -> Judgement:
    expected = claim.metric.equals
    # In Python True == 1; a check that passed is not a count of one.
    equal = measured == expected and isinstance(measured, bool) == isinstance(expected, bool)
    verdict = CONTRADICTED
    if equal:
        verdict = PAPER_SCALE if claim.scale == "paper" else REDUCED_SCALE
    sentence = f"{'Equal' if equal else 'Not equal'}: expected {expected}, found {measured}."
    return Judgement(claim, verdict, sentence, results=path)


def _judge_seeds(claim: Claim, measured: Any, path: Path, where: str) -> Judgement:
    metric = claim.metric
    needed = ("baseline", "treatment") if metric.kind == "direction" else ("values",)
    needed = (*needed, "unit", "seeds_are")
    if not isinstance(measured, dict) or not set(needed) <= set(measured):
        raise EaselError(f"{where}: needs the fields {', '.join(needed)}.")
    try:
        if metric.kind == "direction":
            reference = 0.0
            values = statistics.differences(measured["baseline"], measured["treatment"])
        else:
            reference = float(metric.threshold)
            values = statistics.differences([reference] * len(measured["values"]), measured["values"])
        generator = _generator(claim.id)
        interval = statistics.paired_interval(values, generator)
        side = "greater" if interval.value >= 0 else "less"
        p = statistics.sign_flip_p(values, side, generator)
    except EaselError as error:
        raise EaselError(f"{where}: {error}") from error

    unit, count = measured["unit"], len(values)
    effect = Interval(*(bound + reference for bound in (interval.value, interval.low, interval.high)))
    verdict, because = _decide(claim, interval, p, count, path.parent.name)
    what = "difference" if metric.kind == "direction" else "value"
    compared = "" if metric.kind == "direction" else f" against a threshold of {reference:g}"
    noun = "pair" if metric.kind == "direction" else "value"
    sentence = (
        f"Mean {what} {effect.value:+.3g} [{effect.low:+.3g}, {effect.high:+.3g}] {unit}{compared} over {count} "
        f"{noun}{'s' if count != 1 else ''} ({measured['seeds_are']}), one-sided sign-flip p = {p:.3g}: {because}."
    )
    return Judgement(claim, verdict, sentence, effect, unit, count, p, path)


def _decide(claim: Claim, interval: Interval, p: float, count: int, profile: str) -> tuple[str, str]:
    """Verdict and reason from the interval of the differences, the p-value on the side of its mean, and the seeds."""
    needed = max(MINIMUM_SEEDS, claim.metric.minimum_seeds)
    if count < needed:
        return INCONCLUSIVE, f"a direction needs at least {needed} seeds, so no stronger verdict is possible"
    if not (interval.above(0) or interval.below(0)):
        return INCONCLUSIVE, "the interval does not exclude no difference"
    if p > ALPHA:
        return INCONCLUSIVE, f"the sign-flip test does not confirm it at {ALPHA}"
    if interval.above(0) != (claim.metric.better == "higher"):
        return CONTRADICTED, "the difference points the other way"
    if claim.scale == "paper" and profile == "paper":
        return PAPER_SCALE, "the interval and the sign-flip test support the claim"
    return REDUCED_SCALE, "the interval and the sign-flip test support the claim"


def _judge_requirement(requirement: Requirement, folder: Path) -> BenchOutcome:
    path = folder / requirement.results
    measured = results.find(results.read(path), requirement.key) if path.is_file() else None
    if measured is None:
        return BenchOutcome(
            requirement, NOT_MEASURED, f"{requirement.results} has no {requirement.key} for this profile."
        )
    numbers = _numbers(measured)
    if not numbers or not np.isfinite(list(numbers.values())).all():
        raise EaselError(f"bench requirement {requirement.id}: {requirement.key} in {path} must hold finite numbers.")
    higher = requirement.better == "higher"
    worst = (min if higher else max)(numbers, key=numbers.__getitem__)
    value, sign = float(numbers[worst]), "≥" if higher else "≤"
    named = f" ({worst})" if worst else ""
    asked = f"asked for {sign} {requirement.threshold:g} {requirement.unit}"
    if folder.name not in requirement.profiles:
        sentence = f"{value:.4g}{named}; {asked} only under {', '.join(requirement.profiles)}."
        return BenchOutcome(requirement, NOT_MEASURED, sentence, value, path)
    met = value >= requirement.threshold if higher else value <= requirement.threshold
    return BenchOutcome(requirement, MET if met else MISSED, f"{value:.4g}{named}; {asked}.", value, path)


def _numbers(measured: Any) -> dict[str, float]:
    """The numbers to hold against a threshold: a number, {"value": …} with its interval, or a dict of either."""
    if isinstance(measured, int | float) and not isinstance(measured, bool):
        return {"": measured}
    if not isinstance(measured, dict):
        return {}
    if "value" in measured:
        return _numbers(measured["value"])
    found = {name: _numbers(value) for name, value in measured.items()}
    if any(set(value) != {""} for value in found.values()):
        return {}
    return {name: value[""] for name, value in found.items()}


def _generator(identifier: str) -> np.random.Generator:
    """A stream of its own for each claim, so that a verdict does not depend on which other claims were judged."""
    return np.random.default_rng(int.from_bytes(hashlib.sha256(identifier.encode()).digest()[:8], "big"))


def write(
    judgements: Sequence[Judgement],
    bench: Sequence[BenchOutcome],
    folder: str | Path,
    *,
    ledger: str | Path = "claims.yaml",
) -> list[Path]:
    """Writes claims.{csv,md,tex,json} and bench.{csv,md,tex}, with sidecars, into results/<profile>; the paths."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    profile = folder.name
    origin = {"stage": "verify", "sources": [Path(__file__).resolve()]}

    counts = Counter(NOT_ATTEMPTED if item.verdict.startswith(NOT_ATTEMPTED) else item.verdict for item in judgements)
    order = (PAPER_SCALE, REDUCED_SCALE, INCONCLUSIVE, CONTRADICTED, NOT_ATTEMPTED)
    counts = {verdict: counts[verdict] for verdict in order}
    paths = tables.write(
        folder / "claims",
        [_claim_row(item) for item in judgements],
        caption=f"Claims and verdicts, profile {profile}",
        source=f"Source: {Path(ledger).name} and the results of profile {profile}, judged by stage verify.",
        notes=[
            "Verdicts: " + ", ".join(f"{verdict} {count}" for verdict, count in counts.items()) + ".",
            "A direction needs at least five paired seeds, a 95 % BCa interval of the paired differences that excludes "
            "zero, and a one-sided exact sign-flip p of at most 0.05. Nothing corrects for the number of claims.",
        ],
        text_widths={"claim": 4.5, "source": 2.5, "paper's value": 2.5, "verdict": 2.2, "numbers": 5.0},
        inputs=[ledger, *sorted({item.results for item in judgements if item.results})],
        claims=[item.claim.id for item in judgements],
        **origin,
    )
    if bench:
        paths += tables.write(
            folder / "bench",
            [_bench_row(item) for item in bench],
            caption=f"What this repository asks of its own bench, profile {profile}",
            source=f"Source: {Path(ledger).name} and the results of profile {profile}; not claims of any paper.",
            text_widths={"requirement": 5.0, "outcome": 2.0, "numbers": 6.0},
            inputs=[ledger, *sorted({item.results for item in bench if item.results})],
            **origin,
        )
    document = {
        "profile": profile,
        "counts": counts,
        "claims": [_claim_record(item) for item in judgements],
        "bench": [
            {"id": item.requirement.id, "outcome": item.outcome, "sentence": item.sentence, "value": item.value}
            for item in bench
        ],
    }
    data = folder / "claims.json"
    data.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return [*paths, data]


def _claim_row(item: Judgement) -> dict[str, Any]:
    claim, effect = item.claim, item.effect
    known = "" if claim.source.known_from == "paper" else f" (known from: {claim.source.known_from})"
    paper_value = None
    if claim.paper_value is not None:
        paper_value = f"{claim.paper_value} {claim.unit}" if claim.unit else str(claim.paper_value)
    return {
        "id": claim.id,
        "claim": claim.statement,
        "source": f"{claim.source.paper}, {claim.source.place}{known}",
        "paper's value": paper_value,
        "verdict": item.verdict,
        "effect": tables.Number(effect.value, effect.low, effect.high, digits=3) if effect else None,
        "unit": item.unit,
        "seeds": item.seeds,
        "p": tables.Number(item.p, digits=3) if item.p is not None else None,
        "numbers": item.sentence,
    }


def _bench_row(item: BenchOutcome) -> dict[str, Any]:
    return {
        "id": item.requirement.id,
        "requirement": item.requirement.statement,
        "outcome": item.outcome,
        "value": tables.Number(item.value, digits=3) if item.value is not None else None,
        "threshold": item.requirement.threshold,
        "unit": item.requirement.unit,
        "numbers": item.sentence,
    }


def _claim_record(item: Judgement) -> dict[str, Any]:
    return {
        "id": item.claim.id,
        "study": item.claim.study,
        "scale": item.claim.scale,
        "verdict": item.verdict,
        "sentence": item.sentence,
        "effect": asdict(item.effect) if item.effect else None,
        "unit": item.unit,
        "seeds": item.seeds,
        "p": item.p,
    }
