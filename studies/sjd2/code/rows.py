"""Rows of the decoding study's tables, from the report of stage sjd2/evaluate: one function a table."""

import itertools
from collections.abc import Collection, Iterator
from typing import Any

from lib.evidence.report import Estimate
from lib.evidence.tables import Number, interval
from studies.sjd2.code import measures, text
from studies.sjd2.code.claims import CONTROL, NETWORKS, ON_DRAFTS, OTHERWISE_TUNED, SMALL, runs_in, together
from studies.sjd2.code.measures import role_of
from studies.sjd2.code.reports import DraftTuned, Results, Run, Tuned

Rows = list[dict[str, Any]]


def plain(value: float | None, digits: int = 3) -> Number | None:
    """A value without an interval as a table cell."""
    return None if value is None else Number(value, digits=digits)


def described(run: Run) -> str:
    """The decoder of a run with what is set of it: options, steps, sampling at temperature 0."""
    said = [f"{name} {value}" for name, value in run.given.items() if name != "trace_slots"]
    if run.steps:
        said.append(f"{run.steps} steps")
    if run.sampling.temperature == 0:
        said.append("greedy")
    return ", ".join(said) or "–"


def runs_of(report: Results, *names: str) -> Iterator[tuple[str, str, Run]]:
    """(group, name, run) of the groups that there are."""
    for group in names:
        for name, run in runs_in(report.groups, group).items():
            yield group, name, run


def quality_rows(report: Results) -> Rows:
    """Passes and quality."""
    return [
        {
            "group": group,
            "network": run.network,
            "decoder": run.decoder,
            "options": described(run),
            "passes": Number(run.passes.value, digits=1),
            "S": interval(run.compression),
            "FID": interval(run.fid),
            "KID": interval(run.kid, 4),
            "CLIP score": interval(run.clip_score, 1),
            "accuracy": interval(run.accuracy),
            "exact": interval(run.exact),
            "nats": interval(run.nats, 3),
            "judged": interval(run.judged, 3),
            "Δ judged": interval(run.against.judged, 3),
            "same as AR": plain(run.against.identical),
        }
        for group, _, run in runs_of(report, "quality", "large", "wide", "full")
    ]


def category_rows(report: Results) -> Rows:
    """Accuracy by category, of the runs that claims are about; parts of the data differ in their categories."""
    names = ("autoregressive", "sjd", "shared", "sjd2_lossless", "sjd2")
    found = {(network, role): together(report.groups, network, role) for network in NETWORKS for role in names}
    measured = {key: runs[0] for key, runs in found.items() if runs and runs[0].accuracy}
    categories = dict.fromkeys(name for run in measured.values() for name in run.accuracy.categories)
    return [
        {"network": network, "decoder": role.replace("_", ", "), "options": described(run)}
        | {name.replace("_", " "): interval(run.accuracy.categories.get(name)) for name in categories}
        | {"overall": interval(run.accuracy)}
        for (network, role), run in measured.items()
    ]


def latency_rows(report: Results) -> Rows:
    """Steps, time and memory, one picture at a time and in batches."""
    return [
        {
            "batch": report.groups[group].batch_size,
            "network": run.network,
            "decoder": run.decoder,
            "options": described(run),
            "passes": Number(run.passes.value, digits=1),
            "steps ×": interval(run.compression),
            "time": interval(run.seconds, 1, 1000),
            "latency ×": interval(run.against.latency),
            "outside": interval(run.overhead, 1, 100),
            "cache": Number(run.cache_bytes / 1e6, digits=2),
            "tables": Number(run.table_bytes / 1e6, digits=2),
        }
        for group, _, run in runs_of(report, "latency", "batches")
        if run.seconds
    ]


def flops_rows(report: Results) -> Rows:
    """Operations a token, and the tokens a pass that they imply; the paper's two models below."""
    rows = [
        {
            "model": run.network,
            "decoder": run.decoder,
            "options": described(run),
            "operations": Number(run.flops_per_token / 1e6, digits=3),
            "operations ×": plain(run.against.flops, 1),
            "steps ×": Number(run.compression.value),
            "window": run.options.get("window"),
            "implied tokens": implied(run.against.flops, run.compression.value),
        }
        for _, _, run in runs_of(report, "decoders", "large", "wide")
        if run.against.flops
    ]
    for name, paper in measures.PAPER_MODELS.items():
        row = {"model": name, "decoder": "sjd2 (paper)", "options": f"{paper.steps} steps", "operations": None}
        row |= {"operations ×": Number(paper.flops, digits=1), "steps ×": Number(paper.compression)}
        rows.append(row | {"window": paper.window, "implied tokens": implied(paper.flops, paper.compression)})
    return rows if len(rows) > len(measures.PAPER_MODELS) else []


def implied(flops: float, compression: float) -> Number:
    """The slots of a pass that an operation count and S imply."""
    return Number(measures.tokens_a_pass(flops, compression), digits=1)


