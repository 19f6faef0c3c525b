"""Stage sjd2/evaluate: decoded tokens and the reports of all trainings → results/<profile>/sjd2.json and pictures.

Everything is compared with autoregressive decoding of the same tuned network, of the same rows from the same seeds.
What a profile leaves out is left out here.
"""

import inspect
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from lib.data.store import write_json
from lib.decoding import decoders
from lib.evidence.report import Difference, Estimate, Interval, Pairs, Values
from lib.evidence.statistics import ratios
from lib.evidence.strips import write_strip
from lib.metrics import image_distance
from lib.metrics.panel import Panel
from lib.models import vqgan
from lib.models.vqgan import VQGAN
from lib.ownership import fresh
from studies.sjd2.code import claims, equality, measures
from studies.sjd2.code.claims import Groups
from studies.sjd2.code.reports import (
    Accuracy,
    Against,
    Cell,
    Changes,
    Control,
    Decoded,
    DecodedGroup,
    Drafter,
    DraftTuned,
    Exactness,
    Group,
    GroupShape,
    Initial,
    Margins,
    Metrics,
    Model,
    Network,
    NoiseTuningMetrics,
    Overhead,
    Results,
    Row,
    Run,
    Surface,
    TextComparison,
    TuningMetrics,
)
from studies.sjd2.code.settings import Params

TOKENIZER, DECODED, EXACTNESS = Path("build/tokenizer/fine"), Path("build/decoded"), Path("build/exactness.json")
TEXT = Path("build/compare_text.json")
MODELS, TUNED, DRAFTERS = Path("build/autoregressive"), Path("build/sjd2"), Path("build/drafters")
ON_DRAFTS = Path("build/draft_tuned")
# Groups whose pictures get CLIP score, FID and KID as well; of the others' only exact accuracy is measured.
WHOLE = claims.FIRST
PLACES = 5  # of the window, whose changes are shown; as in the paper's Figure 8
SHOWN = 6  # pictures of a run that are kept
# Runs whose pictures are kept: of which group, on which network, in which role.
KEPT = [
    *(("decoders", "small", role) for role in ("autoregressive", "shared", "sjd", "sjd2", "sjd2_any", "denoised")),
    ("decoders", "drafts:small", "shared"),
    *((name, name, role) for name in ("large", "wide") for role in ("autoregressive", "sjd2")),
    *(("embeddings", name, "denoised") for name in ("short", "plain", "standard_002", "plain_002")),
]


Training = TypeVar("Training", bound=Metrics)


def run(params: Params) -> None:
    """Measures all runs of all groups, and writes what follows from them."""
    image_distance.check_pretrained(params.evaluation)
    decoded = {
        name: DecodedGroup.read(DECODED / name / "runs.json")
        for name in params.decoding.names
        if (DECODED / name / "runs.json").is_file()
    }
    panel, painter = Panel(params.evaluation, params.seed), vqgan.load(TOKENIZER)
    codes = params.tokenizer.fine.codes
    groups = {name: describe(name, group, panel, painter, codes) for name, group in decoded.items()}
    report = Results(
        codes=codes,
        margins=Margins(accuracy=measures.ACCURACY_MARGIN, nats=measures.NATS_MARGIN),
        groups=groups,
        models=trained(Model, MODELS, params.autoregressive.models),
        networks=networks(params),
        draft_tuned=draft_tuned(params),
        drafters=trained(Drafter, DRAFTERS, ("eagle", "medusa")),
        surface=surface(groups),
        initial=initial(decoded, panel, painter),
        control=control(groups),
        most_overhead=most_overhead(groups),
        exactness=Exactness.read(EXACTNESS) if EXACTNESS.is_file() else Exactness(),
        text=TextComparison.read(TEXT) if TEXT.is_file() else None,
    )
    found = claims.claims(report)
    tests = sum(isinstance(claim, Pairs | Values) for claim in found.values())
    report = report.model_copy(update={"claims": found, "equality": equality.of_groups(decoded, tests)})
    out = params.results / "sjd2_pictures"
    fresh(out)
    report.write(params.results / "sjd2.json")
    keep_pictures(groups, decoded, painter, out)


def trained(kind: type[Training], folder: Path, names: Iterable[str]) -> dict[str, Training]:
    """The reports of the trainings that there are."""
    paths = {name: folder / name / "metrics.json" for name in names}
    return {name: kind.read(path) for name, path in paths.items() if path.is_file()}


