"""Rows of the decoding study's tables, from the report of stage sjd2/evaluate: one function a table."""

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

from lib.evidence.statistics import estimate
from lib.evidence.tables import Number
from studies.sjd2.code import measures
from studies.sjd2.code.claims import CONTROL, FIRST, NETWORKS, OTHERWISE_TUNED, Run, together
from studies.sjd2.code.settings import DRAFT_TUNED

Rows = list[dict[str, Any]]


def number(entry: Mapping[str, Any] | None, digits: int = 2, scale: float = 1.0) -> Number | None:
    """{"value", "low", "high"} as a table cell."""
    if entry is None:
        return None
    return Number(*(scale * entry[end] for end in ("value", "low", "high")), digits=digits)


def described(run: Run) -> str:
    """The decoder of a run with what is set of it: options, steps, sampling at temperature 0."""
    said = [f"{name} {value}" for name, value in run["given"].items() if name != "trace_slots"]
    if run["steps"]:
        said.append(f"{run['steps']} steps")
    if run["sampling"]["temperature"] == 0:
        said.append("greedy")
    return ", ".join(said) or "–"


def runs_of(report: Mapping[str, Any], *names: str) -> Iterator[tuple[str, str, Run]]:
    """(group, name, run) of the groups that there are."""
    for group in names:
        for name, run in report["groups"].get(group, {"runs": {}})["runs"].items():
            yield group, name, run


def quality_rows(report: Mapping[str, Any]) -> Rows:
    """Passes and quality."""
    return [
        {
            "group": group,
            "network": run["network"],
            "decoder": run["decoder"],
            "options": described(run),
            "passes": Number(run["passes"]["value"], digits=1),
            "S": number(run["compression"]),
            "FID": number(run.get("fid")),
            "KID": number(run.get("kid"), 4),
            "CLIP score": number(run.get("clip_score"), 1),
            "accuracy": number(run.get("accuracy")),
            "exact": number(run.get("exact")),
            "nats": number(run["nats"], 3),
            "same as AR": against(run, "identical", 3),
        }
        for group, _, run in runs_of(report, *FIRST)
    ]


def against(run: Run, key: str, digits: int) -> Number | None:
    """A plain number of the comparison with autoregressive decoding."""
    value = run.get("against", {}).get(key)
    return None if value is None else Number(value, digits=digits)


def category_rows(report: Mapping[str, Any]) -> Rows:
    """Accuracy by category, of the runs that claims are about."""
    names = ("autoregressive", "sjd", "shared", "sjd2_lossless", "sjd2")
    rows = []
    for network in NETWORKS:
        for role in names:
            found = together(report["groups"], network, role, only=FIRST)
            if found and "accuracy" in found[0]:
                row = {"network": network, "decoder": role.replace("_", ", "), "options": described(found[0])}
                for category, entry in found[0]["accuracy"]["categories"].items():
                    row[category.replace("_", " ")] = number(entry)
                rows.append(row | {"overall": number(found[0]["accuracy"])})
    return rows


def latency_rows(report: Mapping[str, Any]) -> Rows:
    """Steps, time and memory, one picture at a time (group latency), and in batches (group decoders)."""
    return [
        {
            "batch": report["groups"][group]["batch_size"],
            "network": run["network"],
            "decoder": run["decoder"],
            "options": described(run),
            "passes": Number(run["passes"]["value"], digits=1),
            "steps ×": number(run["compression"]),
            "time": number(run["seconds"], 1, 1000),
            "latency ×": number(run.get("against", {}).get("latency")),
            "outside": number(run["overhead"], 1, 100),
            "cache": Number(run["cache_bytes"] / 1e6, digits=2),
            "tables": Number(run["table_bytes"] / 1e6, digits=2),
        }
        for group, _, run in runs_of(report, "latency", "decoders")
        if "seconds" in run
    ]


