"""A page a claim, and the list of all."""

from html import escape
from typing import Any

from lib.evidence import provenance
from lib.evidence.ledger import Claim
from lib.evidence.verdicts import NOT_ATTEMPTED
from pages import papers, plots, text
from pages.material import BENCH, VERDICTS, Material

KNOWN = {
    "paper": "The paper was read in full.",
    "excerpt": "Only an excerpt of the source was at hand.",
    "code": "The statement is what the source's code does.",
    "second hand": "The statement is somebody else's summary of the source; its own wording was not at hand.",
}
SCALES = {"reduced": "small networks on this repository's own pictures", "paper": "the paper's own size"}


KINDS = ("reproduced", "supported", "inconclusive", "contradicted", "not-attempted")


def kind(verdict: str) -> str:
    """One word for a verdict, for style sheets and counts."""
    return next(word for word in KINDS if word.replace("-", " ") in verdict)


def badge(verdict: str) -> str:
    """A verdict as a coloured label that says its word."""
    word = NOT_ATTEMPTED if verdict.startswith(NOT_ATTEMPTED) else verdict
    return f'<span class="verdict {kind(verdict)}">{escape(word)}</span>'


def effect(material: Material, claim: Claim) -> str:
    """What was measured, in the shortest form; a dash if nothing was."""
    found, unit = measured(material, claim)
    return f"{found} {escape(unit)}".strip()


def measured(material: Material, claim: Claim) -> tuple[str, str]:
    """The same without its unit, and the unit, "" for counts and answers."""
    index, record = material.verdicts[claim.id]
    metric = claim.metric
    if record["effect"]:
        return text.interval(material, VERDICTS, f"claims.{index}.effect"), record["unit"]
    if metric is None or record["verdict"].startswith(NOT_ATTEMPTED):
        return "–", ""
    if metric.kind == "interval":
        unit = material.value(metric.results, f"{metric.key}.unit")
        return text.interval(material, metric.results, metric.key), unit
    return _counted(material, claim), ""


def _counted(material: Material, claim: Claim) -> str:
    """What was found of a claim that is counted, or ruled out by arithmetic."""
    metric = claim.metric
    found = material.value(metric.results, metric.key)
    if metric.kind == "possible":
        return "possible" if found["possible"] else "impossible"
    if isinstance(found, bool):
        return "yes" if found else "no"
    if isinstance(found, str):
        return escape(found)
    if isinstance(found, list):
        return ", ".join(text.data(material, metric.results, f"{metric.key}.{i}") for i in range(len(found)))
    return text.data(material, metric.results, metric.key)


def paper_value(claim: Claim) -> str:
    """The source's number with its unit."""
    if claim.paper_value is None:
        return "none printed"
    return escape(f"{claim.paper_value} {claim.unit or ''}".strip())


def page(material: Material, claim: Claim) -> str:
    """The page of one claim."""
    index, record = material.verdicts[claim.id]
    sources = [material.ledger_file(claim), str(material.results / VERDICTS)]
    parts = [
        f"# {claim.id}: {text.plain(claim.statement)}",
        f"<p>{badge(record['verdict'])}</p>\n",
        "## The source",
        _facts(
            {
                **_study(material, claim),
                "Source": papers.links(material, claim, "../"),
                "Place": escape(claim.source.place),
                "How we know it": KNOWN[claim.source.known_from] if not claim.source.own else "We ask it ourselves.",
                "Value printed there": paper_value(claim),
            }
        ),
        "## What was tested",
        text.plain(claim.test),
        _rows(material, claim, record),
        "## What came out",
        _outcome(material, claim, index, record),
        *_figures(material, claim),
        "## Check it",
        _check(material, claim),
    ]
    return text.front(sources) + "\n\n".join(filter(None, parts)) + "\n"


def _study(material: Material, claim: Claim) -> dict[str, str]:
    """A link to its study, where there is one."""
    if claim.study not in material.studies:
        return {}
    return {"Study": f'<a href="../studies/{claim.study}.html">{escape(material.title(claim.study))}</a>'}


def _facts(facts: dict[str, str]) -> str:
    rows = "\n".join(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in facts.items())
    return f'<dl class="facts">\n{rows}\n</dl>\n'


def _rows(material: Material, claim: Claim, record: dict) -> str:
    """Where the numbers lie, and every seed's."""
    metric = claim.metric
    if metric is None:
        return ""
    facts = {"Scale": SCALES[claim.scale], "Rows": f"<code>{metric.key}</code> of <code>{metric.results}</code>"}
    if record["verdict"].startswith(NOT_ATTEMPTED):
        return _facts(facts)
    measured = material.value(metric.results, metric.key)
    if not isinstance(measured, dict) or "seeds_are" not in measured:
        if isinstance(measured, dict) and "over" in measured:
            facts["Interval over"] = escape(measured["over"])
        return _facts(facts)
    count = f'<data data-from="{material.results / VERDICTS}#claims.{material.verdicts[claim.id][0]}.seeds">'
    facts["Seeds"] = f"{count}{record['seeds']}</data> {escape(measured['seeds_are'])}"
    rows = [
        [name, *(text.data(material, metric.results, f"{metric.key}.{name}.{i}") for i in range(len(measured[name])))]
        for name in ("baseline", "treatment", "values")
        if name in measured
    ]
    head = ["by seed", *[""] * (len(rows[0]) - 1)]
    seeds = text.table(head, rows, numeric=range(1, len(rows[0])))
    return _facts(facts) + f"<details><summary>Every seed, in {escape(measured['unit'])}</summary>\n{seeds}</details>\n"