def describe(group: str, decoded: DecodedGroup, panel: Panel, painter: VQGAN, codes: int) -> Group:
    """All runs of a group in numbers, and each against autoregressive decoding of its network."""
    tokens = {name: np.load(DECODED / group / f"{name}.npy") for name in decoded.runs}  # [S, R, h, w] each
    runs = {}
    for name, entry in decoded.runs.items():
        looks = quality(panel, painter, tokens[name], decoded.rows, whole=group in WHOLE)
        runs[name] = measured(f"{group} {name}", entry, decoded, looks, codes)
    for name, found in runs.items():
        plain = same_sampling(runs, found)
        if plain and plain != name:
            compared = against(runs[plain], found, f"{group} {name}")
            compared |= {"run": plain, "identical": identical(tokens[plain], tokens[name])}
            runs[name] = found.model_copy(update={"against": Against(**compared)})
    kinds = [row.kind for row in decoded.rows]
    shape = {key: getattr(decoded, key) for key in GroupShape.model_fields}
    return Group(**shape, rows={kind: kinds.count(kind) for kind in ("prompt", "caption")}, runs=runs)


def measured(name: str, entry: Decoded, group: DecodedGroup, looks: Mapping[str, Interval], codes: int) -> Run:
    """What a run is, how many passes it takes, what they cost, and how likely its pictures are.

    Args:
        looks: what its pictures are measured by, see `quality`.
    """
    passes, nats = np.asarray(entry.passes), np.asarray(entry.nats)  # [S, R]
    options = complete(entry.decoder, entry.options)
    by_seed = {
        "passes": passes.mean(axis=1),
        "compression": measures.step_compression(passes, group.length),
        "nats": nats.mean(axis=1),
    }
    if entry.seconds:
        seconds, inside = np.asarray(entry.seconds), np.asarray(entry.network_seconds)  # [S]
        by_seed["seconds"] = seconds / passes.shape[1]  # a picture
        by_seed["overhead"] = 1 - inside / seconds
    found: dict[str, Any] = {key: Estimate.of(values, f"{name} {key}") for key, values in by_seed.items()}
    if entry.steps and options["accept"] != "any" and (passes > entry.steps).all():
        # Until as many passes are done as there are steps, no slot is clean: nothing can be fixed.
        settled = measures.step_compression(passes - entry.steps, group.length)
        found["settled_compression"] = Estimate.of(settled, f"{name} settled")
    if entry.trace:
        every = entry.trace.changes  # [S][slots]
        slots = [slot for slot in range(min(PLACES, len(every[0]))) if all(seed[slot] is not None for seed in every)]
        found["changes"] = Changes(slots=slots, by_seed=[[seed[slot] for slot in slots] for seed in every])
        if options["trace_slots"] == options["window"]:
            found["changes_a_token"] = Estimate.of(entry.trace.a_token, f"{name} changes")
    return Run(
        network=entry.network,
        decoder=entry.decoder,
        options=options,
        given=entry.options,
        steps=entry.steps,
        sampling=entry.sampling,
        batch_size=group.batch_size,
        flops_per_token=entry.flops_per_token,
        cache_bytes=entry.cache_bytes,
        table_bytes=measures.table_bytes(entry.decoder, options, codes, group.length),
        accepted=measures.accepted_lengths(entry.accepted),
        **found,
        **looks,
    )