def size_rows(report: Results) -> Rows:
    """The same decoders on every network."""
    rows = []
    for network in NETWORKS:
        for role in ("autoregressive", "sjd", "shared", "sjd2"):
            found = together(report.groups, network, role)
            if found:
                (run,) = found
                rows.append(
                    {
                        "network": network,
                        "batch": run.batch_size,
                        "decoder": role,
                        "options": described(run),
                        "passes": Number(run.passes.value, digits=1),
                        "steps ×": interval(run.compression),
                        "Δ nats": interval(run.against.nats, 3),
                        "exact": interval(run.exact),
                    }
                )
    return rows


def accelerator_rows(report: Results) -> Rows:
    """All decoders on the small network, the paper's numbers beside."""
    rows = []
    for _, _, run in runs_of(report, "decoders"):
        paper = measures.PAPER_ACCELERATORS.get(run.decoder)
        rows.append(
            {
                "network": run.network,
                "decoder": run.decoder,
                "options": described(run),
                "settings": settings_of(run),
                "steps ×": interval(run.compression),
                "exact": interval(run.exact),
                "Δ exact": interval(run.against.exact),
                "Δ judged": interval(run.against.judged, 3),
                "paper latency ×": plain(paper and paper.latency, 2),
                "paper steps ×": plain(paper and paper.passes, 2),
                "paper CLIP": plain(paper and paper.clip_score, 1),
            }
        )
    return rows


def control_rows(report: Results) -> Rows:
    """SJD2 and others beside Jacobi decoding with shared noise, and what is left of SJD2's gain."""
    rows = []
    for network, role in itertools.product((*NETWORKS, *OTHERWISE_TUNED), CONTROL):
        found, (name, lossless) = report.control.get(network), CONTROL[role]
        if found and role in found.compression:
            rows.append(
                {
                    "network": network,
                    "decoder": name,
                    "lossless": "yes" if lossless else "no",
                    "S": interval(found.compression[role]),
                    "passes, shared / its": interval(found.shared_over.get(role)),
                    "left, of the gain over SJD": interval(found.left_over_sjd if role == "sjd2" else None),
                    "left, of the gain over AR": interval(
                        found.left_over_autoregressive if role == "sjd2" else None, 3
                    ),
                    "Δ nats": interval(found.nats.get(role), 3),
                    "same as AR": plain(found.same.get(role)),
                }
            )
    return rows


def settings_of(run: Run) -> str:
    """Whose settings a run has."""
    return "chosen" if run.chosen else "given"


def ablation_rows(report: Results, group: str) -> Rows:
    """Every run of a group: passes, likelihood, exact accuracy."""
    return [
        {
            "network": run.network,
            "decoder": run.decoder,
            "options": described(run),
            "S": interval(run.compression),
            "nats": interval(run.nats, 3),
            "judged": interval(run.judged, 3),
            "exact": interval(run.exact),
            "single": interval(run.single, 1, 100),
        }
        for _, _, run in runs_of(report, group)
    ]


def network_rows(report: Results) -> Rows:
    """What fine-tuning did to the loss; after noisy inputs, the mean over the levels of the longest schedule."""
    rows = []
    for name, entry in report.networks.items():
        noisy = [value for value in entry.nats_per_level[1:] if value is not None]
        rows.append(
            {
                "network": name,
                "levels": entry.levels,
                "spacing": entry.spacing,
                "standardized": "yes" if entry.standardize else "no",
                "table": Number(entry.deviation_after, digits=3),
                "clean inputs": Number(100 * entry.clean_share, digits=0),
                "updates": Number(100 * entry.updates_share, digits=1),
                "clean, before": interval(entry.untuned, 3),
                "clean, after": interval(entry.tuned, 3),
                "after noise": Number(sum(noisy) / len(noisy), digits=3) if noisy else None,
                "after noise alone": interval(entry.after_noise, 3),
            }
        )
    return rows


def draft_tuning_rows(report: Results) -> Rows:
    """The small network tuned for SJD2 and on drafts: loss on clean input, S, and what the samples are worth."""
    tuned: dict[str, Tuned | None] = {SMALL: report.networks.get(SMALL)}
    tuned |= {f"{ON_DRAFTS}{name}": entry for name, entry in report.draft_tuned.items()}
    rows = []
    for network, entry in tuned.items():
        for role in ("autoregressive", "shared", "sjd2"):
            if entry and (found := together(report.groups, network, role, only=["quality"])):
                (run,) = found
                rows.append(
                    {
                        "network": network,
                        "drafted": Number(100 * entry.drafted, digits=0) if isinstance(entry, DraftTuned) else None,
                        "updates": Number(100 * entry.updates_share, digits=1),
                        "clean, before": interval(entry.untuned, 3),
                        "rise": interval(entry.rise, 3),
                        "decoder": role,
                        "S": interval(run.compression),
                        "judged": interval(run.judged, 3),
                        "exact": interval(run.exact),
                        "KID": interval(run.kid, 4),
                    }
                )
    return rows


