"""Stage verify: claims × results → verdicts; this run against the pinned reference → results/<profile>/verdicts/."""

from pathlib import Path

from lib.config import Params
from lib.evidence import drift, ledger, verdicts
from lib.ownership import fresh

REFERENCE = Path("results/reference")


def run(params: Params) -> None:
    """Writes claims.* and drift.*.

    Raises:
        EaselError: a number drifted further from the pinned reference than its tolerance; the report is written.
    """
    measured, out = params.results, params.results / "verdicts"
    fresh(out)
    book = ledger.load_all()
    judgements = verdicts.judge(book.claims, measured)
    verdicts.write(judgements, verdicts.judge_bench(book.bench, measured), out)
    drift.check(measured, REFERENCE / f"{params.profile}.json", out, rules=book.drift)
