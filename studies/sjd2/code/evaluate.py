"""Stage sjd2/evaluate: decoded tokens and the reports of all trainings → results/<profile>/sjd2.json and pictures.

Everything is compared with autoregressive decoding of the same network, of the same rows and units. What a profile
leaves out is left out here.
"""

import inspect
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from lib.data.store import Split, read_prompts, write_json
from lib.decoding import decoders
from lib.decoding.history import added
from lib.evidence.report import Difference, Estimate, Interval, Pairs, Values
from lib.evidence.statistics import generator_of, ratios
from lib.evidence.strips import write_strip
from lib.metrics import image_distance
from lib.metrics.panel import Panel
from lib.models import autoregressive, vqgan
from lib.models.autoregressive import nats
from lib.models.vqgan import VQGAN
from lib.ownership import fresh
from lib.pipeline.own_pictures import TOKENIZERS, folders
from lib.scenes.asked import asked
from studies.sjd2.code import claims, comparisons, equality, measures, trainings
from studies.sjd2.code.choice import CHOICE, Choice
from studies.sjd2.code.claims import Groups
from studies.sjd2.code.material import DECODED, MODELS, PARTS, folder, pictures_of
from studies.sjd2.code.reports import (
    Accuracy,
    Against,
    Changes,
    Decoded,
    DecodedGroup,
    Exactness,
    Group,
    GroupShape,
    Initial,
    Margins,
    Results,
    Row,
    Run,
    TextComparison,
)
from studies.sjd2.code.settings import Params

EXACTNESS, TEXT = Path("build/exactness.json"), Path("build/compare_text.json")
# Groups whose pictures get CLIP score, FID and KID as well; of the others' only exact accuracy is measured.
WHOLE = ("quality",)
CAPTIONS = "captions"  # the category of rows that are captions of test pictures, which name all objects
RANDOM = 64  # pictures of random codes that the judge sees
PLACES = 5  # of the window, whose changes are shown; as in the paper's Figure 8
SHOWN = 6  # pictures of a run that are kept
# Runs whose pictures are kept: of which group, on which network, in which role.
KEPT = [
    *(("decoders", "small", role) for role in ("autoregressive", "shared", "sjd", "sjd2", "sjd2_any_authors")),
    *(("decoders", "small", role) for role in ("denoised", "denoised_authors")),
    ("decoders", "drafts:small", "shared"),
    *((name, name, role) for name in ("large", "wide", "full") for role in ("autoregressive", "sjd2")),
    *(("embeddings", name, "denoised") for name in ("plain_002", "standard_002")),
]


def run(params: Params) -> None:
    """Measures all runs of all groups, and writes what follows from them."""
    image_distance.check_pretrained(params.evaluation)
    decoded = {name: DecodedGroup.read(DECODED / name / "runs.json") for name in params.decoding.groups}
    easels = {name: Easel(params, group) for name, group in decoded.items()}
    groups = {name: describe(name, group, easels[name]) for name, group in decoded.items()}
    report = Results(
        margins=Margins(accuracy=measures.ACCURACY_MARGIN, nats=measures.NATS_MARGIN),
        random_codes=random_codes(params),
        choice=Choice.read(CHOICE),
        groups=groups,
        models=trainings.models(params),
        networks=trainings.networks(params),
        draft_tuned=trainings.draft_tuned(params),
        drafters=trainings.drafters(),
        surface=comparisons.surface(groups),
        initial=initial(decoded, easels),
        control=comparisons.control(groups),
        most_overhead=comparisons.most_overhead(groups),
        exactness=Exactness.read(EXACTNESS),
        text=TextComparison.read(TEXT),
    )
    found = claims.claims(report)
    tests = sum(isinstance(claim, Pairs | Values) for claim in found.values())
    report = report.model_copy(update={"claims": found, "equality": equality.of_groups(decoded, tests)})
    out = params.results / "sjd2_pictures"
    fresh(out)
    report.write(params.results / "sjd2.json")
    keep_pictures(groups, decoded, easels, out)


