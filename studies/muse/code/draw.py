"""Stage muse/draw: every way of drawing that is compared, with every training → build/muse/drawn/ (drawings.json, and
for every run <run>.npy)."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lib.data.prompts import CAPTION_ITEMS, first_of_each_category
from lib.data.store import Split, read_meta, read_prompts
from lib.metrics.drawings import Settings, Timing
from lib.ownership import fresh
from lib.pipeline import parts
from lib.pipeline.parts import Part
from lib.scenes.wordings import worded
from lib.weights import checkpoint
from studies.muse.code.drawing import rates, timed
from studies.muse.code.drawing_parts import base_of, drawing_part, inputs_of
from studies.muse.code.material import Folders, folders
from studies.muse.code.reports import Drawings, Drawn, Filled, Rates, Worded
from studies.muse.code.settings import PARALLEL, Params, seeds_of
from studies.muse.code.sizes import PICTURE
from studies.muse.code.training_parts import folder

OUT, SETTINGS = Path("build/muse/drawn"), Path("build/muse/settings.json")
COMPARED = ("autoregressive", "masked", "latent", "cascade")  # models of pictures of one size
FILLING = ("autoregressive", "masked")  # models that fill the gaps of a picture
SAMPLE = 10_000  # what parts the random numbers of a row's samples


@dataclass(frozen=True)
class Planned:
    """One way of drawing.

    Attributes:
        training: whose models draw.
        captions: of test pictures that each training draws too, for FID and KID.
        samples: pictures of a row from each training.
        prompts: whether prompts are drawn.
        seeds: trainings; None: all there are.
    """

    training: str
    sampling: Mapping[str, Any]
    captions: int = 0
    samples: int = 1
    prompts: bool = True
    seeds: int | None = None


@dataclass(frozen=True)
class Rows:
    """What is drawn for one part of the data.

    Attributes:
        where: the part lies.
        prompts: of the part.
        there: test pictures.
    """

    where: Folders
    prompts: list[dict[str, Any]]
    there: int

    @property
    def language(self) -> str:
        """English, where the data have it."""
        languages = read_meta(self.where.data)["languages"]
        return "en" if "en" in languages else languages[0]

    def captions(self, numbers: Sequence[int]) -> list[str]:
        """The first caption of test pictures."""
        test = Split.open(self.where.data, "test")
        return [test.captions[number][self.language][0] for number in numbers]


def plan(params: Params, found: Settings) -> dict[str, Planned]:
    """What is compared, each with the settings that were best for it on validation prompts."""
    best = {name: one.best.sampling for name, one in found.models.items()}
    grid = params.muse_search.grids.masked
    settings, compared = params.muse_drawing, [name for name in COMPARED if name in best]
    each = {name: -(-settings.pictures // params.muse_trainings[name].seeds) for name in compared}
    runs = {name: Planned(name, best[name], each.get(name, 0)) for name in best if name not in PARALLEL}
    for name in there(params):
        usual = params.muse_search.steps[name]
        for steps in settings.steps[name]:
            captions = each.get(name, 0) if steps == usual else 0
            runs[f"{name}_{steps}"] = Planned(name, best[name] | {"steps": steps}, captions)
    for name in each:
        for guidance in getattr(params.muse_search.grids, name).guidance:
            sampling = best[name] | {"guidance": guidance}
            runs[f"front_{name}_{guidance:g}"] = Planned(name, sampling, settings.front, prompts=False, seeds=1)
    for order in grid.order:
        trials = [one for one in found.models["masked"].trials if one.sampling["order"] == order]
        runs[f"order_{order}"] = Planned("masked", max(trials, key=lambda one: one.exact).sampling)
    for name, ramp in (("constant", False), ("ramped", True)):
        sampling = best["masked"] | {"ramp": ramp, "guidance": max(grid.guidance)}
        runs[name] = Planned("masked", sampling, samples=2)
    return runs


def there(params: Params) -> list[str]:
    """The models that draw in as many passes as one likes, of those that this profile trains."""
    return [name for name in PARALLEL if name in params.muse_trainings]


def rows_of(params: Params, training: str) -> Rows:
    """What a training's models draw."""
    where, settings = folders(params.muse_trainings[training].part), params.muse_drawing
    prompts = first_of_each_category(read_prompts(where.data), settings.prompts)
    return Rows(where, prompts, len(np.load(where.tokens / f"test_{PICTURE}.npy", mmap_mode="r")))


