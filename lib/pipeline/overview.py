"""Stage overview: every table and verdict of a profile on one page → results/<profile>/README.md."""

from collections import Counter

from lib import config
from lib.evidence.results import read


def run(params: config.Params) -> None:
    """Writes the page: verdicts counted, then the tables of the bench and of every study as their stages wrote them."""
    claims = read(params.results / "verdicts" / "claims.json")["claims"]
    counted = Counter(entry["verdict"].split(" (")[0] for entry in claims)
    differing = [entry["id"] for entry in claims if entry["reference"] not in (None, entry["verdict"])]
    text = [
        f"# Profile {params.profile}: all tables",
        "Written by stage overview; do not edit. Verdicts, claim by claim: [verdicts/claims.md](verdicts/claims.md).",
        "\n".join(f"- {name}: {count}" for name, count in sorted(counted.items())),
    ]
    if differing:
        text.append(f"Other verdicts than in the reference run, mostly of another machine: {', '.join(differing)}.")
    for study in ("systems", "bench", *config.studies()):
        text.append(f"## {study}")
        tables = sorted((params.results / "tables" / study).glob("*.md"))
        text += [path.read_text(encoding="utf-8").strip() for path in tables]
    (params.results / "README.md").write_text("\n\n".join(text) + "\n", encoding="utf-8")
