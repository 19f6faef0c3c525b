"""Writes what was decided: claims.{csv,md,tex,json} and bench.{csv,md,tex}."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lib.evidence import tables
from lib.evidence.inference import ALPHA, largest_p
from lib.evidence.ledger import MINIMUM_SEEDS
from lib.evidence.verdicts import (
    CONTRADICTED,
    INCONCLUSIVE,
    NOT_ATTEMPTED,
    PAPER_SCALE,
    REDUCED_SCALE,
    SUPPORTED,
    BenchOutcome,
    Judgement,
)

# Columns for whoever computes with them: they would make the table three times as wide.
CSV_ONLY = ("source", "paper's value", "effect", "unit", "seeds", "p", "p (Holm)", "because")


def write(
    judgements: Sequence[Judgement],
    bench: Sequence[BenchOutcome],
    folder: str | Path,
    *,
    ledger: str | Path = "claims.yaml",
    reference: Mapping[str, str] | None = None,
) -> list[Path]:
    """Writes all tables, with sidecars, into `folder`; returns the paths.

    Args:
        reference: id → verdict of the pinned run, mostly of another machine; a claim that parts from it is marked.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    profile, pinned = judgements[0].profile, reference or {}
    origin = {"stage": "verify", "sources": ["lib/evidence/verdicts.py", "lib/evidence/inference.py"]}

    counts = Counter(NOT_ATTEMPTED if item.verdict.startswith(NOT_ATTEMPTED) else item.verdict for item in judgements)
    order = (PAPER_SCALE, REDUCED_SCALE, SUPPORTED, INCONCLUSIVE, CONTRADICTED, NOT_ATTEMPTED)
    counts = {verdict: counts[verdict] for verdict in order}
    paths = tables.write(
        folder / "claims",
        [_claim_row(item, pinned) for item in judgements],
        caption=f"Claims and verdicts, profile {profile}",
        source=f"Source: {Path(ledger).name} and the results of profile {profile}, judged by stage verify.",
        notes=[
            "Verdicts: " + ", ".join(f"{verdict} {count}" for verdict, count in counts.items()) + ".",
            f"Claims over seeds: at least {MINIMUM_SEEDS}, mean and 95 % t interval, two-sided t test; p after Holm's "
            f"correction among the tests of its study at most {ALPHA:g}, and p itself at most {largest_p(5):g} with 5 "
            f"seeds, {largest_p(6):g} with 6, {largest_p(7):g} with more (docs/statistics.md).",
            "A yes to a question that no paper asks is called supported.",
            "claims.csv, beside this table, has every claim's source and value there, and why its verdict follows.",
        ],
        text_widths={"claim": 6.5, "verdict": 3.0, "found": 6.5},
        csv_only=CSV_ONLY,
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
        "claims": [_claim_record(item, pinned) for item in judgements],
        "bench": [
            {"id": item.requirement.id, "outcome": item.outcome, "sentence": item.sentence, "value": item.value}
            for item in bench
        ],
    }
    data = folder / "claims.json"
    data.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return [*paths, data]


def _claim_row(item: Judgement, pinned: Mapping[str, str]) -> dict[str, Any]:
    claim, effect = item.claim, item.effect
    known = "" if claim.source.known_from == "paper" else f" (known from: {claim.source.known_from})"
    paper_value = None
    if claim.paper_value is not None:
        paper_value = f"{claim.paper_value} {claim.unit}" if claim.unit else str(claim.paper_value)
    differs = pinned.get(claim.id, item.verdict) != item.verdict
    verdict = NOT_ATTEMPTED if item.verdict.startswith(NOT_ATTEMPTED) else item.verdict
    return {
        "id": claim.id,
        "claim": claim.statement,
        "verdict": verdict + (f"; differs from the reference run: {pinned[claim.id]}" if differs else ""),
        "found": _found(item),
        "source": f"{claim.source.paper}, {claim.source.place}{known}",
        "paper's value": paper_value,
        "effect": tables.Number(effect.value, effect.low, effect.high, digits=3) if effect else None,
        "unit": item.unit,
        "seeds": item.seeds,
        "p": tables.Number(item.p, digits=4) if item.p is not None else None,
        "p (Holm)": tables.Number(item.corrected, digits=4) if item.corrected is not None else None,
        "because": item.sentence,
    }


def _found(item: Judgement) -> str:
    """What was measured, in one line; what it would take, where nothing was."""
    if item.verdict.startswith(NOT_ATTEMPTED):
        return item.verdict.removeprefix(f"{NOT_ATTEMPTED} (").removesuffix(")")
    if item.effect:
        p = "" if item.corrected is None else f", p = {item.corrected:.2g}"
        return f"{_interval(**asdict(item.effect))} {item.unit}, n = {item.seeds}{p}"
    if item.claim.metric.kind == "interval":
        return f"{_interval(*(item.measured[end] for end in ('value', 'low', 'high')))} {item.measured['unit']}"
    if item.claim.metric.kind == "possible":
        return "possible, by arithmetic" if item.measured["possible"] else "impossible, by arithmetic"
    return item.sentence


def _interval(value: float, low: float, high: float) -> str:
    return f"{value:.3g} [{low:.3g}, {high:.3g}]"


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


def _claim_record(item: Judgement, pinned: Mapping[str, str]) -> dict[str, Any]:
    return {
        "id": item.claim.id,
        "study": item.claim.study,
        "scale": item.claim.scale,
        "verdict": item.verdict,
        "reference": pinned.get(item.claim.id),
        "sentence": item.sentence,
        "effect": asdict(item.effect) if item.effect else None,
        "unit": item.unit,
        "seeds": item.seeds,
        "p": item.p,
        "corrected": item.corrected,
    }
