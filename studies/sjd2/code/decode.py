"""Stage sjd2/decode: prompts and test captions → image tokens by every run of every group → build/sjd2/decoded/<group>/
(<run>.npy uint16 [units, rows, h, w], runs.json).

Runs differ in network, decoder or its options; random numbers follow from (unit, row). A unit is a sampling seed of the
first training, or a training with one sampling seed. A part is one run of one unit. Those of a group that is timed run
alone, one after another, unit by unit, so that whatever slows the machine for a while slows all of them.
"""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lib.data.encoded import chosen_languages
from lib.data.prompts import CAPTION_ITEMS, first_of_each_category
from lib.data.store import Split, read_meta, read_prompts, write_json
from lib.decoding import decoders
from lib.errors import EaselError
from lib.hardware import machine
from lib.models import autoregressive
from lib.models.autoregressive import AutoregressiveConfig
from lib.ownership import fresh
from lib.pipeline import parts
from lib.pipeline.own_pictures import TOKENIZERS, folders
from lib.pipeline.parts import Part
from lib.weights import checkpoint
from studies.sjd2.code.choice import CHOICE, Choice
from studies.sjd2.code.drawing import TIMES, draw
from studies.sjd2.code.material import DECODED, DRAFTERS, MODELS, ON_DRAFTS, PARTS, TEXT, TUNED, folder
from studies.sjd2.code.settings import DRAFT_TUNED, UNTUNED, DecodingRunParams, Params


@dataclass(frozen=True)
class Row:
    """One picture to be drawn.

    Attributes:
        id: of the prompt, or <split>-<number of the picture>.
        kind: prompt or caption.
        picture: whose caption it is, a number of its split; None for a prompt.
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
    """What a group draws, its runs with the settings that were chosen, and the parts that do it: of unit and run."""

    config: AutoregressiveConfig
    rows: list[Row]
    runs: dict[str, DecodingRunParams]
    parts: dict[tuple[int, str], Part]


def run(params: Params) -> None:
    """Decodes all groups, going on where an interrupted stage stopped.

    Raises:
        EaselError: a network that there is not, or that does not fit its decoder; an option that its decoder refuses;
            fewer captions than asked for. All before anything is decoded.
    """
    choice = Choice.read(CHOICE)
    groups = {name: plan(params, choice, name) for name in params.decoding.groups}
    every = [part for group in groups.values() for part in group.parts.values()]
    paths = parts.run("sjd2/decode", every)
    fresh(DECODED)
    for name, group in groups.items():
        write(params, name, group, {key: paths[part.name] for key, part in group.parts.items()})


def plan(params: Params, choice: Choice, name: str) -> Group:
    """A group of decoding.groups; its runs' options and networks are checked on the way."""
    settings = params.decoding.groups[name]
    runs = {key: choice.resolve(one) for key, one in settings.single.items()}
    configs = {}
    for key, one in runs.items():
        with blamed_on(f"decoding.groups.{name}.runs.{key}"):
            configs[one.network] = checked(params, one)
    with blamed_on(f"decoding.groups.{name}"):
        rows = rows_of(params, next(iter(configs)), "test", settings.prompts, settings.captions)
    found = {}
    for unit in range(settings.units):
        training, seed = settings.unit(unit)
        for key, one in runs.items():
            part = part_of(
                params, f"{name}/{key} {unit}", one, training, rows, seed, settings.batch_size, settings.timed
            )
            found[unit, key] = part
    return Group(next(iter(configs.values())), rows, runs, found)


def checked(params: Params, one: DecodingRunParams) -> AutoregressiveConfig:
    """The sizes of a run's network, which fits its decoder.

    Raises:
        EaselError: it does not, or is not there.
    """
    config = autoregressive.load(folder_of(params, one.network, 0)).config
    decoders.check(one.decoder, one.options, config.length, config.columns, one.steps)
    return config


def part_of(
    params: Params,
    name: str,
    one: DecodingRunParams,
    training: int,
    rows: list[Row],
    seed: int,
    batch_size: int,
    timed: bool = False,
) -> Part:
    """A run on one training of its network from one sampling seed."""
    base = params.base(one.network)
    model = params.autoregressive.models[base]
    network, tokenizer = folder_of(params, one.network, training), TOKENIZERS / model.tokenizer
    judge = folder(MODELS, params.autoregressive.judge, 0) if params.judged(base) else None
    inputs = [TEXT, network, *([judge] if judge else [])]
    if kind := decoders.DRAFTERS.get(one.decoder):
        inputs.append(DRAFTERS / kind)
    if one.decoder == "lantern":
        inputs.append(tokenizer)
    passes = 1.0 if one.decoder in ("autoregressive", "zipar") else one.options.get("window", 16) / 6
    arguments = {
        "text": str(TEXT),
        "text_length": params.text.length,
        "network": str(network),
        "judge": str(judge or ""),
        "tokenizer": str(tokenizer),
        "decoder": one.decoder,
        "options": one.options,
        "steps": one.steps,
        "spacing": params.sjd2.variants[one.network].spacing if one.steps else "karras",
        "sampling": sampling_of(params, one),
        "captions": [row.text for row in rows],
        "items": [row.item for row in rows],
        "seed": params.seed_of("decoding", seed),
        "batch_size": batch_size,
        "timed": timed,
    }
    return Part(
        name=name,
        work=draw,
        arguments=arguments,
        inputs=inputs,
        code=[decoders.DECODERS[one.decoder]],
        timed=timed,
        size=len(rows) * passes * model.width * model.pictures**2,
    )


