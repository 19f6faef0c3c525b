"""The artifact appendix, a page: machine, minutes, disk, and for every command the claims that it tests with what to
expect."""

from pathlib import Path

from lib.evidence.ledger import Claim
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
        *((f"{material.title(study)}, without the bench", command(study), study) for study in material.studies),
        ("the bench, which every study needs first", "part of either", BENCH),
    ]
    parts = [
        "# Artifact appendix",
        f"Of profile `{material.profile}`. Written by `make pages` from the ledgers, `results/` and the lock files; do "
        "not edit.",
        "**Badges that this is meant for**: available, functional, reusable, results reproduced.",
        f"**Machine of the pinned run**: {text.plain(machine)} Linux, no account, no download of data; a package "
        "registry for the environment. `make doctor` says what another machine lacks and what follows from it.",
        "**People**: about ten minutes, to type one command and to read its summary. Nothing is asked in between.",
        "**Cost**, measured by the stages:",
        _pipe(
            ("what", "command", "time (min)", "peak memory (GB)", "disk (MB)"),
            [(what, typed, *_costs(material, row)) for what, typed, row in costs],
        ),
        "**Success** is exit status zero and a drift report in which every number lies within its tolerance. "
        "`make check` shows in a few minutes, without any training, that tables, figures and verdicts follow from the "
        "committed results.",
        "**What to expect**, claim by claim, is the value of the committed run with its interval. Sentences, units and "
        f"what is not attempted are in `{material.results}/verdicts/claims.md`. Another machine trains other networks, "
        "and verdicts near a threshold can change.",
        *(f"- {command(study)}: {_expected(material, own)}" for study, own in attempted(material).items()),
    ]
    return "\n\n".join(parts) + "\n"


def command(study: str) -> str:
    """What tests the claims of a study."""
    return f"`make repro STUDY={study}`"


def attempted(material: Material) -> dict[str, list[Claim]]:
    """Study → the claims that its results decide."""
    found: dict[str, list[Claim]] = {study: [] for study in material.studies}
    for claim in claims.order(material.ledger.claims):
        if claim.metric and not material.verdicts[claim.id][1]["verdict"].startswith(NOT_ATTEMPTED):
            found[material.made(claim.metric.results).stage.rpartition("/")[0]].append(claim)
    return found


def _expected(material: Material, own: list[Claim]) -> str:
    """The claims of a command by their verdicts."""
    by_kind: dict[str, list[str]] = {kind: [] for kind in claims.KINDS}
    for claim in own:
        kind = claims.kind(material.verdicts[claim.id][1]["verdict"])
        by_kind[kind].append(f"{claim.id} {claims.measured(material, claim)[0]}")
    return ". ".join(f"**{kind}** {', '.join(found)}" for kind, found in by_kind.items() if found)


def _costs(material: Material, row: str) -> tuple[str, ...]:
    columns = {"time (min)": 2, "peak memory (GB)": 2, "disk (MB)": 1}
    return tuple(f"{material.cost(row, column):.{digits}f}" for column, digits in columns.items())


def _pipe(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