def run(params: Params) -> None:
    """Draws everything; what is timed goes last, alone."""
    found = Settings.read(SETTINGS)
    rows = {name: rows_of(params, name) for name in found.models}
    planned = plan(params, found)
    runs = {name: drawings(params, name, one, rows[one.training], found) for name, one in planned.items()}
    fillings = {name: filled(params, name, found, rows[name]) for name in FILLING}
    wordings = worded_parts(params, found, rows["masked"])
    timings = dict(timed_parts(params, found, rows["masked"]))
    every = [part for _, seeds in runs.values() for seed in seeds for part in seed]
    every += [part for _, _, own in fillings.values() for part in own]
    every += [part for _, drawn in wordings.values() for own in drawn.values() for part in own]
    most = Part(name="what this machine can do", work=rates, arguments={}, inputs=[], timed=True)
    paths = parts.run("muse/draw", [*every, *timings.values(), most])

    fresh(OUT)
    OUT.mkdir(parents=True, exist_ok=True)
    report: dict[str, Any] = {
        "part": params.muse_trainings["masked"].part,
        "runs": {},
        "filled": {},
        "worded": {},
        "timings": {},
    }
    for name, (one, seeds) in runs.items():
        drawn = [[checkpoint.load(paths[part.name])[0] for part in seed] for seed in seeds]
        np.save(OUT / f"{name}.npy", np.array([[each["rows"] for each in seed] for seed in drawn]))
        report["runs"][name] = Drawn(
            training=one.training,
            sampling=dict(one.sampling),
            passes=float(np.mean([each["passes"] for seed in drawn for each in seed])),
            samples=one.samples,
            prompts=[prompt["id"] for prompt in rows[one.training].prompts if one.prompts],
            captions=list(range(min(one.captions, rows[one.training].there))),
        )
    for name, (pictures, known, own) in fillings.items():
        np.save(OUT / f"filled_{name}.npy", np.array([checkpoint.load(paths[part.name])[0]["rows"] for part in own]))
        report["filled"][name] = Filled(training=name, pictures=pictures, known=known)
    for wording, (captions, drawn) in wordings.items():
        for name, own in drawn.items():
            pictures = [checkpoint.load(paths[part.name])[0]["rows"] for part in own]
            np.save(OUT / f"{name}_{wording}.npy", np.array(pictures))
        report["worded"][wording] = Worded(captions=captions, trainings=list(drawn))
    for name, part in timings.items():
        arrays, numbers = checkpoint.load(paths[name])
        report["timings"][name] = Timing(
            training=name.split(",")[0],
            sampling=dict(part.arguments["sampling"]),
            batch_size=part.arguments["batch_size"],
            seconds=arrays["seconds"].tolist(),
            operations=numbers["operations"],
            machine=numbers["machine"],
        )
    can = checkpoint.load(paths[most.name])[1]
    report["rates"] = Rates(operations=can["operations"], bytes=can["bytes"])
    Drawings(**report).write(OUT / "drawings.json")


def drawings(params: Params, name: str, one: Planned, rows: Rows, found: Settings) -> tuple[Planned, list[list[Part]]]:
    """The parts of one way of drawing, by seed and sample."""
    numbers, prompts = range(min(one.captions, rows.there)), rows.prompts if one.prompts else []
    texts = [prompt[rows.language] for prompt in prompts] + rows.captions(numbers)
    items = [*range(len(prompts)), *(CAPTION_ITEMS + number for number in numbers)]

    def part(seed: int, sample: int) -> Part:
        model, stream = folder(one.training, seed), seed + SAMPLE * sample
        base = base_of(params, one.training, seed, found, one.sampling)
        return drawing_part(params, f"{name}, {seed}, {sample}", model, texts, items, one.sampling, stream, base)

    seeds = seeds_of(params, one.training)[: one.seeds]
    return one, [[part(seed, sample) for sample in range(one.samples)] for seed in seeds]


def filled(params: Params, training: str, found: Settings, rows: Rows) -> tuple[list[int], list[bool], list[Part]]:
    """Test pictures whose middle half in both directions a training's models draw anew: their numbers, which tokens
    stay, and the parts, one a seed."""
    numbers = list(range(min(params.muse_drawing.inpainted, rows.there)))
    grids = np.load(rows.where.tokens / f"test_{PICTURE}.npy")[numbers].astype(int)  # [R, h, w]
    height, width = grids.shape[1:]
    grids[:, height // 4 : height - height // 4, width // 4 : width - width // 4] = -1
    known = grids.reshape(len(grids), -1)  # [R, N]
    own = [
        drawing_part(
            params,
            f"filled {training}, {seed}",
            folder(training, seed),
            rows.captions(numbers),
            [CAPTION_ITEMS + number for number in numbers],
            found.models[training].best.sampling,
            seed,
            known=known.tolist(),
        )
        for seed in seeds_of(params, training)
    ]
    return numbers, (known[0] >= 0).tolist(), own


def worded_parts(params: Params, found: Settings, rows: Rows) -> dict[str, tuple[list[str], dict[str, list[Part]]]]:
    """Wording → captions of test pictures, and the parts that draw them, by training, one a seed; nothing where nobody
    knows what the pictures show."""
    test = Split.open(rows.where.data, "test")
    if test.scenes is None:
        return {}
    numbers, wordings = worded(test.captions, rows.language, params.muse_drawing.worded)
    items, compared = (
        [CAPTION_ITEMS + number for number in numbers],
        [name for name in COMPARED if name in found.models],
    )

    def parts_of(name: str, wording: str, captions: list[str]) -> list[Part]:
        sampling, own = found.models[name].best.sampling, []
        for seed in seeds_of(params, name):
            title, base = f"{name}, {wording}, {seed}", base_of(params, name, seed, found, sampling)
            own.append(drawing_part(params, title, folder(name, seed), captions, items, sampling, seed, base))
        return own

    return {
        wording: (captions, {name: parts_of(name, wording, captions) for name in compared})
        for wording, captions in wordings.items()
    }


def timed_parts(params: Params, found: Settings, rows: Rows) -> Iterator[tuple[str, Part]]:
    """How long the first training of each model takes, the masked one in every number of steps."""
    settings = params.muse_drawing
    ways = [("autoregressive", found.models["autoregressive"].best.sampling)]
    ways += [
        (name, found.models[name].best.sampling | {"steps": steps})
        for name in there(params)
        for steps in settings.steps[name]
    ]
    for batch_size in settings.timed:
        for training, sampling in ways:
            steps = f", {sampling['steps']} steps" if "steps" in sampling else ""
            name = f"{training}{steps}, batch {batch_size}"
            model, base = folder(training, params.seed), base_of(params, training, params.seed, found, sampling)
            arguments = {
                "model": str(model),
                "captions": [prompt[rows.language] for prompt in rows.prompts[:batch_size]],
                "batch_size": batch_size,
                "repetitions": settings.repetitions,
                "text_length": params.text.length,
                "sampling": dict(sampling),
                "base": base,
            }
            yield name, Part(name=name, work=timed, arguments=arguments, inputs=inputs_of(model, base), timed=True)
