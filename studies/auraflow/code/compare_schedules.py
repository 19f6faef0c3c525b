"""Stage auraflow/compare_schedules: the U-Net, trained and asked at the noise levels of Stable Diffusion XL and of
Kolors, as they were published, and at levels that end with noise alone, on pictures of two sizes →
results/<profile>/auraflow_schedules.json.

Where the last level of training still shows some of the picture, but drawing starts from noise alone, a network takes
the noise's own brightness, which is about the middle, for the picture's (Lin et al. 2024, arXiv:2305.08891, section 1).
The published ones say ε and are asked at leading levels; at a level of noise alone ε would say nothing, so there the
network says v and is asked from the last level on, as Lin et al. propose. Kolors has its levels for large pictures,
whose neighbouring pixels tell more of each other: the same noise hides less.
"""

from itertools import product
from typing import Any

import numpy as np

from lib.data.prompts import CAPTION_ITEMS
from lib.decoding.diffusion_schedules import noise_schedule
from lib.evidence.report import Interval
from lib.metrics.grounds import ground_colours
from lib.metrics.panel import Panel
from lib.ownership import MANIFEST, fresh
from lib.pipeline import parts
from lib.pipeline.parts import Part
from lib.weights import checkpoint
from studies.auraflow.code.draw import languages
from studies.auraflow.code.drawing_parts import drawing_part
from studies.auraflow.code.material import SCHEDULES, TEXT, TEXTS, TOKENIZER, data, tokens
from studies.auraflow.code.panels import panel_of
from studies.auraflow.code.reports import Scheduled, Schedules, Sized
from studies.auraflow.code.settings import SIZES, Params, scheduled
from studies.auraflow.code.training import WORK


def run(params: Params) -> None:
    """Trains, draws, measures."""
    own, panel = params.auraflow_schedules, panel_of(params.evaluation, params.seed)
    keys = list(product(SIZES, own.noises, range(params.seed, params.seed + own.seeds)))
    trainings = {key: training_part(params, *key) for key in keys}
    paths = parts.run("auraflow/compare_schedules", list(trainings.values()))
    fresh(SCHEDULES)
    for (size, name, seed), part in trainings.items():
        folder = SCHEDULES / str(size) / name / str(seed)
        checkpoint.save(folder / "model.safetensors", *checkpoint.load(paths[part.name]))

    numbers = list(range(min(own.pictures, *panel.test.lengths.values())))
    captions = [panel.test.captions[number][languages()[0]][-1] for number in numbers]
    items = [CAPTION_ITEMS + number for number in numbers]
    listed = {}
    for size, name, seed in keys:
        sampling = {"guidance": own.guidance, "steps": own.passes, "spacing": own.noises[name].spacing}
        folder, title = SCHEDULES / str(size) / name / str(seed), f"drawn {name}, {size}, {seed}"
        listed[size, name, seed] = drawing_part(params, title, folder, seed, captions, items, sampling)
    paths = parts.run("auraflow/compare_schedules", list(listed.values()))
    drawn = {key: checkpoint.load(paths[part.name])[0]["pictures"] for key, part in listed.items()}
    seeds = range(params.seed, params.seed + own.seeds)
    sizes = {
        size: measured(
            params, panel, {name: np.stack([drawn[size, name, seed] for seed in seeds], axis=1) for name in own.noises}
        )
        for size in SIZES
    }
    Schedules(seeds=own.seeds, sizes=sizes).write(params.results / "auraflow_schedules.json")


def training_part(params: Params, size: int, name: str, seed: int) -> Part:
    """One training."""
    text, settings = TEXTS / params.auraflow_schedules.text, scheduled(params, name, size)
    arguments = {"settings": settings, "text": str(text), "text_length": params.text.length, "seed": seed, "size": size}
    descent = settings.descent.training
    return Part(
        name=f"{name}, {size}, {seed}",
        work=WORK["unet"],
        arguments=arguments,
        inputs=[data() / MANIFEST, TOKENIZER, tokens(), TEXT, text],
        size=descent.steps * descent.batch_size * size**2,
    )


def measured(params: Params, panel: Panel, drawn: dict[str, np.ndarray]) -> Sized:
    """What was drawn in one size, by the schedule: pictures uint8 [P, seeds, S, S, 3] of the first P test pictures."""
    noises, found = params.auraflow_schedules.noises, {}
    count, _, size = next(iter(drawn.values())).shape[:3]
    real = np.asarray(panel.test.images(size)[:count])[:, None]  # [P, 1, S, S, 3]
    middle, grounds = float(np.mean(real) / 255), None
    if panel.test.scenes is not None:
        grounds = np.array([scene["background"]["colour"] for scene in panel.test.scenes[:count]])
    for name, pictures in drawn.items():
        one, numbers = noises[name], list(range(count))
        given: dict[str, Any] = light(panel, pictures, middle) | panel.distances(pictures, numbers)
        if grounds is not None:
            right = ground_colours(pictures) == grounds[:, None]
            given["ground"] = panel.mean(right.mean(axis=1), "ground")
        found[name] = Scheduled(
            levels=one.noise.steps,
            target=one.target,
            spacing=one.spacing,
            terminal_snr=float(noise_schedule(**dict(one.noise)).snr[-1]),
            **given,
        )
    return Sized(pictures=count, real=light(panel, real, middle), schedules=found)


def light(panel: Panel, drawn: np.ndarray, middle: float) -> dict[str, Interval]:
    """Brightness, spread and contrast of pictures [P, n, S, S, 3]; see `Scheduled`.

    Args:
        middle: mean brightness of the test pictures.
    """
    grey = drawn.mean(axis=4) / 255  # [P, n, S, S]
    bright = grey.mean(axis=(2, 3))  # [P, n]
    values = {"brightness": bright, "spread": np.abs(bright - middle), "contrast": grey.std(axis=(2, 3))}
    return {name: panel.mean(value.mean(axis=1), name) for name, value in values.items()}
