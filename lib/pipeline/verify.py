"""Stage verify: claims × results → verdicts; this run against the pinned reference → results/<profile>/verdicts/."""

from pathlib import Path

from lib.config import Params
from lib.evidence import drift, ledger, verdict_tables, verdicts
from lib.ownership import fresh

REFERENCE = Path("results/reference")


def run(params: Params) -> None:
    """Writes claims.* and drift.*. What drifted is an error of `make repro`, after the last table."""
    measured, out = params.results, params.results / "verdicts"
    fresh(out)
    book = ledger.load_all()
    judgements, bench = judged(book, measured)
    reference = REFERENCE / f"{params.profile}.json"
    verdict_tables.write(judgements, bench, out, reference=drift.pinned_verdicts(reference))
    compared = drift.check(measured, reference, out, rules=book.drift, judged=[*judgements, *bench])
    for line in (drift.breach(compared, out / "drift.md"), *drift.parted(compared)):
        if line:
            print(f"[verify] {line}")


def judged(book: ledger.Ledger, measured: Path) -> tuple[list[verdicts.Judgement], list[verdicts.BenchOutcome]]:
    """Every claim and every requirement, judged by the results of one profile."""
    elsewhere = drift.measured_in(REFERENCE)
    return verdicts.judge(book.claims, measured, elsewhere), verdicts.judge_bench(book.bench, measured, elsewhere)
