"""Verdicts: what each claim's numbers allow to be said, and not a word more.

A claim about a direction is decided on paired seeds. It is *reproduced* when, and only when,
  1. there are at least five pairs (and as many as the ledger asks for),
  2. the 95 % BCa interval of the mean difference lies on the claimed side of zero, and
  3. the one-sided exact sign-flip test agrees (p ≤ 0.05);
it is *contradicted* when 2 and 3 hold for the other side, and *inconclusive* otherwise. Either wrong verdict thus has a
chance of at most 5 % when there is no difference. Claims against a threshold are decided in the same way on the values
minus the threshold; exact claims are equal or not. A claim about a single training has no seeds: it is decided by the
interval of its number over pictures, all of which must lie on one side of the threshold. A claim that arithmetic finds
possible stays *inconclusive*, since possible is not yet true; one that it finds impossible is *contradicted*. "At paper
scale" needs an entry that says so and, for anything trained, the `paper` profile. Each claim is judged alone: nothing
corrects for the number of claims.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Container, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lib.errors import EaselError
from lib.evidence import measurements, statistics, tables
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
    return [_judge(claim, Path(results_folder), measured_elsewhere) for claim in claims]


def judge_bench(
    requirements: Iterable[Requirement],
    results_folder: str | Path,
    measured_elsewhere: Container[tuple[str, str]] = (),
) -> list[BenchOutcome]:
    """An outcome per bench requirement; arguments and errors as for `judge`."""
    return [_judge_requirement(requirement, Path(results_folder), measured_elsewhere) for requirement in requirements]


def _judge(claim: Claim, folder: Path, elsewhere: Container[tuple[str, str]]) -> Judgement:
    def judgement(verdict: str, sentence: str, **numbers: Any) -> Judgement:
        return Judgement(claim, folder.name, verdict, sentence, **numbers)

    metric = claim.metric
    if metric is None:
        return judgement(f"{NOT_ATTEMPTED} (needs {claim.needs})", f"Not attempted: needs {claim.needs}.")
    path = folder / metric.results
    measured, note = measurements.measured(metric, f"claim {claim.id}", folder, elsewhere)
    if measured is None:
        return judgement(f"{NOT_ATTEMPTED} (needs {metric.key} in {metric.results})", f"Nothing measured: {note}.")
    numbers: dict[str, Any] = {}
    try:
        if metric.kind == "exact":
            verdict, sentence = _decide_exact(claim, measured)
        elif metric.kind == "none":
            sentence = f"Measured, but no number could decide it: {json.dumps(measured, ensure_ascii=False)}."
            verdict = INCONCLUSIVE
        elif metric.kind == "possible":
            verdict, sentence = _decide_possible(measured)
        elif metric.kind == "interval":
            verdict, sentence = _decide_interval(claim, measured)
        else:
            verdict, sentence, numbers = _decide_seeds(claim, measured, folder.name)
    except EaselError as error:
        raise EaselError(f"claim {claim.id}: {metric.key} in {path}: {error}") from error
    return judgement(verdict, sentence + note, **numbers, results=path, measured=measured)


def _decide_exact(claim: Claim, measured: Any) -> tuple[str, str]:
    expected = claim.metric.equals
    # In Python True == 1; a check that passed is not a count of one.
    if measured == expected and isinstance(measured, bool) == isinstance(expected, bool):
        verdict = PAPER_SCALE if claim.scale == "paper" else REDUCED_SCALE
        return verdict, f"Equal: expected {expected}, found {measured}."
    return CONTRADICTED, f"Not equal: expected {expected}, found {measured}."


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
    return REDUCED_SCALE, f"{found}: on the claimed side."


def _decide_possible(measured: Any) -> tuple[str, str]:
    fields = measured if isinstance(measured, dict) else {}
    possible, because = fields.get("possible"), fields.get("because")
    if not isinstance(possible, bool) or not isinstance(because, str):
        raise EaselError("needs the fields possible (true or false) and because (a sentence).")
    if possible:
        return INCONCLUSIVE, f"Arithmetic finds it possible, which is no proof: {because}"
    return CONTRADICTED, f"Arithmetic rules it out: {because}"


def _decide_seeds(claim: Claim, measured: Any, profile: str) -> tuple[str, str, dict[str, Any]]:
    """Verdict, sentence and numbers of a direction or threshold claim."""
    paired = claim.metric.kind == "direction"
    needed = (*(("baseline", "treatment") if paired else ("values",)), "unit", "seeds_are")
    if not isinstance(measured, dict) or not set(needed) <= set(measured):
        raise EaselError(f"needs the fields {', '.join(needed)}.")
    bound = 0.0 if paired else float(claim.metric.threshold)
    if paired:
        values = statistics.differences(measured["baseline"], measured["treatment"])
    else:
        values = statistics.differences(np.full(np.shape(measured["values"]), bound), measured["values"])
    generator = _generator(claim.id)
    interval = statistics.paired_interval(values, generator)
    p = statistics.sign_flip_p(values, "greater" if interval.value >= 0 else "less", generator)
    verdict, because = _decide(claim, interval, p, len(values), profile)

    count, unit = len(values), measured["unit"]
    effect = Interval(interval.value + bound, interval.low + bound, interval.high + bound)
    what = "Mean difference" if paired else "Mean"
    against = "" if paired else f" against a threshold of {bound:g}"
    noun = ("pair" if paired else "value") + ("s" if count != 1 else "")
    sentence = (
        f"{what} {effect.value:+.3g} [{effect.low:+.3g}, {effect.high:+.3g}] {unit}{against} over {count} {noun} "
        f"({measured['seeds_are']}), one-sided sign-flip p = {p:.3g}: {because}."
    )
    return verdict, sentence, {"effect": effect, "unit": unit, "seeds": count, "p": p}


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
    """Writes claims.{csv,md,tex,json} and bench.{csv,md,tex}, with sidecars, into `folder`; returns the paths."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    profile = judgements[0].profile
    origin = {"stage": "verify", "sources": ["lib/evidence/verdicts.py"]}

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
        text_widths={"claim": 4.0, "source": 2.5, "paper's value": 2.5, "verdict": 2.2, "unit": 1.5, "because": 4.5},
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
            text_widths={"requirement": 5.0, "outcome": 2.0, "because": 5.0},
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
        "because": item.sentence,
    }


def _bench_row(item: BenchOutcome) -> dict[str, Any]:
    return {
        "id": item.requirement.id,
        "requirement": item.requirement.statement,
        "outcome": item.outcome,
        "value": tables.Number(item.value, digits=3) if item.value is not None else None,
        "threshold": item.requirement.threshold,
        "unit": item.requirement.unit,
        "because": item.sentence,
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
