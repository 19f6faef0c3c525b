"""Pages about the whole: start, runtimes, contradictions and negative results, tables."""

from html import escape
from pathlib import Path

from lib.evidence.verdicts import CONTRADICTED, INCONCLUSIVE, MISSED, NOT_ATTEMPTED
from pages import claims, text
from pages.links import Links
from pages.material import VERDICTS, Material


def start(material: Material) -> str:
    """The first page."""
    studies = "\n".join(
        f'<li><a href="studies/{study or "bench"}.html"><strong>{escape(material.title(study))}</strong></a>'
        f"{claims.counts(material, study) if study else ''}</li>"
        for study in material.pages
    )
    return text.front(_ledgers(material)) + "\n\n".join(
        [
            "# Easel",
            "Papers on text-to-image generation, run again from nothing – data, image tokenizer, networks, sampling, "
            "measurements – on one bench, with a verdict for every claim.",
            claims.counts(material),
            "[All claims](claims/index.md), [every system in one table](tables/systems.md), "
            "[what was contradicted or found nothing](negative.md), "
            "[what a run costs](runtimes.md).",
            "## Studies",
            f'<ul class="studies">\n{studies}\n</ul>\n',
            "## Where to begin",
            "- **To check a claim:** its [page](claims/index.md) has the sentence, its source, what was tested, every "
            "seed's number, the verdict and the command that repeats it. All of them on one page: the "
            "[artifact appendix](artifact/appendix.md).\n"
            "- **To learn:** the [notebooks](notebooks/index.md) have equations beside the code that they name; "
            "[interactive figures](interactive.md), [galleries](galleries.md), [the pipeline](pipeline.md), a "
            "[glossary](glossary.md).\n"
            "- **To doubt or change:** [how verdicts follow from numbers](docs/statistics.md), the "
            "[data sheet](docs/data_sheet.md), the [kinds of fault](docs/faults.md) that tests hold, "
            "[how the repository is built](docs/house.md).\n"
            "- **To write:** every figure links its PDF and the data it plots; [papers](papers/index.md) have BibTeX.",
            "## What these pages are",
            "Made by `make pages` from what Git tracks, without data, networks or a network. Every measured number on "
            "them is read from `results/`; the page's source says from which place there, and a test compares them.",
        ]
    )


def _ledgers(material: Material) -> list[str]:
    return list(dict.fromkeys(map(material.ledger_file, material.ledger.claims)))


def runtimes(material: Material, links: Links) -> str:
    """What a run costs."""
    parts = [
        "# Runtimes",
        Path("results/runtimes.md").read_text(encoding="utf-8"),
        "Measured by the stages of the pinned run themselves. The last rows are sums; peak memory is the largest.",
    ]
    for path in sorted(Path("results/benchmarks").glob("*.md")):
        parts += [f"## Benchmark: {text.plain(path.stem.replace('_', ' '))}", path.read_text(encoding="utf-8")]
    logs = [f"- [{path.name}](../{links.page_of(str(path))}.md)" for path in Path("results/benchmarks").glob("*.log")]
    if logs:
        parts += ["## Logs", *(line.replace("](../", "](") for line in logs)]
    return text.front(
        ["results/runtimes.md", *map(str, sorted(Path("results/benchmarks").glob("*.md")))]
    ) + "\n\n".join(parts)


def negative(material: Material) -> str:
    """Contradictions, open questions, what was not attempted, what the bench misses."""
    kinds = {
        CONTRADICTED: (
            "Contradicted here",
            "The evidence lies on the other side of what is said. Mostly that is said of larger networks and other "
            "data, so a contradiction is one of the trend at this size.",
        ),
        INCONCLUSIVE: (
            "Inconclusive",
            "The evidence does not decide. Few seeds decide large effects only; an interval that leans one way is no "
            "verdict.",
        ),
        NOT_ATTEMPTED: ("Not attempted", "What it would take is said with each."),
    }
    parts = [
        "# Contradictions and negative results",
        "A negative result is a result. This page has every claim that did not come out as its source says. How the "
        f"experiments differ from the papers' is said with each study: {_studies(material)}.",
    ]
    for verdict, (title, said) in kinds.items():
        found = [
            claim for claim in material.ledger.claims if material.verdicts[claim.id][1]["verdict"].startswith(verdict)
        ]
        rows = [
            (
                f'<a href="claims/{claim.id}.html">{claim.id}</a>',
                escape(claim.statement),
                claims.paper_value(claim),
                claims.effect(material, claim),
                escape(claims.reason(material, claim)),
            )
            for claim in found
        ]
        parts += [f"## {title}", said, text.table((*claims.HEAD[:-1], "why"), rows, attributes='class="reasons"')]
    parts += ["## Where two runs parted", _parted(material), "## What the bench misses", _bench(material)]
    return text.front([str(material.results / VERDICTS), *_ledgers(material)]) + "\n\n".join(parts) + "\n"


def _studies(material: Material) -> str:
    return ", ".join(f"[{text.plain(material.title(study))}](studies/{study}.md)" for study in material.studies)


def _parted(material: Material) -> str:
    differing = [
        f"- [{claim}](claims/{claim}.md): here *{record['verdict']}*, in the pinned run *{record['reference']}*"
        for claim, (_, record) in material.verdicts.items()
        if record["reference"] not in (None, record["verdict"])
    ]
    return "\n".join(differing) or "All verdicts are those of the pinned reference run."


def _bench(material: Material) -> str:
    outcomes = {entry["id"]: entry for entry in material.document(VERDICTS)["bench"]}
    missed = [item for item in material.ledger.bench if outcomes.get(item.id, {}).get("outcome") == MISSED]
    if not missed:
        return "Everything that the repository asks of its own bench is met, or not measured in this profile."
    return "\n".join(
        f"- {item.id}: {text.plain(item.statement)} {text.plain(outcomes[item.id]['sentence'])}" for item in missed
    )


def tables(material: Material, links: Links) -> dict[str, str]:
    """Page → Markdown of every table of results, as its stage wrote it, and the list of them."""
    found, parts = {}, ["# Tables", "As the stages wrote them; `.csv` and `.tex` lie beside each in `results/`."]
    for study in material.pages:
        parts += [f"## {text.plain(material.title(study))}", listed_tables(material, study, "")]
        for path in table_files(material, study):
            page = f"tables/{path.stem}"
            title, rest = _titled(path)
            found[page] = text.front([str(path)]) + f"# {title}\n{links.rewritten(rest, str(path), page)}"
    return found | {"tables/index": text.front([]) + "\n\n".join(parts) + "\n"}


def table_files(material: Material, study: str) -> list[Path]:
    """The tables of a study; of the bench and over all studies, if it is ""."""
    folders = [study] if study else ["systems", "bench"]
    return [path for name in folders for path in sorted((material.results / "tables" / name).glob("*.md"))]


def listed_tables(material: Material, study: str, way: str) -> str:
    """Links to the tables of a study; `way`: to their folder."""
    lines = "\n".join(
        f'<li data-from="{path}"><a href="{way}{path.stem}.html">{escape(_titled(path)[0])}</a></li>'
        for path in table_files(material, study)
    )
    return f"<ul>\n{lines}\n</ul>\n"


def _titled(path: Path) -> tuple[str, str]:
    """The caption, with which a table begins, and what follows."""
    caption, _, rest = path.read_text(encoding="utf-8").partition("\n")
    return caption.strip("*").rstrip("."), rest