@contextmanager
def blamed_on(key: str) -> Iterator[None]:
    """Says in an EaselError which key of params.yaml it is about."""
    try:
        yield
    except EaselError as error:
        raise EaselError(f"params.yaml: {key}: {error}") from error


def folder_of(params: Params, network: str, training: int) -> Path:
    """Where a training of a network lies, by the name that runs give the network."""
    for prefix, where in ((UNTUNED, MODELS), (DRAFT_TUNED, ON_DRAFTS)):
        if network.startswith(prefix):
            return folder(where, network.removeprefix(prefix), training)
    return folder(TUNED, network, training)


def sampling_of(params: Params, one: DecodingRunParams) -> dict[str, float]:
    """Guidance, temperature and top-k of a run."""
    return {name: getattr(params.decoding, name) for name in ("guidance", "temperature", "top_k")} | dict(one.sampling)


def rows_of(params: Params, network: str, split: str, prompts: int, captions: int) -> list[Row]:
    """What runs of a network draw: prompts, then captions of pictures of a split, of its own part of the data.

    Args:
        prompts: of every category, at most; captions: pictures.

    Raises:
        EaselError: there are fewer such pictures.
    """
    model = params.autoregressive.models[params.base(network)]
    data = folders(PARTS, model.part, model.tokenizer).data
    language = chosen_languages(params.autoregressive.languages, read_meta(data)["languages"])[0]
    every, pictures = read_prompts(data), Split.open(data, split)
    numbers = {prompt["id"]: number for number, prompt in enumerate(every)}
    chosen = first_of_each_category(every, prompts)
    rows = [Row(one["id"], "prompt", None, numbers[one["id"]], one[language]) for one in chosen]
    there = pictures.lengths.get(model.pictures, 0)
    if there < captions:
        raise EaselError(
            f"captions is {captions}, but split {split} has {there} pictures of {model.pictures}×{model.pictures} "
            "pixels; ask for fewer."
        )
    for number in range(captions):
        caption = pictures.captions[number][language][0]
        rows.append(Row(f"{split}-{number:06d}", "caption", number, CAPTION_ITEMS + number, caption))
    return rows


def write(params: Params, name: str, group: Group, paths: Mapping[tuple[int, str], Path]) -> None:
    """Puts the parts of all runs of a group together."""
    settings, config, rows, out = params.decoding.groups[name], group.config, group.rows, DECODED / name
    out.mkdir()
    runs, timed_on = {}, machine()
    for key, one in group.runs.items():
        loaded = [checkpoint.load(path) for (_, owner), path in paths.items() if owner == key]
        arrays, numbers = zip(*loaded, strict=True)
        tokens = np.stack([part["tokens"] for part in arrays])  # [U, R, length]
        np.save(out / f"{key}.npy", tokens.reshape(*tokens.shape[:2], config.rows, config.columns))
        runs[key] = {
            "network": one.network,
            "decoder": one.decoder,
            "chosen": settings.single[key].chosen,
            # JSON has no infinity.
            "options": {option: "inf" if value == math.inf else value for option, value in one.options.items()},
            "steps": one.steps,
            "sampling": sampling_of(params, one),
            "passes": [part["passes"].tolist() for part in arrays],
            "accepted": [part["accepted"].tolist() for part in arrays],
            "flops_per_token": float(np.mean([part["operations"] for part in arrays])) / config.length,
            "cache_bytes": numbers[0]["cache_bytes"],
        }
        for kind in ("nats", "entropy", "judged"):
            if kind in arrays[0]:
                runs[key][kind] = [part[kind].tolist() for part in arrays]
        if settings.timed:
            runs[key] |= {kind: [part[kind] for part in numbers] for kind in TIMES}
            timed_on = numbers[-1]["machine"]
        if "changes" in arrays[0]:
            counts, pairs = (
                [part[kind].tolist() for part in arrays] for kind in ("changes", "looked_at")
            )  # [U][slots]
            means = [
                [count / often if often else None for count, often in zip(*seed, strict=True)]
                for seed in zip(counts, pairs, strict=True)
            ]
            a_token = [sum(seed) / (len(rows) * config.length) for seed in counts]  # by all slots that are traced
            runs[key]["trace"] = {"changes": means, "looked_at": pairs, "a_token": a_token}
    about = {
        "rows": [{"id": row.id, "kind": row.kind, "picture": row.picture, "text": row.text} for row in rows],
        "over": settings.over,
        "units": settings.units,
        "length": config.length,
        "rows_of_tokens": config.rows,
        "columns": config.columns,
        "batch_size": settings.batch_size,
        "machine": timed_on,
        "threads": next(iter(group.parts.values())).threads,
        "runs": runs,
    }
    write_json(out / "runs.json", about)