def flops_rows(report: Mapping[str, Any]) -> Rows:
    """Operations a token, and the tokens a pass that they imply; the paper's two models below."""
    rows = [
        {
            "model": run["network"],
            "decoder": run["decoder"],
            "options": described(run),
            "operations": Number(run["flops_per_token"] / 1e6, digits=3),
            "operations ×": against(run, "flops", 1),
            "steps ×": Number(run["compression"]["value"]),
            "window": run["options"].get("window"),
            "implied tokens": implied(run["against"]["flops"], run["compression"]["value"]),
        }
        for _, _, run in runs_of(report, "decoders", "large", "wide")
        if "against" in run
    ]
    for name, paper in measures.PAPER_MODELS.items():
        row = {"model": name, "decoder": "sjd2 (paper)", "options": f"{paper['steps']} steps", "operations": None}
        row |= {"operations ×": Number(paper["flops"], digits=1), "steps ×": Number(paper["compression"])}
        rows.append(row | {"window": paper["window"], "implied tokens": implied(paper["flops"], paper["compression"])})
    return rows if len(rows) > len(measures.PAPER_MODELS) else []


def implied(flops: float, compression: float) -> Number:
    """The slots of a pass that an operation count and S imply."""
    return Number(measures.tokens_a_pass(flops, compression), digits=1)


def size_rows(report: Mapping[str, Any]) -> Rows:
    """The same decoders on every network."""
    rows = []
    for network in NETWORKS:
        for role in ("autoregressive", "sjd", "shared", "sjd2"):
            found = together(report["groups"], network, role, only=FIRST)
            if found:
                (run,) = found
                rows.append(
                    {
                        "network": network,
                        "batch": run["batch_size"],
                        "decoder": role,
                        "options": described(run),
                        "passes": Number(run["passes"]["value"], digits=1),
                        "steps ×": number(run["compression"]),
                        "Δ nats": number(run.get("against", {}).get("nats"), 3),
                        "exact": number(run.get("exact")),
                    }
                )
    return rows


def accelerator_rows(report: Mapping[str, Any]) -> Rows:
    """All decoders on the small network, the paper's numbers beside."""
    rows = []
    for _, _, run in runs_of(report, "decoders"):
        theirs = measures.PAPER_ACCELERATORS.get(run["decoder"])
        paper = {"latency": theirs.latency, "steps": theirs.passes, "CLIP": theirs.clip_score} if theirs else {}
        rows.append(
            {
                "network": run["network"],
                "decoder": run["decoder"],
                "options": described(run),
                "latency ×": number(run.get("against", {}).get("latency")),
                "steps ×": number(run["compression"]),
                "CLIP score": number(run.get("clip_score"), 1),
                "Δ exact": number(run.get("against", {}).get("exact")),
                "Δ nats": number(run.get("against", {}).get("nats"), 3),
            }
            | {f"paper {name} ×": Number(paper[name]) if paper else None for name in ("latency", "steps")}
            | {"paper CLIP": Number(paper["CLIP"], digits=1) if paper else None}
        )
    return rows


def control_rows(report: Mapping[str, Any]) -> Rows:
    """SJD2 and others beside Jacobi decoding with shared noise, and what is left of SJD2's gain."""
    rows = []
    for network, role in itertools.product((*NETWORKS, *OTHERWISE_TUNED), CONTROL):
        found, (name, lossless) = report["control"].get(network), CONTROL[role]
        if found and role in found["compression"]:
            left = {key: found[f"left_over_{key}"] if role == "sjd2" else None for key in ("sjd", "autoregressive")}
            rows.append(
                {
                    "network": network,
                    "decoder": name,
                    "lossless": "yes" if lossless else "no",
                    "S": number(found["compression"][role]),
                    "passes, shared / its": number(found["shared_over"].get(role)),
                    "left, of the gain over SJD": number(left["sjd"]),
                    "left, of the gain over AR": number(left["autoregressive"], 3),
                    "Δ nats": number(found["nats"].get(role), 3),
                    "same as AR": share(found["same"].get(role)),
                }
            )
    return rows


def share(value: float | None) -> Number | None:
    """A plain number, or none."""
    return None if value is None else Number(value, digits=3)


def ablation_rows(report: Mapping[str, Any], group: str) -> Rows:
    """Every run of a group: passes, likelihood, exact accuracy."""
    return [
        {
            "network": run["network"],
            "decoder": run["decoder"],
            "options": described(run),
            "S": number(run["compression"]),
            "nats": number(run["nats"], 3),
            "exact": number(run.get("exact")),
            "single": Number(100 * run["accepted"]["single"], digits=1),
        }
        for _, _, run in runs_of(report, group)
    ]


