"""Stage sjd2/evaluate: decoded tokens and the reports of all trainings → results/<profile>/sjd2.json and pictures.

Everything is compared with autoregressive decoding of the same tuned network, of the same rows from the same seeds.
What a profile leaves out is left out here.
"""

import inspect
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lib.data.store import Split, read_prompts, write_json
from lib.decoding import decoders
from lib.evidence.results import read
from lib.evidence.statistics import estimate, paired, ratios
from lib.evidence.strips import write_strip
from lib.metrics import clip_score, image_distance, scene_accuracy
from lib.metrics.exact_scene import exactly
from lib.metrics.judges import load_judges
from lib.models import reader, vqgan
from lib.ownership import fresh
from studies.sjd2.code import claims, measures
from studies.sjd2.code.settings import Params

DATA = Path("data")
TOKENIZER, DECODED, EXACTNESS = Path("build/tokenizer/fine"), Path("build/decoded"), Path("build/exactness.json")
MODELS, TUNED, DRAFTERS = Path("build/autoregressive"), Path("build/sjd2"), Path("build/drafters")
ON_DRAFTS = Path("build/draft_tuned")
# Groups whose pictures get CLIP score, FID and KID as well; of the others' only exact accuracy is measured.
WHOLE = claims.FIRST
FEWEST = 16  # real pictures; fewer make no distance
PLACES = 5  # of the window, whose changes are shown; as in the paper's Figure 8
SHOWN = 6  # pictures of a run that are kept
# Runs whose pictures are kept: of which group, on which network, in which role.
KEPT = [
    *(("decoders", "small", role) for role in ("autoregressive", "shared", "sjd", "sjd2", "sjd2_any", "denoised")),
    ("decoders", "drafts:small", "shared"),
    *((name, name, role) for name in ("large", "wide") for role in ("autoregressive", "sjd2")),
    *(("embeddings", name, "denoised") for name in ("short", "plain", "standard_002", "plain_002")),
]


def run(params: Params) -> None:
    """Measures all runs of all groups, and writes what follows from them."""
    image_distance.check_pretrained(params.evaluation)
    decoded = {
        name: read(DECODED / name / "runs.json")
        for name in params.decoding.names
        if (DECODED / name / "runs.json").is_file()
    }
    judge = Judge(params)
    codes = params.tokenizer.fine.codes
    groups = {name: describe(name, group, judge, codes) for name, group in decoded.items()}
    report: dict[str, Any] = {
        "codes": codes,
        "margins": {"accuracy": measures.ACCURACY_MARGIN, "nats": measures.NATS_MARGIN},
        "groups": groups,
        "models": trained(MODELS, params.autoregressive.models, ("parameters", "pictures", "test")),
        "networks": networks(params),
        "draft_tuned": draft_tuned(params),
        "drafters": trained(DRAFTERS, ("eagle", "medusa"), ("parameters", "overlap")),
        "surface": surface(groups),
        "initial": initial(decoded, judge),
        "control": control(groups),
        "most_overhead": most_overhead(groups),
        "exactness": read(EXACTNESS) if EXACTNESS.is_file() else {},
    }
    report["claims"] = claims.claims(report)
    pictures = params.results / "sjd2_pictures"
    fresh(pictures)
    write_json(params.results / "sjd2.json", report)
    keep_pictures(groups, decoded, judge, pictures)


def metrics(folder: Path, name: str) -> Path:
    """The report of one training."""
    return folder / name / "metrics.json"


def trained(folder: Path, names: Iterable[str], keys: Sequence[str]) -> dict[str, Any]:
    """Some numbers of the trainings that there are."""
    reports = {name: read(metrics(folder, name)) for name in names if metrics(folder, name).is_file()}
    return {name: {key: report[key] for key in keys} for name, report in reports.items()}