class Easel:
    """What looks at the pictures of a group: the decoder of its tokens, and a panel that knows its part of the data."""

    def __init__(self, params: Params, group: DecodedGroup):
        model = params.autoregressive.models[params.base(next(iter(group.runs.values())).network)]
        self.codes = getattr(params.tokenizer, model.tokenizer).codes
        self.painter = painter_of(model.tokenizer)
        self.panel, data = Panel(params.evaluation, params.seed), folders(PARTS, model.part, model.tokenizer).data
        self.panel.prompts = {prompt["id"]: prompt for prompt in read_prompts(data)}
        self.panel.test = Split.open(data, "test")

    def pictures(self, tokens: np.ndarray) -> np.ndarray:
        """Tokens [U, R, h, w] → pictures uint8 [R, U, side, side, 3]."""
        drawn = vqgan.decode_batches(self.painter, tokens.reshape(-1, *tokens.shape[2:]))
        return drawn.reshape(*tokens.shape[:2], *drawn.shape[1:]).swapaxes(0, 1)

    def asked(self, row: Row) -> dict[str, Any]:
        """What a row asks for, as a prompt; only of data whose content is known."""
        if row.picture is None:
            return self.panel.prompts[row.id]
        return {"category": CAPTIONS, "require": asked(self.panel.test.captions[row.picture]["en"][0])}


@cache
def painter_of(tokenizer: str) -> VQGAN:
    """The decoder of an image tokenizer."""
    return vqgan.load(TOKENIZERS / tokenizer)


def random_codes(params: Params) -> float | None:
    """Nats a token of uniformly random codes under the judge, with captions of test pictures."""
    name = params.autoregressive.judge
    judge = autoregressive.load(folder(MODELS, name, 0))
    test = pictures_of(["test"], params.autoregressive.models[name].pictures, **params.words(name))["test"]
    shape = (min(RANDOM, len(test.tokens)), judge.config.length)
    tokens = generator_of(f"sjd2 random codes {params.seed}").integers(judge.config.codes, size=shape)
    return float(nats(judge, test.captions.first(len(tokens)), tokens).mean())