def _outcome(material: Material, claim: Claim, index: int, record: dict[str, Any]) -> str:
    parts = []
    found = effect(material, claim)
    if record["effect"] or (claim.metric and claim.metric.kind == "interval" and found != "–"):
        what = "Mean difference" if "Mean difference" in record["sentence"] else "Value"
        parts.append(f'<p class="found">{what}, with its interval: {found}</p>\n')
    if record["effect"]:
        parts.append(plots.effect(material, claim, f"claims.{index}.effect"))
    parts.append(f"**{record['verdict'][0].upper()}{record['verdict'][1:]}.** {text.plain(reason(material, claim))}")
    if record["reference"] not in (None, record["verdict"]):
        parts.append(f"The pinned reference run found otherwise: *{record['reference']}*.")
    parts.append("How verdicts follow from numbers: [the rule](../docs/statistics.md).")
    return "\n\n".join(parts)


def reason(material: Material, claim: Claim) -> str:
    """Why a claim has its verdict: the verdict's sentence, in words where that sets two values beside each other."""
    sentence, metric = material.verdicts[claim.id][1]["sentence"], claim.metric
    if metric is None or metric.kind != "exact" or not sentence.startswith(("Equal:", "Not equal:")):
        return sentence
    met = sentence.startswith("Equal:")
    if isinstance(metric.equals, bool):
        does = "does" if met == metric.equals else "does not"
        return f"What was tested {'had to' if metric.equals else 'must not'} hold, and it {does}."
    wanted = metric.equals if isinstance(metric.equals, list) else [metric.equals]
    return f"It had to be {', '.join(map(str, wanted))}, and it {'is' if met else 'is not'}."


def _figures(material: Material, claim: Claim) -> list[str]:
    shown = [figure for figure in material.figures if claim.id in figure.claims]
    return ["## Figures", *(plots.figure(material, figure, "../") for figure in shown)] if shown else []


def _check(material: Material, claim: Claim) -> str:
    """Command, minutes and the hashes of what went in."""
    if claim.metric is None:
        return f"Not attempted: it needs {text.plain(claim.needs)}."
    made = material.made(claim.metric.results)
    study = made.stage.rpartition("/")[0]
    rows = [
        (
            f"<code>make repro{f' STUDY={study}' if study else ''}</code>",
            "from nothing: the bench, then the study",
            _minutes(material, study),
        ),
        ("<code>make check</code>", "verdict, tables and figures again, from the committed results", "a few minutes"),
    ]
    path = str(material.results / claim.metric.results)
    inputs = [(path, provenance.file_hash(path)), *sorted(made.reads.items())]
    hashes = text.table(
        ["file", "hash"],
        [(f"<code>{escape(name)}</code>", f"<code class=hash>{value}</code>") for name, value in inputs],
        attributes=f'data-from="{path} {_lock(study)}"',
    )
    return (
        text.table(["command", "what it does", "time (min)"], rows)
        + f"\n<details><summary>Hashes of inputs</summary>\n<p>Of the results file (sha256), and of what "
        f"its stage <code>{made.stage}</code> read (md5, from <code>{_lock(study)}</code>).</p>\n{hashes}</details>\n"
    )


def _lock(study: str) -> str:
    return f"studies/{study}/dvc.lock" if study else "dvc.lock"


def _minutes(material: Material, study: str) -> str:
    def of(row: str) -> str:
        return f"{material.cost(row):.2f}"

    return f'<span data-from="results/runtimes.md">{of(BENCH)} + {of(study)}</span>' if study else of(BENCH)


def listed(material: Material) -> str:
    """The list of all claims, study by study, with the counts of verdicts."""
    sources = [str(material.results / VERDICTS), *(material.ledger_file(claim) for claim in material.ledger.claims)]
    parts = ["# Claims and verdicts", counts(material), FILTER]
    for study in dict.fromkeys(claim.study for claim in material.ledger.claims):
        rows = [row(material, claim, "") for claim in material.ledger.claims if claim.study == study]
        title = text.plain(material.title(study))
        parts += [f"## {title}", text.table(HEAD, rows, attributes='class="claims"')]
    return text.front(sources) + "\n\n".join(parts) + "\n"


HEAD = ("id", "claim", "paper's value", "found here: value or mean difference", "verdict")
FILTER = """<p class="filter"><label for="verdicts">Show</label>
<select id="verdicts"><option value="">all verdicts</option></select></p>
"""


def row(material: Material, claim: Claim, up: str) -> tuple[str, ...]:
    """A claim in a table; `up`: the way to the folder of the pages of claims."""
    _, record = material.verdicts[claim.id]
    return (
        f'<a href="{up}{claim.id}.html">{claim.id}</a>',
        escape(claim.statement),
        paper_value(claim),
        effect(material, claim),
        badge(record["verdict"]),
    )


def counted(material: Material, study: str | None = None) -> dict[str, int]:
    """How many claims have a verdict of each kind, of one study or of all."""
    chosen = [record for _, record in material.verdicts.values() if study in (None, record["study"])]
    return {word: sum(kind(record["verdict"]) == word for record in chosen) for word in KINDS}


def counts(material: Material, study: str | None = None) -> str:
    """A bar of verdicts with its numbers, of one study or of all."""
    origin = str(material.results / VERDICTS)
    items = "".join(
        f'<li class="{word}" style="flex-grow:{count}"><data data-from="{origin}" data-counts="{study or ""}:{word}">'
        f"{count}</data> {word.replace('-', ' ')}</li>"
        for word, count in counted(material, study).items()
        if count
    )
    return f'<ul class="bar" aria-label="verdicts">{items}</ul>\n'


def order(claims: list[Claim]) -> list[Claim]:
    """Claims sorted by letter and number."""
    return sorted(claims, key=lambda claim: (claim.id[0], int("".join(filter(str.isdigit, claim.id)) or 0)))
