"""The artifact appendix: machine, disk, minutes, and for every claim its command and what to expect."""

from pathlib import Path

from lib.evidence.verdicts import NOT_ATTEMPTED
from pages import claims, text
from pages.material import BENCH, VERDICTS, Material


def sources(material: Material) -> list[str]:
    """The files that its numbers are from."""
    ledgers = [material.ledger_file(claim) for claim in material.ledger.claims]
    return ["results/runtimes.md", str(material.results / VERDICTS), *ledgers]


def written(material: Material) -> str:
    """Its Markdown."""
    machine = Path("results/runtimes.md").read_text(encoding="utf-8").strip().splitlines()[-1]
    costs = [
        ("everything", "`make repro`", "all"),
        *(
            (f"{material.title(study)}, without the bench", f"`make repro STUDY={study}`", study)
            for study in material.studies
        ),
        ("the bench, which every study needs first", "part of either", BENCH),
    ]
    parts = [
        "# Artifact appendix",
        f"Claims, commands and what to expect, of profile `{material.profile}`. Written by `make pages` from the "
        "ledgers, `results/` and the lock files; do not edit.",
        "**Badges that this is meant for**: available, functional, reusable, results reproduced.",
        f"**Machine of the pinned run**: {text.plain(machine)} Linux, no account, no download of data; a package "
        "registry for the environment. `make doctor` says what another machine lacks and what follows from it.",
        "**People**: one command is typed, and its summary is read. Nothing is asked in between.",
        "**Cost**, measured by the stages:",
        _pipe(
            ("what", "command", "time (min)", "peak memory (GB)", "disk (MB)"),
            [(what, command, *_costs(material, row)) for what, command, row in costs],
        ),
        "**Success** is exit status zero and a drift report in which every number lies within its tolerance. "
        "`make check` shows in a few minutes, without any training, that tables, figures and verdicts follow from the "
        "committed results.",
        "**Claim by claim.** What is expected is the value of the committed run, with its interval. Another machine "
        "trains other networks, and verdicts near a threshold can change.",
        _pipe(
            ("claim", "says", "command", "expected", "verdict"),
            [_row(material, claim) for claim in material.ledger.claims],
        ),
    ]
    return "\n\n".join(parts) + "\n"


def _costs(material: Material, row: str) -> tuple[str, ...]:
    columns = {"time (min)": 2, "peak memory (GB)": 2, "disk (MB)": 1}
    return tuple(f"{material.cost(row, column):.{digits}f}" for column, digits in columns.items())


def _row(material: Material, claim) -> tuple[str, ...]:
    _, record = material.verdicts[claim.id]
    verdict = NOT_ATTEMPTED if record["verdict"].startswith(NOT_ATTEMPTED) else record["verdict"]
    command = "–"
    if claim.metric:
        command = f"`make repro STUDY={material.made(claim.metric.results).stage.rpartition('/')[0]}`"
    return claim.id, text.plain(claim.statement), command, claims.effect(material, claim), verdict


def _pipe(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