def describe(group: str, decoded: DecodedGroup, easel: Easel) -> Group:
    """All runs of a group in numbers, and each against autoregressive decoding of its network."""
    tokens = {name: np.load(DECODED / group / f"{name}.npy") for name in decoded.runs}  # [U, R, h, w] each
    runs = {}
    for name, entry in decoded.runs.items():
        looks = quality(easel, tokens[name], decoded.rows, whole=group in WHOLE)
        runs[name] = measured(f"{group} {name}", entry, decoded, looks, easel.codes)
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
    passes, histograms = np.asarray(entry.passes), entry.accepted  # [U, R], [U][k]
    options = complete(entry.decoder, entry.options)
    by_seed = {
        "passes": passes.mean(axis=1),
        "compression": measures.step_compression(passes, group.length),
        "single": [one[1] / sum(one) for one in histograms],
    }
    for kind in ("nats", "entropy", "judged"):
        if values := getattr(entry, kind):
            by_seed[kind] = np.mean(values, axis=1)
    if entry.seconds:
        seconds, inside = np.asarray(entry.seconds), np.asarray(entry.network_seconds)  # [U]
        by_seed["seconds"] = seconds / passes.shape[1]  # a picture
        by_seed["overhead"] = 1 - inside / seconds
    found: dict[str, Any] = {key: Estimate.of(values, f"{name} {key}") for key, values in by_seed.items()}
    if entry.steps and options["accept"] != "any" and (passes > entry.steps).all():
        # Until as many passes are done as there are steps, no slot is clean: nothing can be fixed.
        settled = measures.step_compression(passes - entry.steps, group.length)
        found["settled_compression"] = Estimate.of(settled, f"{name} settled")
    if entry.trace:
        every = entry.trace.changes  # [U][slots]
        slots = [slot for slot in range(min(PLACES, len(every[0]))) if all(seed[slot] is not None for seed in every)]
        found["changes"] = Changes(slots=slots, by_seed=[[seed[slot] for slot in slots] for seed in every])
        if options["trace_slots"] == options["window"]:
            found["changes_a_token"] = Estimate.of(entry.trace.a_token, f"{name} changes")
    return Run(
        network=entry.network,
        decoder=entry.decoder,
        chosen=entry.chosen,
        options=options,
        given=entry.options,
        steps=entry.steps,
        sampling=entry.sampling,
        batch_size=group.batch_size,
        flops_per_token=entry.flops_per_token,
        cache_bytes=entry.cache_bytes,
        table_bytes=measures.table_bytes(entry.decoder, options, codes, group.length),
        accepted=measures.accepted_lengths(added([np.asarray(one) for one in histograms])),
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
    """A run compared with autoregressive decoding, unit by unit: fields of `Against`."""
    compared: dict[str, Any] = {"flops": found.flops_per_token / plain.flops_per_token}
    if found.seconds:
        times = ratios(plain.seconds.by_seed, found.seconds.by_seed)
        compared["latency"] = Estimate.of(times, f"{name} latency")
    for key in ("nats", "judged", "exact", "accuracy", "clip_score"):
        if (theirs := getattr(plain, key)) and (own := getattr(found, key)):
            compared[key] = Difference.of(theirs.by_seed, own.by_seed, f"{name} {key}")
    return compared


def identical(plain: np.ndarray, other: np.ndarray) -> float:
    """Share of the pictures [S, R, h, w] that are the same token for token."""
    return float((plain == other).all(axis=(2, 3)).mean())


def quality(easel: Easel, tokens: np.ndarray, rows: Sequence[Row], whole: bool) -> dict[str, Interval]:
    """Accuracy and exact accuracy of all rows; with `whole`, CLIP score, FID and KID of those that are captions."""
    found: dict[str, Interval] = {}
    drawn, panel = easel.pictures(tokens), easel.panel
    if panel.reader is not None:
        for name, one in panel.accuracies(drawn, [easel.asked(row) for row in rows]).items():
            # Groups draw a few prompts of a category: too few to compare its seeds.
            plain = one.model_dump(exclude_unset=True, exclude={"categories": {"__all__": {"by_seed"}}})
            found[name] = Accuracy(**plain)
    if whole and (captions := [index for index, row in enumerate(rows) if row.kind == "caption"]):
        found |= panel.clip_scores(drawn[captions], [rows[index].text for index in captions])
        found |= panel.distances(drawn[captions], [rows[index].picture for index in captions])
    return found


def initial(decoded: Mapping[str, DecodedGroup], easels: Mapping[str, Easel]) -> Initial:
    """S of every initialisation of group `initial` by the background of the drawn picture, as the reader sees it."""
    if "initial" not in decoded or easels["initial"].panel.reader is None:
        return Initial()
    easel = easels["initial"]
    group, starts, counts = decoded["initial"], {}, {}
    for name, entry in group.runs.items():
        if entry.decoder == "sjd":
            drawn = easel.pictures(np.load(DECODED / "initial" / f"{name}.npy"))  # [R, U, side, side, 3]
            kinds = easel.panel.backgrounds(drawn).T  # [U, R]
            start = complete("sjd", entry.options)["initial"]
            starts[start] = measures.by_kind(np.asarray(entry.passes), kinds, group.length)
            counts[start] = {kind: int((kinds == kind).sum()) for kind in starts[start]}
    compression = {
        start: {kind: Estimate.of(values, f"initial {start} {kind}") for kind, values in kinds.items()}
        for start, kinds in starts.items()
    }
    return Initial(compression=compression, pictures=counts, gains=measures.neighbour_gains(starts))


def keep_pictures(groups: Groups, decoded: Mapping[str, DecodedGroup], easels: Mapping[str, Easel], out: Path) -> None:
    """The first unit's pictures of a few rows of a few runs, as strips, and texts.json about them."""
    texts: dict[str, Any] = {}
    for group, network, role in KEPT:
        name = measures.pick(claims.runs_in(groups, group), network, role)
        if name is None:
            continue
        rows = decoded[group].rows
        few = np.linspace(0, len(rows) - 1, min(SHOWN, len(rows))).round().astype(int)  # spread over the categories
        key = f"{group}_{network}_{role}".replace(":", "_")  # names a file
        tokens = np.load(DECODED / group / f"{name}.npy")[:1, few]
        write_strip(out / f"{key}.png", easels[group].pictures(tokens)[:, 0])
        texts[key] = {"run": name, "texts": [rows[index].text for index in few]}
    write_json(out / "texts.json", texts)