def complete(decoder: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a run with the defaults of its decoder."""
    parameters = inspect.signature(decoders.load(decoder)).parameters.values()
    known = [one for one in parameters if one.kind is one.KEYWORD_ONLY and one.name not in decoders.UNSET]
    return {one.name: one.default for one in known if one.default is not one.empty} | dict(options)


def same_sampling(runs: Mapping[str, Run], found: Run) -> str | None:
    """The autoregressive run of the same network with the same guidance, temperature and top-k."""
    for name, run in runs.items():
        if run.decoder == "autoregressive" and (run.network, run.sampling) == (found.network, found.sampling):
            return name
    return None


def against(plain: Run, found: Run, name: str) -> dict[str, Any]:
    """A run compared with autoregressive decoding, seed by seed: fields of `Against`."""
    compared: dict[str, Any] = {"flops": found.flops_per_token / plain.flops_per_token}
    if found.seconds:
        times = ratios(plain.seconds.by_seed, found.seconds.by_seed)
        compared["latency"] = Estimate.of(times, f"{name} latency")
    for key in ("nats", "exact", "accuracy", "clip_score"):
        if (theirs := getattr(plain, key)) and (own := getattr(found, key)):
            compared[key] = Difference.of(theirs.by_seed, own.by_seed, f"{name} {key}")
    return compared


def identical(plain: np.ndarray, other: np.ndarray) -> float:
    """Share of the pictures [S, R, h, w] that are the same token for token."""
    return float((plain == other).all(axis=(2, 3)).mean())


def pictures(painter: VQGAN, tokens: np.ndarray) -> np.ndarray:
    """Tokens [S, R, h, w] → pictures uint8 [R, S, side, side, 3]."""
    drawn = vqgan.decode_batches(painter, tokens.reshape(-1, *tokens.shape[2:]))
    return drawn.reshape(*tokens.shape[:2], *drawn.shape[1:]).swapaxes(0, 1)


def quality(panel: Panel, painter: VQGAN, tokens: np.ndarray, rows: Sequence[Row], whole: bool) -> dict[str, Interval]:
    """Accuracy and exact accuracy over the prompts; with `whole`, CLIP score, FID and KID over the captions."""
    found: dict[str, Interval] = {}
    prompts, captions = (
        [index for index, row in enumerate(rows) if row.kind == kind] for kind in ("prompt", "caption")
    )
    if prompts:
        asked = [panel.prompts[rows[index].id] for index in prompts]
        for name, one in panel.accuracies(pictures(painter, tokens[:, prompts]), asked).items():
            # Groups draw a few prompts of a category: too few to compare its seeds.
            plain = one.model_dump(exclude_unset=True, exclude={"categories": {"__all__": {"by_seed"}}})
            found[name] = Accuracy(**plain)
    if whole and captions:
        drawn = pictures(painter, tokens[:, captions])
        found |= panel.clip_scores(drawn, [rows[index].text for index in captions])
        found |= panel.distances(drawn, [rows[index].picture for index in captions])
    return found


def networks(params: Params) -> dict[str, Network]:
    """What every fine-tuning did to the loss, and how long it was beside the pretraining."""
    found, variants = {}, params.sjd2.variants
    for name, report in trained(NoiseTuningMetrics, TUNED, variants).items():
        variant = variants[name]
        found[name] = Network(
            **tuning(params, variant.model, variant.training.steps, report),
            levels=variant.levels,
            standardize=variant.standardize,
            table_deviation=variant.table_deviation,
            spacing=variant.spacing,
            clean_share=variant.clean_share,
            nats_per_level=[None if math.isnan(value) else value for value in report.nats_per_level],
            deviation_after=report.table_deviation,
        )
    return found


def draft_tuned(params: Params) -> dict[str, DraftTuned]:
    """The same of the fine-tunings on drafts."""
    found, variants = {}, params.draft_tuning.variants
    for name, report in trained(TuningMetrics, ON_DRAFTS, variants).items():
        variant = variants[name]
        own = tuning(params, variant.model, variant.training.steps, report)
        found[name] = DraftTuned(**own, drafted=variant.drafted, passes=variant.passes)
    return found


def tuning(params: Params, model: str, updates: int, report: TuningMetrics) -> dict[str, Any]:
    """How long a fine-tuning was, and the loss on clean input before and after it: fields of `Tuned`."""
    return {
        "model": model,
        "updates": updates,
        "updates_share": updates / params.autoregressive.models[model].training.steps,
        "untuned": report.nats_per_token["test"].untuned,
        "tuned": report.nats_per_token["test"].tuned,
        "rise": report.rise["test"],
        "rise_val": report.rise["val"],
    }


def surface(groups: Groups) -> Surface:
    """Every window and number of steps of group `surface`: passes, time, quality, and S beside window / steps."""
    cells = [
        Cell(
            run=name,
            window=run.options["window"],
            steps=run.steps,
            compression=run.compression.value,
            by_seed=run.compression.by_seed,
            seconds=run.seconds.value if run.seconds else None,
            nats=run.nats.value,
            exact=run.exact.value if run.exact else None,
        )
        for name, run in claims.runs_in(groups, "surface").items()
        if run.decoder == "sjd2"
    ]
    if len(cells) < 3:
        return Surface(cells=cells)
    return Surface(
        cells=cells,
        fastest=[cell.run for cell in measures.fastest(cells)],
        window_per_step=measures.window_per_step(cells),
        misses=measures.misses(cells),
    )


def initial(decoded: Mapping[str, DecodedGroup], panel: Panel, painter: VQGAN) -> Initial:
    """S of every initialisation of group `initial` by the background of the drawn picture, as the reader sees it."""
    if "initial" not in decoded or panel.reader is None:
        return Initial()
    group, starts, counts = decoded["initial"], {}, {}
    for name, entry in group.runs.items():
        if entry.decoder == "sjd":
            kinds = panel.backgrounds(pictures(painter, np.load(DECODED / "initial" / f"{name}.npy"))).T  # [S, R]
            start = complete("sjd", entry.options)["initial"]
            starts[start] = measures.by_kind(np.asarray(entry.passes), kinds, group.length)
            counts[start] = {kind: int((kinds == kind).sum()) for kind in starts[start]}
    compression = {
        start: {kind: Estimate.of(values, f"initial {start} {kind}") for kind, values in kinds.items()}
        for start, kinds in starts.items()
    }
    return Initial(compression=compression, pictures=counts, gains=measures.neighbour_gains(starts))


def control(groups: Groups) -> dict[str, Control]:
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
        chosen = {role: measures.pick(groups[group].runs, network, measures.ROLES[role]) for role in claims.CONTROL}
        runs = {role: groups[group].runs[name] for role, name in chosen.items() if name}
        passes = {role: run.passes.by_seed for role, run in runs.items()}
        against = {role: run.against for role, run in runs.items() if run.against.run}
        found[network] = Control(
            group=group,
            compression={role: run.compression for role, run in runs.items()},
            shared_over={
                role: Estimate.of(ratios(passes["shared"], own), f"control {network} {role}")
                for role, own in passes.items()
                if role != "shared"
            },
            nats={role: entry.nats for role, entry in against.items()},
            same={role: entry.identical for role, entry in against.items()},
            left_over_sjd=left(network, "sjd", passes),
            left_over_autoregressive=left(network, "autoregressive", passes),
        )
    return found


def left(network: str, slow: str, passes: Mapping[str, Sequence[float]]) -> Estimate | None:
    """Share of the passes that SJD2 saves over the role `slow` which shared noise does not save.

    Args:
        passes: of every seed, by role.
    """
    if "sjd2" not in passes:
        return None
    shares = measures.left_over(passes[slow], passes["shared"], passes["sjd2"])
    return Estimate.of(shares, f"left {network} {slow}") if shares else None


def most_overhead(groups: Groups) -> dict[str, Overhead]:
    """The run of each timed group that spends the largest share of its time outside the networks; `batches` is the one
    of all of them that draw more than one picture at a time."""
    found = {}
    timed = {name: group for name, group in groups.items() if all(run.overhead for run in group.runs.values())}
    for name, group in timed.items():
        run = max(group.runs, key=lambda run, runs=group.runs: runs[run].overhead.value)
        found[name] = Overhead(run=run, value=group.runs[run].overhead.value)
    if batches := [name for name, group in timed.items() if group.batch_size > 1]:
        name = max(batches, key=lambda name: found[name].value)
        found["batches"] = Overhead(**found[name].plain(), group=name)
    return found


def keep_pictures(groups: Groups, decoded: Mapping[str, DecodedGroup], painter: VQGAN, out: Path) -> None:
    """The first seed's pictures of a few rows of a few runs, as strips, and texts.json about them."""
    texts: dict[str, Any] = {}
    for group, network, role in KEPT:
        name = measures.pick(claims.runs_in(groups, group), network, measures.ROLES[role])
        if name is None:
            continue
        rows = decoded[group].rows
        few = np.linspace(0, len(rows) - 1, min(SHOWN, len(rows))).round().astype(int)  # spread over the categories
        key = f"{group}_{network}_{role}".replace(":", "_")  # names a file
        write_strip(out / f"{key}.png", pictures(painter, np.load(DECODED / group / f"{name}.npy")[:1, few])[:, 0])
        texts[key] = {"run": name, "texts": [rows[index].text for index in few]}
    write_json(out / "texts.json", texts)
