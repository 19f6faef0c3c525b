"""Stage auraflow/draw: every way of drawing that is compared, with every training → build/auraflow/drawn/
(drawings.json, and for every run <run>.npy)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lib.data.prompts import CAPTION_ITEMS, first_of_each_category
from lib.data.store import Split, read_meta, read_prompts
from lib.metrics.drawings import Settings, Timing
from lib.ownership import fresh
from lib.pipeline import parts
from lib.pipeline.parts import Part
from lib.weights import checkpoint
from studies.auraflow.code.again import drawn_again, ways
from studies.auraflow.code.drawing import timed
from studies.auraflow.code.drawing_parts import drawing_part
from studies.auraflow.code.material import DRAWN, SETTINGS, TEXT, TEXTS, TOKENIZER, data, folder
from studies.auraflow.code.reports import Drawings, Drawn
from studies.auraflow.code.settings import DENOISING, Params, seeds_of


@dataclass(frozen=True)
class Planned:
    """One way of drawing.

    Attributes:
        training: whose models draw.
        language: of prompts and captions.
        captions: of test pictures that each training draws too, for FID and KID.
        seeds: trainings that draw.
    """

    training: str
    language: str
    sampling: Mapping[str, Any]
    captions: int
    seeds: Sequence[int]


def languages() -> list[str]:
    """Those of the data, English first where they have it."""
    return sorted(read_meta(data())["languages"], key=lambda language: (language != "en", language))


def plan(params: Params, found: Settings) -> dict[str, Planned]:
    """What is compared, each with the settings that were best for it on validation prompts: every training in every
    language, and those that denoise in other numbers of passes."""
    first, *others = languages()
    runs, settings = {}, params.auraflow_drawing
    for name, one in params.auraflow_trainings.items():
        best, seeds = found.models[name].best.sampling, seeds_of(params, name)
        runs[name] = Planned(name, first, best, -(-settings.pictures // len(seeds)), seeds)
        for language in others:
            runs[f"{name}_{language}"] = Planned(name, language, best, 0, seeds)
        for steps in settings.steps if one.model in DENOISING else ():
            runs[f"{name}_{steps}"] = Planned(name, first, best | {"steps": steps}, 0, seeds[:1])
    return runs


def run(params: Params) -> None:
    """Draws everything; what is timed goes last, alone."""
    found, test = Settings.read(SETTINGS), Split.open(data(), "test")
    prompts = first_of_each_category(read_prompts(data()), params.auraflow_drawing.prompts)
    planned, listed, there = plan(params, found), {}, len(test.captions)
    for name, one in planned.items():
        numbers = range(min(one.captions, there))
        texts = [prompt[one.language] for prompt in prompts]
        texts += [test.captions[number][one.language][0] for number in numbers]
        items = [*range(len(prompts)), *(CAPTION_ITEMS + number for number in numbers)]
        for seed in one.seeds:
            model = folder(one.training, seed)
            listed[name, seed] = drawing_part(params, f"{name}, {seed}", model, seed, texts, items, one.sampling)
    again = ways(params, test, languages()[0])
    drawn_anew = drawn_again(params, found, test, again)
    timings = timed_parts(params, found, [prompt[languages()[0]] for prompt in prompts])
    paths = parts.run("auraflow/draw", [*listed.values(), *drawn_anew.values(), *timings.values()])

    fresh(DRAWN)
    DRAWN.mkdir(parents=True, exist_ok=True)
    runs = {}
    for name, one in planned.items():
        drawn = [checkpoint.load(paths[listed[name, seed].name])[0] for seed in one.seeds]
        np.save(DRAWN / f"{name}.npy", np.array([each["pictures"] for each in drawn]))
        runs[name] = Drawn(
            training=one.training,
            language=one.language,
            sampling=dict(one.sampling),
            passes=float(np.mean([each["passes"] for each in drawn])),
            prompts=[prompt["id"] for prompt in prompts],
            captions=list(range(min(one.captions, there))),
        )
    for way, one in again.items():
        for name in one.trainings:
            own = [checkpoint.load(paths[drawn_anew[way, name, seed].name])[0] for seed in seeds_of(params, name)]
            np.save(DRAWN / f"{name}_{way}.npy", np.array([each["pictures"] for each in own]))
    times = {}
    for name, part in timings.items():
        arrays, numbers = checkpoint.load(paths[part.name])
        times[name] = Timing(
            training=name.split(",")[0],
            sampling=part.arguments["sampling"],
            batch_size=len(part.arguments["captions"]),
            seconds=arrays["seconds"].tolist(),
            operations=numbers["operations"],
            machine=numbers["machine"],
        )
    Drawings(runs=runs, again=again, timings=times).write(DRAWN / "drawings.json")


def timed_parts(params: Params, found: Settings, texts: Sequence[str]) -> dict[str, Part]:
    """How long the first training of each name takes."""
    listed = {}
    for batch_size in params.auraflow_drawing.timed:
        for name in params.auraflow_trainings:
            model = folder(name, params.seed)
            arguments = {
                "model": str(model),
                "captions": list(texts[:batch_size]),
                "repetitions": params.auraflow_drawing.repetitions,
                "text_length": params.text.length,
                "sampling": dict(found.models[name].best.sampling),
            }
            inputs, full = [model, TEXT, TEXTS, TOKENIZER], f"{name}, batch {batch_size}"
            listed[full] = Part(name=full, work=timed, arguments=arguments, inputs=inputs, timed=True)
    return listed