def describe(group: str, decoded: Mapping[str, Any], judge: "Judge", codes: int) -> dict[str, Any]:
    """All runs of a group in numbers, and each against autoregressive decoding of its network."""
    rows, length = decoded["rows"], decoded["length"]
    runs, tokens = {}, {}
    for name, entry in decoded["runs"].items():
        tokens[name] = np.load(DECODED / group / f"{name}.npy")  # [S, R, h, w]
        runs[name] = cost(f"{group} {name}", entry, length) | judge(tokens[name], rows, whole=group in WHOLE)
        runs[name] = {key: value for key, value in runs[name].items() if value is not None}
        runs[name]["batch_size"] = decoded["batch_size"]
        runs[name]["table_bytes"] = measures.table_bytes(entry["decoder"], runs[name]["options"], codes, length)
    for name, found in runs.items():
        plain = same_sampling(runs, found)
        if plain and plain != name:
            found["against"] = against(runs[plain], found, f"{group} {name}")
            found["against"] |= {"run": plain, "identical": identical(tokens[plain], tokens[name])}
    about = {key: decoded[key] for key in ("seeds", "length", "columns", "batch_size", "machine", "threads")}
    kinds = [row["kind"] for row in rows]
    return about | {"rows": {kind: kinds.count(kind) for kind in ("prompt", "caption")}, "runs": runs}


def cost(name: str, entry: Mapping[str, Any], length: int) -> dict[str, Any]:
    """What a run is, how many passes it takes, what they cost, and how likely its pictures are."""
    passes, nats = np.asarray(entry["passes"]), np.asarray(entry["nats"])  # [S, R]
    found = {key: entry[key] for key in ("network", "decoder", "steps", "sampling", "flops_per_token", "cache_bytes")}
    found |= {"options": complete(entry["decoder"], entry["options"]), "given": entry["options"]}
    measured = {
        "passes": passes.mean(axis=1),
        "compression": measures.step_compression(passes, length),
        "nats": nats.mean(axis=1),
    }
    if "seconds" in entry:
        seconds, inside = np.asarray(entry["seconds"]), np.asarray(entry["network_seconds"])  # [S]
        measured["seconds"] = seconds / passes.shape[1]  # a picture
        measured["overhead"] = 1 - inside / seconds  # share of the time that is not the networks'
    found |= {key: estimate(values, f"{name} {key}") for key, values in measured.items()}
    if entry["steps"] and found["options"]["accept"] != "any" and (passes > entry["steps"]).all():
        # Until as many passes are done as there are steps, no slot is clean: nothing can be fixed.
        settled = measures.step_compression(passes - entry["steps"], length)
        found["settled_compression"] = estimate(settled, f"{name} settled")
    found["accepted"] = measures.accepted_lengths(entry["accepted"])
    if "trace" in entry:
        every = entry["trace"]["changes"]  # [S][slots]
        # Slots that every pass fixes, as the first one, have no changes to count.
        slots = [slot for slot in range(min(PLACES, len(every[0]))) if all(seed[slot] is not None for seed in every)]
        found["changes"] = {"slots": slots, "by_seed": [[seed[slot] for slot in slots] for seed in every]}
        if found["options"]["trace_slots"] == found["options"]["window"]:
            found["changes_a_token"] = estimate(entry["trace"]["a_token"], f"{name} changes")
    return found


