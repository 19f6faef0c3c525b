"""Answers to the questions of the study's notebook, from results/<profile>/sjd2.json: a sentence of numbers each."""

from collections.abc import Mapping

from lib.evidence.report import Interval
from studies.sjd2.code import text
from studies.sjd2.code.answers import said
from studies.sjd2.code.claims import LUCK, PROOF, together
from studies.sjd2.code.figures import COMPARED, DECODERS, GROUPS, NETWORK, TUNINGS, left_over, likelihood, runs_of
from studies.sjd2.code.reports import Results

LEFT_OUT = "This profile does not measure it."


def listed(found: Mapping[str, Interval | None], digits: int = 2) -> str:
    """Names with their numbers; those without one are left out."""
    told = [f"{name} {said(entry, digits)}" for name, entry in found.items() if entry]
    return "; ".join(told) if told else ""


def sentence(before: str, told: str, after: str = "") -> str:
    """A sentence around what was found, if anything was."""
    return f"{before}{told}.{after}" if told else LEFT_OUT


def comparison(report: Results) -> str:
    """Who draws the pictures of autoregressive decoding, and in how many passes."""
    found = runs_of(report, "decoders", DECODERS)
    same = {DECODERS[name]: run.against.identical for name, run in found.items() if run.against.identical is not None}
    told = "; ".join(f"{name} {100 * share:.0f} %" for name, share in same.items())
    passes = listed({DECODERS[name]: run.compression for name, run in found.items()})
    return sentence(
        "Pictures equal to autoregressive decoding's, token for token: ", told, f" Tokens a pass: {passes}."
    )


def equality(report: Results) -> str:
    """What the rule for "equal" says of equal decoders."""
    told = "; ".join(
        f"group {name}, {null.pairs} pairs of {null.rows} captions: equal in {100 * null.equal:.0f} %, "
        f"where the difference is the margin in {100 * null.at_margin:.1f} %"
        for name, null in report.equality.items()
    )
    return sentence("In 95 or more, and in 2.5 at most. ", told)


def control(report: Results) -> str:
    """What is left of SJD2's gain."""
    small = listed({DECODERS[name]: run.compression for name, run in runs_of(report, "quality", COMPARED).items()})
    over = listed({NETWORK[network]: left_over(report, network) for network in GROUPS})
    told = over or "SJD2 takes no fewer passes than SJD on any network"
    after = f" Share of the passes SJD2 saves over SJD that shared noise does not save: {told}."
    return sentence("Tokens a pass on the small network: ", small, after)


def tuning(report: Results) -> str:
    """Shared noise on the small network, by its tuning."""
    found = {
        f"{DECODERS[TUNINGS[name][1]]}, {TUNINGS[name][0]}".replace("\n", " "): run.compression
        for name, run in runs_of(report, "quality", TUNINGS).items()
    }
    return sentence("Tokens a pass: ", listed(found))


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
    found = {
        f"{DECODERS[name.split('_')[0]]}, {NETWORK[run.network]}": likelihood(run)
        for name, run in runs_of(report, "embeddings").items()
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
    runs = runs_of(report, "decoders", ("sjd2", "sjd2_authors", "sjd2_lossless", "sjd2_any", "denoised"))
    found = {DECODERS[name]: run.against.nats for name, run in runs.items()}
    passes = listed({DECODERS[name]: run.compression for name, run in runs.items()})
    return sentence("Nats a token above autoregressive decoding's: ", listed(found, 3), f" Tokens a pass: {passes}.")


def stability(report: Results) -> str:
    """How often drafts change."""
    found = {DECODERS[name]: run.changes_a_token for name, run in runs_of(report, "stability").items()}
    return sentence("Changes of a token's draft: ", listed(found))


def accepted(report: Results) -> str:
    """Passes that fix one token."""
    found = runs_of(report, "decoders", ("sjd_authors", "sjd", "shared", "sjd2"))
    told = "; ".join(f"{DECODERS[name]} {100 * run.accepted.single:.0f} %" for name, run in found.items())
    return sentence("Passes that fix one token: ", told)


def windows(report: Results) -> str:
    """SJD's window."""
    runs = {run.options["window"]: run.compression for run in runs_of(report, "windows").values()}
    return sentence("Tokens a pass: ", listed({f"window {at}": runs[at] for at in sorted(runs)}))


def entropy(report: Results) -> str:
    """S by the entropy of a token."""
    found = {
        f"{DECODERS[name.rsplit('_', 1)[0]]} at {run.entropy.value:.1f} nats": run.compression
        for name, run in runs_of(report, "entropy").items()
        if run.decoder != "autoregressive"
    }
    return sentence("Tokens a pass: ", listed(found))


def latency(report: Results) -> str:
    """Times less time, one picture at a time."""
    found = {DECODERS[name]: run.against.latency for name, run in runs_of(report, "latency", DECODERS).items()}
    return sentence("Times less time than autoregressive decoding: ", listed(found))


def on_text(report: Results) -> str:
    """Text against pictures."""
    if report.text is None:
        return LEFT_OUT
    found = {text.NAMES[key]: entry for key, entry in report.text.compression.items()}
    loss = f" A character of the test captions costs {said(report.text.nats, 2)} nats."
    runs = {text.NAMES[key]: together(report.groups, "small", role) for key, role in text.ROLES.items()}
    pictures = listed({name: own[0].compression for name, own in runs.items() if own})
    return sentence(
        "Characters a pass: ", listed(found), f"{loss} Tokens of pictures a pass: {pictures or 'not measured'}."
    )