def network_rows(report: Mapping[str, Any]) -> Rows:
    """What fine-tuning did to the loss; after noisy inputs, the mean over the levels of the longest schedule."""
    rows = []
    for name, entry in report["networks"].items():
        levels = [value for value in entry["nats_per_level"] if value is not None]
        rows.append(
            {
                "network": name,
                "levels": entry["levels"],
                "spacing": entry["spacing"],
                "standardized": "yes" if entry["standardize"] else "no",
                "table": Number(entry["deviation_after"], digits=3),
                "clean inputs": Number(100 * entry["clean_share"], digits=0),
                "updates": Number(100 * entry["updates_share"], digits=1),
                "clean, before": number(entry["untuned"], 3),
                "clean, after": number(entry["tuned"], 3),
                "after noise": Number(sum(levels[1:]) / max(len(levels) - 1, 1), digits=3),
                "after noise alone": Number(levels[-1], digits=3),
            }
        )
    return rows


def draft_tuning_rows(report: Mapping[str, Any]) -> Rows:
    """Every model tuned for SJD2 and on drafts: loss on clean input, S."""
    rows = []
    for model in NETWORKS:
        tuned = {model: report["networks"][model]} if model in report["networks"] else {}
        tuned |= {DRAFT_TUNED + name: one for name, one in report["draft_tuned"].items() if one["model"] == model}
        for network, entry in sorted(tuned.items(), key=lambda item: item[1]["updates"]):
            compression = report["control"].get(network, {}).get("compression", {})
            rows.append(
                {
                    "network": network,
                    "drafted": Number(100 * entry["drafted"], digits=0) if "drafted" in entry else None,
                    "updates": Number(100 * entry["updates_share"], digits=1),
                    "clean, before": number(entry["untuned"], 3),
                    "clean, after": number(entry["tuned"], 3),
                    "rise": number(entry["rise"], 3),
                    "S, shared noise": number(compression.get("shared")),
                    "S, SJD2": number(compression.get("sjd2")),
                }
            )
    return rows


def surface_rows(report: Mapping[str, Any]) -> Rows:
    """Window × steps."""
    return [
        {
            "window": cell["window"],
            "steps": cell["steps"],
            "window / steps": Number(cell["window"] / cell["steps"]),
            "S": Number(cell["compression"]),
            "time": None if cell["seconds"] is None else Number(1000 * cell["seconds"], digits=1),
            "nats": Number(cell["nats"], digits=3),
            "exact": share(cell["exact"]),
            "tied for fastest": "yes" if cell["run"] in report["surface"].get("fastest", ()) else "",
        }
        for cell in sorted(report["surface"].get("cells", ()), key=lambda cell: (cell["window"], cell["steps"]))
    ]


def initial_rows(report: Mapping[str, Any]) -> Rows:
    """First drafts by the background of the picture."""
    found = report["initial"].get("compression", {})
    kinds = sorted(set().union(*found.values())) if found else []
    return [{"first drafts": start} | {kind: number(own.get(kind)) for kind in kinds} for start, own in found.items()]


def stability_rows(report: Mapping[str, Any]) -> Rows:
    """Changes of drafts at the front of the window."""
    rows, runs = [], [run for _, _, run in runs_of(report, "stability") if "changes" in run]
    for run in runs:
        row = {"decoder": run["decoder"], "options": described(run), "S": number(run["compression"])}
        columns = dict(zip(run["changes"]["slots"], zip(*run["changes"]["by_seed"], strict=True), strict=True))
        for slot in sorted({slot for other in runs for slot in other["changes"]["slots"]}):
            found = estimate(columns[slot], f"{run['decoder']} {slot}") if slot in columns else None
            row[f"slot {slot + 1}"] = number(found, 3)
        rows.append(row | {"a token": number(run.get("changes_a_token"))})
    return rows


def exactness_rows(report: Mapping[str, Any]) -> Rows:
    """Laws on the toy chain."""
    return [
        {
            "decoder": name,
            "argued lossless": "yes" if case["lossless"] else "no",
            "distance": Number(case["total_variation"], digits=4),
            "by chance": Number(case["by_chance"]["mean"], digits=4),
            "at most": Number(case["by_chance"]["most"], digits=4),
            "p": f"{case['p']:.2g}",
            **{f"same, batch {size}": share(same) for size, same in case["same_in_batches_of"].items()},
        }
        for name, case in report["exactness"].get("cases", {}).items()
    ]