def complete(decoder: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a run with the defaults of its decoder."""
    parameters = inspect.signature(decoders.load(decoder)).parameters.values()
    known = [one for one in parameters if one.kind is one.KEYWORD_ONLY and one.name not in decoders.UNSET]
    return {one.name: one.default for one in known if one.default is not one.empty} | dict(options)


def same_sampling(runs: Mapping[str, Any], found: Mapping[str, Any]) -> str | None:
    """The autoregressive run of the same network with the same guidance, temperature and top-k."""
    for name, run in runs.items():
        if run["decoder"] == "autoregressive" and all(run[key] == found[key] for key in ("network", "sampling")):
            return name
    return None


def against(plain: Mapping[str, Any], found: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A run compared with autoregressive decoding, seed by seed."""
    compared: dict[str, Any] = {"flops": found["flops_per_token"] / plain["flops_per_token"]}
    if "seconds" in found:
        times = ratios(plain["seconds"]["by_seed"], found["seconds"]["by_seed"])
        compared["latency"] = estimate(times, f"{name} latency")
    for key in ("nats", "exact", "accuracy", "clip_score"):
        if key in found and key in plain:
            compared[key] = paired(plain[key]["by_seed"], found[key]["by_seed"], f"{name} {key}")
    return compared


def identical(plain: np.ndarray, other: np.ndarray) -> float:
    """Share of the pictures [S, R, h, w] that are the same token for token."""
    return float((plain == other).all(axis=(2, 3)).mean())


class Judge:
    """What decoded pictures are measured by."""

    def __init__(self, params: Params):
        self.seed, self.resamples = params.seed, params.evaluation.bootstrap
        self.prompts = {prompt["id"]: prompt for prompt in read_prompts(DATA)}
        self.test = Split.open(DATA, "test")
        self.tokenizer = vqgan.load(TOKENIZER)
        self.clips, self.extractors, self.reader = load_judges(params.evaluation)

    def random(self, *stream: int) -> np.random.Generator:
        """A fresh generator for one measurement, the same for every run."""
        return np.random.Generator(np.random.PCG64([self.seed, *stream]))

    def pictures(self, tokens: np.ndarray) -> np.ndarray:
        """Tokens [S, R, h, w] → pictures uint8 [S·R, side, side, 3], all rows of a seed together."""
        return vqgan.decode_batches(self.tokenizer, tokens.reshape(-1, *tokens.shape[2:]))

    def __call__(self, tokens: np.ndarray, rows: list[dict], whole: bool) -> dict[str, Any]:
        """Accuracy and exact accuracy over the prompts; with `whole`, CLIP score, FID and KID over the captions."""
        report: dict[str, Any] = {}
        asked, described = (
            [index for index, row in enumerate(rows) if row["kind"] == kind] for kind in ("prompt", "caption")
        )
        if asked and self.reader is not None:
            report |= self.accuracies(tokens[:, asked], [self.prompts[rows[index]["id"]] for index in asked])
        if whole and described:
            report |= self.likeness(tokens[:, described], [rows[index] for index in described])
        return report

    def accuracies(self, tokens: np.ndarray, prompts: list[dict]) -> dict[str, Any]:
        """GenEval's accuracy (what is asked for is there) and the exact one (and nothing else is) of [S, P, h, w]."""
        seeds, every = len(tokens), prompts * len(tokens)
        readings = reader.read(self.reader, self.pictures(tokens))
        categories = [prompt["category"] for prompt in prompts]
        right = np.array(
            [
                scene_accuracy.satisfies(reading["objects"], prompt["require"], prompt["category"])
                for reading, prompt in zip(readings, every, strict=True)
            ]
        )
        report = {}
        for key, outcomes in (("accuracy", right), ("exact", exactly(readings, every))):
            outcomes = outcomes.reshape(seeds, -1)  # [S, P]
            # Pictures of one prompt are alike, so that the interval is over prompts.
            a_prompt = outcomes.mean(axis=0)
            report[key] = {"categories": scene_accuracy.summary(a_prompt, categories, self.random(1), self.resamples)}
            report[key] |= report[key]["categories"].pop("overall")
            # Every category has as many prompts, so that the mean over them is the mean over categories.
            report[key]["by_seed"] = outcomes.mean(axis=1).tolist()
        return report

    def likeness(self, tokens: np.ndarray, rows: list[dict]) -> dict[str, Any]:
        """CLIP score of [S, C, h, w] drawn for captions of test pictures; FID and KID to those pictures, all seeds
        together."""
        drawn, numbers = self.pictures(tokens), [row["picture"] for row in rows]
        texts = [row["text"] for row in rows] * len(tokens)
        report: dict[str, Any] = {}
        for name, judge in self.clips.items():
            report[name], scores = clip_score.clip_score(drawn, texts, judge, self.random(2), self.resamples)
            report[name]["by_seed"] = scores.reshape(len(tokens), -1).mean(axis=1).tolist()
        if len(numbers) < FEWEST:
            return report
        real = np.asarray(self.test.images(drawn.shape[1]))[numbers]
        for suffix, extractor in self.extractors.items():
            found = image_distance.distance(real, drawn, extractor, self.resamples, self.random(3))
            report |= {f"{name}{suffix}": found[name] for name in ("fid", "kid")}
        return report

    def backgrounds(self, tokens: np.ndarray) -> np.ndarray:
        """The kind of background that the reader sees in every picture: names [S, R]."""
        readings = reader.read(self.reader, self.pictures(tokens))
        return np.array([reading["background"] for reading in readings]).reshape(tokens.shape[:2])


def networks(params: Params) -> dict[str, Any]:
    """What every fine-tuning did to the loss, and how long it was beside the pretraining."""
    found = {}
    for name, variant in params.sjd2.variants.items():
        if not metrics(TUNED, name).is_file():
            continue
        measured = read(metrics(TUNED, name))
        found[name] = {
            "model": variant.model,
            "levels": variant.levels,
            "standardize": variant.standardize,
            "table_deviation": variant.table_deviation,
            "spacing": variant.spacing,
            "clean_share": variant.clean_share,
            **tuning(params, variant.model, variant.training.steps, measured),
            "nats_per_level": [None if math.isnan(value) else value for value in measured["nats_per_level"]],
            "deviation_after": measured["table_deviation"],
        }
    return found


def draft_tuned(params: Params) -> dict[str, Any]:
    """The same of the fine-tunings on drafts."""
    return {
        name: {"model": settings.model, "drafted": settings.drafted, "passes": settings.passes}
        | tuning(params, settings.model, settings.training.steps, read(metrics(ON_DRAFTS, name)))
        for name, settings in params.draft_tuning.variants.items()
        if metrics(ON_DRAFTS, name).is_file()
    }


def tuning(params: Params, model: str, updates: int, measured: Mapping[str, Any]) -> dict[str, Any]:
    """How long a fine-tuning was, and the loss on clean input before and after it."""
    return {
        "updates": updates,
        "updates_share": updates / params.autoregressive.models[model].training.steps,
        **measured["nats_per_token"]["test"],
        "rise": measured["rise"]["test"],
        "rise_val": measured["rise"]["val"],
    }


def surface(groups: Mapping[str, Any]) -> dict[str, Any]:
    """Every window and number of steps of group `surface`: passes, time, quality, and S beside window / steps."""
    runs = groups.get("surface", {"runs": {}})["runs"]
    cells = [
        {"run": name, "window": run["options"]["window"], "steps": run["steps"]}
        | {"compression": run["compression"]["value"], "by_seed": run["compression"]["by_seed"]}
        | {"seconds": run["seconds"]["value"] if "seconds" in run else None, "nats": run["nats"]["value"]}
        | {"exact": run["exact"]["value"] if "exact" in run else None}
        for name, run in runs.items()
        if run["decoder"] == "sjd2"
    ]
    if len(cells) < 3:
        return {"cells": cells}
    timed = [cell for cell in cells if cell["seconds"] is not None]
    fastest = [cell["run"] for cell in measures.fastest(timed, "seconds")] if timed else []
    follows = {"window_per_step": measures.window_per_step(cells), "misses": measures.misses(cells)}
    return {"cells": cells, "fastest": fastest} | follows


def initial(decoded: Mapping[str, Any], judge: Judge) -> dict[str, Any]:
    """S of every initialisation of group `initial` by the background of the drawn picture, as the reader sees it."""
    if "initial" not in decoded or judge.reader is None:
        return {}
    group, starts, counts = decoded["initial"], {}, {}
    for name, entry in group["runs"].items():
        if entry["decoder"] == "sjd":
            kinds = judge.backgrounds(np.load(DECODED / "initial" / f"{name}.npy"))
            start = complete("sjd", entry["options"])["initial"]
            starts[start] = measures.by_kind(np.asarray(entry["passes"]), kinds, group["length"])
            counts[start] = {kind: int((kinds == kind).sum()) for kind in starts[start]}
    compression = {
        start: {kind: estimate(values, f"initial {start} {kind}") for kind, values in kinds.items()}
        for start, kinds in starts.items()
    }
    return {"compression": compression, "pictures": counts, "gains": measures.neighbour_gains(starts)}


def control(groups: Mapping[str, Any]) -> dict[str, Any]:
    """How much of SJD2's gain is left over Jacobi decoding with shared noise, and other decoders beside these; without
    SJD2 for the networks that were not tuned for it."""
    found = {}
    plain = ("autoregressive", "shared")
    for network, roles in (
        *((name, (*plain, "sjd", "sjd2")) for name in claims.NETWORKS),
        *((name, plain) for name in claims.OTHERWISE_TUNED),
    ):
        group = claims.where(groups, network, *roles)
        if group is None:
            continue
        chosen = {role: measures.pick(groups[group]["runs"], network, measures.ROLES[role]) for role in claims.CONTROL}
        runs = {role: groups[group]["runs"][name] for role, name in chosen.items() if name}
        passes = {role: run["passes"]["by_seed"] for role, run in runs.items()}
        against = {role: run["against"] for role, run in runs.items() if "against" in run}

        def left(slow, passes=passes, network=network):
            if "sjd2" not in passes:
                return None
            shares = measures.left_over(passes[slow], passes["shared"], passes["sjd2"])
            return shares and estimate(shares, f"left {network} {slow}")

        found[network] = {
            "group": group,
            "compression": {role: run["compression"] for role, run in runs.items()},
            "shared_over": {  # passes of shared noise over those of the others
                role: estimate(ratios(passes["shared"], own), f"control {network} {role}")
                for role, own in passes.items()
                if role != "shared"
            },
            "nats": {role: entry["nats"] for role, entry in against.items()},
            "same": {role: entry["identical"] for role, entry in against.items()},
            "left_over_sjd": left("sjd"),
            "left_over_autoregressive": left("autoregressive"),
        }
    return found


def most_overhead(groups: Mapping[str, Any]) -> dict[str, Any]:
    """The run of each timed group that spends the largest share of its time outside the networks; `batches` is the one
    of all of them that draw more than one picture at a time."""
    found = {}
    timed = {name: group for name, group in groups.items() if all("overhead" in run for run in group["runs"].values())}
    for name, group in timed.items():
        run = max(group["runs"], key=lambda run, runs=group["runs"]: runs[run]["overhead"]["value"])
        found[name] = {"run": run, "value": group["runs"][run]["overhead"]["value"]}
    if batches := [name for name, group in timed.items() if group["batch_size"] > 1]:
        name = max(batches, key=lambda name: found[name]["value"])
        found["batches"] = found[name] | {"group": name}
    return found


def keep_pictures(groups: Mapping[str, Any], decoded: Mapping[str, Any], judge: Judge, out: Path) -> None:
    """The first seed's pictures of a few rows of a few runs, as strips, and texts.json about them."""
    texts: dict[str, Any] = {}
    for group, network, role in KEPT:
        name = measures.pick(groups[group]["runs"], network, measures.ROLES[role]) if group in groups else None
        if name is None:
            continue
        rows = decoded[group]["rows"]
        few = np.linspace(0, len(rows) - 1, min(SHOWN, len(rows))).round().astype(int)  # spread over the categories
        key = f"{group}_{network}_{role}".replace(":", "_")  # names a file
        write_strip(out / f"{key}.png", judge.pictures(np.load(DECODED / group / f"{name}.npy")[:1, few]))
        texts[key] = {"run": name, "texts": [rows[index]["text"] for index in few]}
    write_json(out / "texts.json", texts)
