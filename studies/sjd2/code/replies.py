"""Answers to the questions of the study's notebook, from results/<profile>/sjd2.json: a sentence of numbers each."""

from collections.abc import Mapping

from lib.evidence.report import Interval
from studies.sjd2.code import text
from studies.sjd2.code.answers import said
from studies.sjd2.code.claims import CLEAN, LUCK, NETWORKS, PROOF, SMALL, UNTUNED
from studies.sjd2.code.figures import DECODERS, NETWORK, runs_of, spelt
from studies.sjd2.code.reports import Results, Run

LEFT_OUT = "This profile does not measure it."


def listed(found: Mapping[str, Interval | None], digits: int = 2) -> str:
    """Names with their numbers; those without one are left out."""
    told = [f"{name} {said(entry, digits)}" for name, entry in found.items() if entry]
    return "; ".join(told) if told else ""


def sentence(before: str, told: str, after: str = "") -> str:
    """A sentence around what was found, if anything was."""
    return f"{before}{told}.{after}" if told else LEFT_OUT


def comparison(report: Results, group: str = "quality") -> str:
    """Who draws the pictures of autoregressive decoding, and in how many passes."""
    found = runs_of(report, SMALL, DECODERS, group)
    same = {DECODERS[role]: run.against.identical for role, run in found.items() if run.against.identical is not None}
    told = "; ".join(f"{name} {100 * share:.0f} %" for name, share in same.items())
    compressed = listed({DECODERS[role]: run.compression for role, run in found.items()})
    return sentence(
        "Pictures equal to autoregressive decoding's, token for token: ", told, f" Tokens a pass: {compressed}."
    )


def equality(report: Results) -> str:
    """What the rule for "equal" says of equal decoders."""
    told = "; ".join(
        f"{NETWORK.get(name, name)}, {null.pairs} pairs of {null.rows} captions: equal in {100 * null.equal:.0f} %, "
        f"where the difference is the margin in {100 * null.at_margin:.1f} %"
        for name, null in report.equality.items()
    )
    return sentence("In 95 or more, and in 2.5 at most. ", told)


def control(report: Results) -> str:
    """What is left of SJD2's gain."""
    found = {network: report.control[network] for network in NETWORKS if network in report.control}
    over = listed({NETWORK[network]: one.left_over_sjd for network, one in found.items()})
    plain = listed({NETWORK[network]: one.left_over_autoregressive for network, one in found.items()})
    after = f" Measured against autoregressive decoding: {plain}." if plain else ""
    return sentence("Share of the passes SJD2 saves over SJD that shared noise does not save: ", over, after)


def tuning(report: Results) -> str:
    """Shared noise on the small network, by its tuning."""
    networks = (UNTUNED, CLEAN, SMALL, "drafts:small")
    found = {NETWORK[one]: report.control[one].compression.get("shared") for one in networks if one in report.control}
    if SMALL in report.control:
        found["SJD2"] = report.control[SMALL].compression.get("sjd2")
    return sentence("Tokens a pass with shared noise: ", listed(found))


def exactness(report: Results) -> str:
    """Whether laws are what was argued."""
    cases = report.exactness.cases
    bound = LUCK / max(len(cases), 1)
    lossless = {name: case for name, case in cases.items() if case.lossless}
    lossy = {name: case for name, case in cases.items() if not case.lossless}
    kept, missed = sum(case.p >= bound for case in lossless.values()), sum(case.p < PROOF for case in lossy.values())
    told = f"{kept} of the {len(lossless)} decoders that are argued to be lossless show no p below {bound:.2g}"
    return sentence("", f"{told}; {missed} of the {len(lossy)} others one below {PROOF:g}" if cases else "")


def embeddings(report: Results) -> str:
    """How likely pictures are with and without equation 4."""
    group = report.groups.get("embeddings")
    kinds = {"denoised": "denoising alone", "clean": "clean slots"}
    runs = group.runs.values() if group else ()
    found = {
        f"{NETWORK.get(run.network, run.network)}, {kinds[run.options['accept']]}": run.judged
        for run in runs
        if run.decoder == "sjd2"
    }
    return sentence("Nats a token of the pictures: ", listed(found))


def surface(report: Results) -> str:
    """Where passes are fewest, and where time is least."""
    cells = report.surface.cells
    if not cells:
        return LEFT_OUT
    best = max(cells, key=lambda cell: cell.compression)
    told = f"Fewest passes: window {best.window}, {best.steps} steps (S {best.compression:.2f})."
    fastest = {cell.run: cell for cell in cells}
    names = [f"window {fastest[run].window}, {fastest[run].steps} steps" for run in report.surface.fastest]
    return told + (f" Least time, ties included: {'; '.join(names)}." if names else "")


def choices(report: Results) -> str:
    """What the readings of the paper change, against autoregressive decoding."""
    group = report.groups.get("decoders")
    runs = [run for run in (group.runs.values() if group else ()) if run.decoder == "sjd2"]
    found = {spelt(run): run.against.nats for run in runs if run.against.nats}
    return sentence("Nats a token more than autoregressive decoding's: ", listed(found, 3))


def stability(report: Results) -> str:
    """How often drafts change."""
    group = report.groups.get("stability")
    runs = group.runs.values() if group else ()
    return sentence("Changes of a token's draft: ", listed({spelt(run): run.changes_a_token for run in runs}))


def accepted(report: Results, group: str = "quality") -> str:
    """Passes that fix one token."""
    found: Mapping[str, Run] = runs_of(report, SMALL, ("sjd_authors", "sjd", "shared", "sjd2"), group)
    told = "; ".join(f"{DECODERS[role]} {100 * run.accepted.single:.0f} %" for role, run in found.items())
    return sentence("Passes that fix one token: ", told)


def windows(report: Results) -> str:
    """SJD's window."""
    group = report.groups.get("windows")
    runs = {run.options["window"]: run for run in (group.runs.values() if group else ()) if run.decoder == "sjd"}
    return sentence("Tokens a pass: ", listed({f"window {at}": runs[at].compression for at in sorted(runs)}))


def latency(report: Results) -> str:
    """Times less time, one picture at a time."""
    group = report.groups.get("latency")
    runs = [run for run in (group.runs.values() if group else ()) if run.network == SMALL]
    return sentence(
        "Times less time than autoregressive decoding: ", listed({spelt(run): run.against.latency for run in runs})
    )


def on_text(report: Results) -> str:
    """Text against pictures."""
    if report.text is None:
        return LEFT_OUT
    found = {text.NAMES[key]: entry for key, entry in report.text.compression.items()}
    loss = f" A character of the test captions costs {said(report.text.nats, 2)} nats."
    return sentence("Characters a pass: ", listed(found), loss)
