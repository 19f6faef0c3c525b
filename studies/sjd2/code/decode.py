"""Stage sjd2/decode: prompts and test captions → image tokens by every run of every group → build/decoded/<group>/
(<run>.npy uint16 [seeds, rows, h, w], runs.json).

Runs differ in network, decoder or its options; random numbers follow from (seed, row). A part is one run from one seed.
Those of a group that is timed run alone, one after another, seed by seed, so that whatever slows the machine for a
while slows all of them.
"""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lib.data.encoded import chosen_languages
from lib.data.prompts import CAPTION_ITEMS, first_of_each_category
from lib.data.selection import kept
from lib.data.store import Split, read_meta, read_prompts, write_json
from lib.decoding import decoders
from lib.decoding.history import added
from lib.errors import EaselError
from lib.hardware import machine
from lib.models import autoregressive
from lib.models.autoregressive import AutoregressiveConfig
from lib.ownership import fresh
from lib.pipeline import parts
from lib.pipeline.parts import Part
from lib.weights import checkpoint
from studies.sjd2.code.drawing import DRAFTERS, TIMES, TOKENIZER, draw
from studies.sjd2.code.settings import DRAFT_TUNED, UNTUNED, DecodingGroupParams, DecodingRunParams, Params

DATA, TEXT, MODELS, TUNED, ON_DRAFTS, OUT = (
    Path("data"),
    Path("build/text/tokenizer.json"),
    Path("build/autoregressive"),
    Path("build/sjd2"),
    Path("build/draft_tuned"),
    Path("build/decoded"),
)


@dataclass(frozen=True)
class Row:
    """One picture to be drawn.

    Attributes:
        id: of the prompt, or test-<number of the picture>.
        kind: prompt or caption.
        picture: whose caption it is, a number of the test split; None for a prompt.
        item: what its random numbers are numbered by.
        text: the caption.
    """

    id: str
    kind: str
    picture: int | None
    item: int
    text: str


@dataclass(frozen=True)
class Group:
    """What a group draws, and the parts that do it: of seed and run."""

    config: AutoregressiveConfig
    rows: list[Row]
    parts: dict[tuple[int, str], Part]


def run(params: Params) -> None:
    """Decodes all groups, going on where an interrupted stage stopped.

    Raises:
        EaselError: a network that there is not, or that does not fit its decoder; an option that its decoder refuses;
            fewer captions than asked for. All before anything is decoded.
    """
    groups = {name: plan(params, name) for name in params.decoding.names}
    every = [part for group in groups.values() for part in group.parts.values()]
    paths = parts.run("sjd2/decode", every)
    fresh(OUT)
    for name, group in groups.items():
        write(params, name, group, {key: paths[part.name] for key, part in group.parts.items()})


def plan(params: Params, name: str) -> Group:
    """A group of decoding.groups; its runs' options and networks are checked on the way."""
    settings = params.decoding.groups[name]
    configs = {}
    for key, one in settings.single.items():
        with blamed_on(f"decoding.groups.{name}.runs.{key}"):
            folder = folder_of(params, one.network)
            configs[one.network] = config = autoregressive.load(folder).config
            decoders.check(one.decoder, one.options, config.length, config.columns, one.steps)
            if one.decoder in decoders.DRAFTERS and base(params, one.network) != params.drafters.model:
                raise EaselError(
                    f"decoder {one.decoder} has a drafter for {params.drafters.model} alone (drafters.model)."
                )
    with blamed_on(f"decoding.groups.{name}"):
        if len({(config.rows, config.columns) for config in configs.values()}) > 1:
            raise EaselError("the networks' pictures differ in size; make it two groups.")
        size = params.autoregressive.models[base(params, next(iter(configs)))].pictures
        language = chosen_languages(params.autoregressive.languages, read_meta(DATA)["languages"])[0]
        rows = rows_of(settings, size, params.tokenizer.fine.leave_out, language)
    found = {
        (seed, key): part_of(params, f"{name}/{key} {seed}", one, rows, seed, settings)
        for seed in range(params.decoding.seeds)
        for key, one in settings.single.items()
    }
    return Group(next(iter(configs.values())), rows, found)


def part_of(
    params: Params, name: str, one: DecodingRunParams, rows: list[Row], seed: int, settings: DecodingGroupParams
) -> Part:
    """A run from one seed."""
    folder = folder_of(params, one.network)
    inputs = [TEXT, folder]
    if kind := decoders.DRAFTERS.get(one.decoder):
        inputs.append(DRAFTERS / kind)
    if one.decoder == "lantern":
        inputs.append(TOKENIZER)
    model = params.autoregressive.models[base(params, one.network)]
    passes = 1.0 if one.decoder in ("autoregressive", "zipar") else one.options.get("window", 16) / 6
    arguments = {
        "text": str(TEXT),
        "text_length": params.text.length,
        "network": str(folder),
        "decoder": one.decoder,
        "options": one.options,
        "steps": one.steps,
        "spacing": params.sjd2.variants[one.network].spacing if one.steps else "karras",
        "sampling": sampling_of(params, one),
        "captions": [row.text for row in rows],
        "items": [row.item for row in rows],
        "seed": params.seed + seed,
        "batch_size": settings.batch_size,
        "timed": settings.timed,
    }
    return Part(
        name=name,
        work=draw,
        arguments=arguments,
        inputs=inputs,
        code=[decoders.DECODERS[one.decoder]],
        timed=settings.timed,
        size=len(rows) * passes * model.width * model.pictures**2,
    )


