"""Stage muse/draw: every way of drawing that is compared, with every training → build/muse/drawn/ (drawings.json, and
for every run <run>.npy of its prompts, <run>_captions.npy of its captions).

FID and KID are of as many drawn pictures as real ones: a model's trainings share the captions of test pictures, so that
every model draws each of them once, however many trainings it has.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lib.config_tree import plain
from lib.data.prompts import CAPTION_ITEMS, first_of_each_category
from lib.data.store import Split, read_meta, read_prompts
from lib.metrics.drawings import Settings
from lib.ownership import fresh
from lib.pipeline import parts
from lib.pipeline.parts import Part
from lib.scenes.wordings import worded
from lib.weights import checkpoint
from studies.muse.code.drawing_parts import base_of, drawing_part, inputs_of
from studies.muse.code.guiding import led
from studies.muse.code.material import Folders, folders
from studies.muse.code.negative import asked, negative_parts
from studies.muse.code.reports import Drawings, Drawn, Filled, Rates, Timed, Worded
from studies.muse.code.settings import PARALLEL, Params, seeds_of
from studies.muse.code.sizes import PICTURE
from studies.muse.code.timing import rates, timed
from studies.muse.code.training_parts import folder

OUT, SETTINGS = Path("build/muse/drawn"), Path("build/muse/settings.json")
COMPARED = ("autoregressive", "masked", "latent", "cascade")  # models of pictures of one size
FILLING = ("autoregressive", "masked")  # models that fill the gaps of a picture
SAMPLE = 10_000  # what parts the random numbers of a row's samples
MANY = 20  # passes; more are drawn by the first training alone, and timed for one picture at a time
LATE = 0.5  # share of the passes that late guidance leaves alone
SAMPLED = ("guidance", "temperature", "ramp")  # settings, of those tried, that the front is drawn over


@dataclass(frozen=True)
class Planned:
    """One way of drawing.

    Attributes:
        training: whose models draw.
        captions: of test pictures that the trainings share among them, for FID and KID.
        samples: pictures of a row from each training.
        prompts: whether prompts are drawn.
        seeds: trainings; None: all there are.
        start: share of the passes before guidance acts, of the masked model.
    """

    training: str
    sampling: Mapping[str, Any]
    captions: int = 0
    samples: int = 1
    prompts: bool = True
    seeds: int | None = None
    start: float = 0.0


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
    runs = {name: Planned(name, best[name], captions_of(params, name)) for name in best if name not in PARALLEL}
    for name in there(params):
        usual = params.muse_search.steps[name]
        for steps in settings.steps[name]:
            captions, seeds = captions_of(params, name) if steps == usual else 0, None if steps <= MANY else 1
            runs[f"{name}_{steps}"] = Planned(name, best[name] | {"steps": steps}, captions, seeds=seeds)
    for name in compared:
        tried = {
            key: values for key, values in plain(getattr(params.muse_search.grids, name)).items() if key in SAMPLED
        }
        for number, values in enumerate(itertools.product(*tried.values())):
            sampling = best[name] | dict(zip(tried, values, strict=True))
            runs[f"front_{name}_{number}"] = Planned(name, sampling, settings.front, prompts=False, seeds=1)
    for order in grid.order:
        trials = [one for one in found.models["masked"].trials if one.sampling["order"] == order]
        runs[f"order_{order}"] = Planned("masked", max(trials, key=lambda one: one.exact).sampling)
    for name, ramp, start in (("constant", False, 0.0), ("ramped", True, 0.0), ("late", False, LATE)):
        sampling = best["masked"] | {"ramp": ramp, "guidance": max(grid.guidance)}
        runs[name] = Planned("masked", sampling, samples=2, start=start)
    return runs


def captions_of(params: Params, training: str) -> int:
    """How many captions of test pictures the trainings of a name draw together."""
    return params.muse_drawing.pictures if training in COMPARED else 0


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
    best, texts = found.models["masked"].best.sampling, {one["id"]: one for one in rows["masked"].prompts}
    negated = asked(rows["masked"].prompts)
    away = negative_parts(params, negated, [texts[id][rows["masked"].language] for id in negated.prompts], best)
    timings = dict(timed_parts(params, found, rows["masked"]))
    every = [part for _, prompted, captioned in runs.values() for part in (*itertools.chain(*prompted), *captioned)]
    every += [part for _, _, own in fillings.values() for part in own]
    every += [part for _, drawn in wordings.values() for own in drawn.values() for part in own]
    every += itertools.chain(*away.values())
    most = Part(name="what this machine can do", work=rates, arguments={}, inputs=[], timed=True)
    paths = parts.run("muse/draw", [*every, *timings.values(), most])

    fresh(OUT)
    OUT.mkdir(parents=True, exist_ok=True)
    report: dict[str, Any] = {
        "part": params.muse_trainings["masked"].part,
        "runs": {},
        "filled": {},
        "worded": {},
        "negated": negated,
        "timings": {},
    }
    for name, (one, prompted, captioned) in runs.items():
        drawn = [[checkpoint.load(paths[part.name])[0] for part in seed] for seed in prompted]
        shared = [checkpoint.load(paths[part.name])[0] for part in captioned]
        if drawn:
            np.save(OUT / f"{name}.npy", np.array([[each["rows"] for each in seed] for seed in drawn]))
        if shared:
            np.save(OUT / f"{name}_captions.npy", dealt_back([each["rows"] for each in shared]))
        report["runs"][name] = Drawn(
            training=one.training,
            sampling=dict(one.sampling) | ({"start": one.start} if one.start else {}),
            passes=float(np.mean(np.concatenate([each["passes"] for each in (*itertools.chain(*drawn), *shared)]))),
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
    for way, own in away.items():
        np.save(OUT / f"away_{way}.npy", np.array([checkpoint.load(paths[part.name])[0]["rows"] for part in own]))
    for name, part in timings.items():
        arrays, numbers = checkpoint.load(paths[name])
        report["timings"][name] = Timed(
            training=name.split(",")[0],
            sampling=dict(part.arguments["sampling"]),
            batch_size=part.arguments["batch_size"],
            seconds=arrays["seconds"].tolist(),
            operations=numbers["operations"],
            bytes=numbers["bytes"],
            machine=numbers["machine"],
        )
    can = checkpoint.load(paths[most.name])[1]
    report["rates"] = Rates(operations=can["operations"], bytes=can["bytes"])
    Drawings(**report).write(OUT / "drawings.json")


def drawings(
    params: Params, name: str, one: Planned, rows: Rows, found: Settings
) -> tuple[Planned, list[list[Part]], list[Part]]:
    """The parts of one way of drawing: those of the prompts by seed and sample, those of the captions by seed."""
    seeds = seeds_of(params, one.training)[: one.seeds]

    def part(title: str, texts: Sequence[str], items: Sequence[int], seed: int, sample: int = 0) -> Part:
        model, stream = folder(one.training, seed), seed + SAMPLE * sample
        base = base_of(params, one.training, seed, found, one.sampling)
        drawn = drawing_part(params, f"{name}, {title}", model, texts, items, one.sampling, stream, base)
        return led(drawn, one.start) if one.start else drawn

    texts, numbers = [prompt[rows.language] for prompt in rows.prompts], range(min(one.captions, rows.there))
    prompted = [
        [part(f"{seed}, {sample}", texts, range(len(texts)), seed, sample) for sample in range(one.samples)]
        for seed in seeds
        if one.prompts
    ]
    captioned = [
        part(f"captions, {seed}", rows.captions(own), [CAPTION_ITEMS + number for number in own], seed)
        for seed, own in zip(seeds, dealt(numbers, len(seeds)), strict=True)
        if own
    ]
    return one, prompted, captioned


def dealt(numbers: Sequence[int], hands: int) -> list[Sequence[int]]:
    """Numbers as cards are dealt, one after the other to each of so many hands."""
    return [numbers[hand::hands] for hand in range(hands)]


def dealt_back(hands: Sequence[np.ndarray]) -> np.ndarray:
    """What was dealt, as it lay before: hands of [C or less, …], the first ones the larger → [C, …]."""
    rows = np.empty((sum(map(len, hands)), *hands[0].shape[1:]), hands[0].dtype)
    for hand, own in enumerate(hands):
        rows[hand :: len(hands)] = own
    return rows


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
    """How long the first training of each model takes in every number of steps. In batches not in more than `MANY`,
    which take in proportion as long, and a model whose times are compared with no other's in the usual number alone."""
    settings = params.muse_drawing
    ways = [("autoregressive", found.models["autoregressive"].best.sampling)]
    ways += [
        (name, found.models[name].best.sampling | {"steps": steps})
        for name in there(params)
        for steps in settings.steps[name]
    ]
    for batch_size in settings.timed:
        for training, sampling in ways:
            count = sampling.get("steps", 0)
            if batch_size > 1 and (
                count > MANY or (training not in COMPARED and count != params.muse_search.steps[training])
            ):
                continue
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