def choice_rows(report: Results) -> Rows:
    """What stage choose took, of how many settings."""
    return [
        {
            "decoder": name,
            "network": network,
            "options": ", ".join(f"{key} {value}" for key, value in one.options.items()) or "–",
            "steps": one.steps or None,
            "tried": len(one.tried),
            "within the margin": sum(other.good for other in one.tried),
            "S": Number(taken.compression),
            "Δ judged": Number(taken.nats, digits=3),
        }
        for name, networks in report.choice.decoders.items()
        for network, one in networks.items()
        for taken in one.tried
        if (taken.options, taken.steps) == (one.options, one.steps)
    ]


def entropy_rows(report: Results) -> Rows:
    """S by temperature, and so by the entropy of a token."""
    runs = runs_in(report.groups, "entropy")
    found: dict[float, dict[str, Any]] = {}
    for name, run in runs.items():
        row = found.setdefault(run.sampling.temperature, {"temperature": Number(run.sampling.temperature, digits=1)})
        role = role_of(name)
        plain = role == "autoregressive"
        row |= {"entropy": interval(run.entropy)} if plain else {f"S, {role}": interval(run.compression)}
    return list(found.values())


def surface_rows(report: Results) -> Rows:
    """Window × steps."""
    return [
        {
            "window": cell.window,
            "steps": cell.steps,
            "window / steps": Number(cell.window / cell.steps),
            "S": Number(cell.compression),
            "time": None if cell.seconds is None else Number(1000 * cell.seconds, digits=1),
            "nats": Number(cell.nats, digits=3),
            "exact": plain(cell.exact),
            "tied for fastest": "yes" if cell.run in report.surface.fastest else "",
        }
        for cell in sorted(report.surface.cells, key=lambda cell: (cell.window, cell.steps))
    ]


def initial_rows(report: Results) -> Rows:
    """First drafts by the background of the picture."""
    found = report.initial.compression
    kinds = sorted(set().union(*found.values()))
    return [{"first drafts": start} | {kind: interval(own.get(kind)) for kind in kinds} for start, own in found.items()]


def stability_rows(report: Results) -> Rows:
    """Changes of drafts at the front of the window."""
    rows, runs = [], [run for _, _, run in runs_of(report, "stability") if run.changes]
    for run in runs:
        row = {"decoder": run.decoder, "options": described(run), "S": interval(run.compression)}
        columns = dict(zip(run.changes.slots, zip(*run.changes.by_seed, strict=True), strict=True))
        for slot in sorted({slot for other in runs for slot in other.changes.slots}):
            found = Estimate.of(columns[slot], f"{run.decoder} {slot}") if slot in columns else None
            row[f"slot {slot + 1}"] = interval(found, 3)
        rows.append(row | {"a token": interval(run.changes_a_token)})
    return rows


def exactness_rows(report: Results) -> Rows:
    """Laws on the toy chain."""
    return [
        {
            "decoder": name,
            "argued lossless": "yes" if case.lossless else "no",
            "distance": Number(case.total_variation, digits=4),
            "by chance": Number(case.by_chance.mean, digits=4),
            "at most": Number(case.by_chance.most, digits=4),
            "p": f"{case.p:.2g}",
            **{f"same, batch {size}": plain(same) for size, same in case.same_in_batches_of.items()},
        }
        for name, case in report.exactness.cases.items()
    ]


def option_rows(report: Results, decoders: Collection[str]) -> Rows:
    """Options of these decoders, side by side."""
    return [
        {
            "decoder": run.decoder,
            "options": described(run),
            "S": interval(run.compression),
            "nats": interval(run.nats, 3),
            "judged": interval(run.judged, 3),
            "Δ judged": interval(run.against.judged, 3),
            "exact": interval(run.exact),
            "Δ exact": interval(run.against.exact),
        }
        for _, _, run in runs_of(report, "decoders")
        if run.decoder in decoders
    ]


def text_rows(report: Results) -> Rows:
    """Decoders of pictures on text."""
    runs = {key: together(report.groups, "small", role) for key, role in text.ROLES.items()}
    return text.rows(report.text, {key: found[0].compression for key, found in runs.items() if found})


def equality_rows(report: Results) -> Rows:
    """What the rule for "equal" makes of lossless pairs, by simulation."""
    return [
        {
            "group": name,
            "pairs": null.pairs,
            "captions": null.rows,
            "deviation": Number(null.deviation, digits=3),
            "margin": Number(null.margin),
            "equal": Number(100 * null.equal, digits=1),
            "among all tests": Number(100 * null.equal_corrected, digits=1),
            "not equal": Number(100 * null.not_equal, digits=1),
            "at the margin: equal": Number(100 * null.at_margin, digits=1),
        }
        for name, null in report.equality.items()
    ]
