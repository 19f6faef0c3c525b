"""Stage sjd2/decode: prompts and test captions → image tokens by every run of a group → build/decoded/<group>/
(<run>.npy uint16 [seeds, rows, h, w], runs.json).

Runs differ in network, decoder or its options; random numbers follow from (seed, row). The runs take turns, seed by
seed, so that whatever slows the machine for a while slows all of them.
"""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lib.data.encoded import chosen_languages
from lib.data.prompts import CAPTION_ITEMS, first_of_each_category
from lib.data.selection import kept
from lib.data.store import Split, read_meta, read_prompts, write_json
from lib.decoding import decoders
from lib.decoding.history import added
from lib.errors import EaselError
from lib.hardware import machine
from lib.models import autoregressive
from lib.models.autoregressive import Autoregressive, nats
from lib.models.autoregressive_predictor import Sampling
from lib.ownership import fresh
from lib.painter.autoregressive import Sampler, row_seeds
from lib.pipeline.stage import training
from lib.progress import Progress
from lib.text import TextTokenizer
from lib.weights import checkpoint
from studies.sjd2.code.settings import DRAFT_TUNED, UNTUNED, DecodingGroupParams, DecodingRunParams, Params

DATA, TEXT, TOKENIZER, MODELS, TUNED, ON_DRAFTS, DRAFTERS, OUT = (
    Path("data"),
    Path("build/text/tokenizer.json"),
    Path("build/tokenizer/fine"),
    Path("build/autoregressive"),
    Path("build/sjd2"),
    Path("build/draft_tuned"),
    Path("build/drafters"),
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


def run(params: Params, group: str) -> None:
    """Decodes the runs of `decoding.groups.<group>` from every seed, going on where an interrupted stage stopped.

    Raises:
        EaselError: a network that there is not, or that does not fit its decoder; an option that its decoder refuses;
            fewer captions than asked for. All before anything is decoded.
    """
    settings, text = params.decoding.groups[group], TextTokenizer.load(TEXT)
    empty = text.encode([""], params.text.length)[0]
    models: dict[str, Autoregressive] = {}
    samplers = {}
    for name, one in settings.single.items():
        with blamed_on(f"decoding.groups.{group}.runs.{name}"):
            if one.network not in models:
                models[one.network] = load(params, one.network)
            samplers[name] = sampler(params, one, models[one.network], empty)
    with blamed_on(f"decoding.groups.{group}"):
        if len({(model.config.rows, model.config.columns) for model in models.values()}) > 1:
            raise EaselError("the networks' pictures differ in size; make it two groups.")
        size = params.autoregressive.models[base(params, next(iter(models)))].pictures
        language = chosen_languages(params.autoregressive.languages, read_meta(DATA)["languages"])[0]
        rows = rows_of(settings, size, params.tokenizer.fine.leave_out, language)

    where = training("sjd2/decode", params, group)
    parts = {
        (seed, name): where.part(f"{name} {seed}").checkpoint
        for seed in range(params.decoding.seeds)
        for name in samplers
    }
    text_ids = text.encode([row.text for row in rows], params.text.length)
    done = len(rows) * sum(path.is_file() for path in parts.values())
    progress = Progress(f"sjd2/decode {group}", len(rows) * len(parts), already=done)
    next(iter(samplers.values()))(text_ids[:1], [0], 1)  # the very first call allocates: not one that is timed
    for (seed, name), path in parts.items():
        if not path.is_file():
            seeds = row_seeds(params.seed + seed, [row.item for row in rows])
            drawn = samplers[name](
                text_ids, seeds, settings.batch_size, lambda count, done=done: progress.update(done + count)
            )
            arrays, numbers = arrays_and_numbers(vars(drawn))
            arrays["tokens"] = arrays["tokens"].astype(np.uint16)
            arrays["nats"] = nats(samplers[name].model, text_ids, drawn.tokens).mean(axis=1)  # [R]
            checkpoint.save(path, arrays, numbers)
            done += len(rows)
    write(params, group, next(iter(models.values())), rows, parts)


@contextmanager
def blamed_on(key: str) -> Iterator[None]:
    """Says in an EaselError which key of params.yaml it is about."""
    try:
        yield
    except EaselError as error:
        raise EaselError(f"params.yaml: {key}: {error}") from error


def load(params: Params, network: str) -> Autoregressive:
    """A network by the name that runs give it."""
    kind, name = split_name(network)
    section, known, folder = {
        "": ("sjd2.variants", params.sjd2.variants, TUNED),
        UNTUNED: ("autoregressive.models", params.autoregressive.models, MODELS),
        DRAFT_TUNED: ("draft_tuning.variants", params.draft_tuning.variants, ON_DRAFTS),
    }[kind]
    if name not in known:
        raise EaselError(f"network is {network!r}, but {section} has {', '.join(known)}.")
    return autoregressive.load(folder / name).to("cuda" if torch.cuda.is_available() else "cpu")


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


def sampler(params: Params, one: DecodingRunParams, model: Autoregressive, empty: np.ndarray) -> Sampler:
    """What draws the pictures of a run."""
    if one.decoder in decoders.DRAFTERS and base(params, one.network) != params.drafters.model:
        raise EaselError(f"decoder {one.decoder} has a drafter for {params.drafters.model} alone (drafters.model).")
    denoising = {"steps": one.steps, "spacing": params.sjd2.variants[one.network].spacing} if one.steps else {}
    sampling = Sampling(**sampling_of(params, one))
    return Sampler(model, empty, sampling, one.decoder, one.options, **denoising, trained=DRAFTERS, tokenizer=TOKENIZER)


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


def arrays_and_numbers(fields: Mapping[str, Any]) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Named values without those that are None, arrays and numbers apart."""
    arrays = {name: value for name, value in fields.items() if isinstance(value, np.ndarray)}
    return arrays, {name: value for name, value in fields.items() if isinstance(value, int | float)}


def write(
    params: Params, group: str, model: Autoregressive, rows: list[Row], parts: Mapping[tuple[int, str], Path]
) -> None:
    """Puts the parts of all runs together."""
    settings, config, out = params.decoding.groups[group], model.config, OUT / group
    fresh(out)
    runs = {}
    for name, one in settings.single.items():
        loaded = [checkpoint.load(path) for (_, owner), path in parts.items() if owner == name]
        arrays, numbers = zip(*loaded, strict=True)
        tokens = np.stack([part["tokens"] for part in arrays])  # [S, R, length]
        np.save(out / f"{name}.npy", tokens.reshape(*tokens.shape[:2], config.rows, config.columns))
        runs[name] = {
            "network": one.network,
            "decoder": one.decoder,
            # JSON has no infinity.
            "options": {key: "inf" if value == math.inf else value for key, value in one.options.items()},
            "steps": one.steps,
            "sampling": sampling_of(params, one),
            "passes": [part["passes"].tolist() for part in arrays],
            "accepted": added([part["accepted"] for part in arrays]).tolist(),
            "seconds": [part["seconds"] for part in numbers],
            "network_seconds": [part["network_seconds"] for part in numbers],
            "flops_per_token": float(np.mean([part["operations"] for part in arrays])) / config.length,
            "cache_bytes": numbers[0]["cache_bytes"],
            "nats": [part["nats"].tolist() for part in arrays],
        }
        if "changes" in arrays[0]:
            counts, pairs = ([part[key].tolist() for part in arrays] for key in ("changes", "looked_at"))  # [S][slots]
            means = [
                [count / often if often else None for count, often in zip(*seed, strict=True)]
                for seed in zip(counts, pairs, strict=True)
            ]
            a_token = [sum(seed) / (len(rows) * config.length) for seed in counts]  # by all slots that are traced
            runs[name]["trace"] = {"changes": means, "looked_at": pairs, "a_token": a_token}
    about = {
        "rows": [{"id": row.id, "kind": row.kind, "picture": row.picture, "text": row.text} for row in rows],
        "seeds": params.decoding.seeds,
        "length": config.length,
        "rows_of_tokens": config.rows,
        "columns": config.columns,
        "batch_size": settings.batch_size,
        "machine": machine(),
        "threads": params.threads,
        "runs": runs,
    }
    write_json(out / "runs.json", about)