@contextmanager
def blamed_on(key: str) -> Iterator[None]:
    """Says in an EaselError which key of params.yaml it is about."""
    try:
        yield
    except EaselError as error:
        raise EaselError(f"params.yaml: {key}: {error}") from error


def folder_of(params: Params, network: str) -> Path:
    """Where a network lies, by the name that runs give it."""
    kind, name = split_name(network)
    section, known, folder = {
        "": ("sjd2.variants", params.sjd2.variants, TUNED),
        UNTUNED: ("autoregressive.models", params.autoregressive.models, MODELS),
        DRAFT_TUNED: ("draft_tuning.variants", params.draft_tuning.variants, ON_DRAFTS),
    }[kind]
    if name not in known:
        raise EaselError(f"network is {network!r}, but {section} has {', '.join(known)}.")
    return folder / name


def split_name(network: str) -> tuple[str, str]:
    """What stands before the name of a network, if anything, and the name."""
    kind = next((one for one in (UNTUNED, DRAFT_TUNED) if network.startswith(one)), "")
    return kind, network.removeprefix(kind)


def base(params: Params, network: str) -> str:
    """Which of autoregressive.models a network is, or was tuned from."""
    kind, name = split_name(network)
    if kind == UNTUNED:
        return name
    return (params.draft_tuning if kind else params.sjd2).variants[name].model


def sampling_of(params: Params, one: DecodingRunParams) -> dict[str, float]:
    """Guidance, temperature and top-k of a run."""
    return {name: getattr(params.decoding, name) for name in ("guidance", "temperature", "top_k")} | dict(one.sampling)


def rows_of(settings: DecodingGroupParams, size: int, leave_out: tuple[str, ...], language: str) -> list[Row]:
    """What a group draws: prompts, then captions of test pictures that there are of `size` pixels, in `language`.

    Raises:
        EaselError: there are fewer such captions.
    """
    prompts, test = read_prompts(DATA), Split.open(DATA, "test")
    numbers = {prompt["id"]: number for number, prompt in enumerate(prompts)}
    chosen = first_of_each_category(prompts, settings.prompts)
    rows = [Row(one["id"], "prompt", None, numbers[one["id"]], one[language]) for one in chosen]
    pictures = kept(test, leave_out, test.lengths.get(size, 0)).tolist()
    if len(pictures) < settings.captions:
        raise EaselError(
            f"captions is {settings.captions}, but the test split has {len(pictures)} pictures of {size}×{size} pixels "
            "that may be used; ask for fewer."
        )
    for number in pictures[: settings.captions]:
        caption = test.captions[number][language][0]
        rows.append(Row(f"test-{number:06d}", "caption", number, CAPTION_ITEMS + number, caption))
    return rows


def write(params: Params, name: str, group: Group, paths: Mapping[tuple[int, str], Path]) -> None:
    """Puts the parts of all runs of a group together."""
    settings, config, rows, out = params.decoding.groups[name], group.config, group.rows, OUT / name
    out.mkdir()
    runs, timed_on = {}, machine()
    for key, one in settings.single.items():
        loaded = [checkpoint.load(path) for (_, owner), path in paths.items() if owner == key]
        arrays, numbers = zip(*loaded, strict=True)
        tokens = np.stack([part["tokens"] for part in arrays])  # [S, R, length]
        np.save(out / f"{key}.npy", tokens.reshape(*tokens.shape[:2], config.rows, config.columns))
        runs[key] = {
            "network": one.network,
            "decoder": one.decoder,
            # JSON has no infinity.
            "options": {option: "inf" if value == math.inf else value for option, value in one.options.items()},
            "steps": one.steps,
            "sampling": sampling_of(params, one),
            "passes": [part["passes"].tolist() for part in arrays],
            "accepted": added([part["accepted"] for part in arrays]).tolist(),
            "flops_per_token": float(np.mean([part["operations"] for part in arrays])) / config.length,
            "cache_bytes": numbers[0]["cache_bytes"],
            "nats": [part["nats"].tolist() for part in arrays],
        }
        if settings.timed:
            runs[key] |= {kind: [part[kind] for part in numbers] for kind in TIMES}
            timed_on = numbers[-1]["machine"]
        if "changes" in arrays[0]:
            counts, pairs = (
                [part[kind].tolist() for part in arrays] for kind in ("changes", "looked_at")
            )  # [S][slots]
            means = [
                [count / often if often else None for count, often in zip(*seed, strict=True)]
                for seed in zip(counts, pairs, strict=True)
            ]
            a_token = [sum(seed) / (len(rows) * config.length) for seed in counts]  # by all slots that are traced
            runs[key]["trace"] = {"changes": means, "looked_at": pairs, "a_token": a_token}
    about = {
        "rows": [{"id": row.id, "kind": row.kind, "picture": row.picture, "text": row.text} for row in rows],
        "seeds": params.decoding.seeds,
        "length": config.length,
        "rows_of_tokens": config.rows,
        "columns": config.columns,
        "batch_size": settings.batch_size,
        "machine": timed_on,
        "threads": next(iter(group.parts.values())).threads,
        "runs": runs,
    }
    write_json(out / "runs.json", about)
