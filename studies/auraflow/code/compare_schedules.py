"""Stage auraflow/compare_schedules: the U-Net, trained and asked at the noise levels of Stable Diffusion XL, of Kolors,
and at levels that end with noise alone → results/<profile>/auraflow_schedules.json.

Where the last level of training still shows some of the picture, but drawing starts from noise alone, a network takes
the noise's own brightness, which is about the middle, for the picture's (Lin et al. 2024, arXiv:2305.08891, section 1).
The network says v at all of them: the noise ε would say nothing at a level of noise alone.
"""

import numpy as np

from lib.data.prompts import CAPTION_ITEMS
from lib.decoding.diffusion_schedules import noise_schedule
from lib.evidence.report import Interval
from lib.metrics.panel import Panel
from lib.ownership import MANIFEST, fresh
from lib.pipeline import parts
from lib.pipeline.parts import Part
from lib.weights import checkpoint
from studies.auraflow.code.draw import languages
from studies.auraflow.code.drawing_parts import drawing_part
from studies.auraflow.code.material import SCHEDULES, SIZE, TEXT, TEXTS, TOKENIZER, TOKENS, data
from studies.auraflow.code.panels import panel_of
from studies.auraflow.code.reports import Scheduled, Schedules
from studies.auraflow.code.settings import Params, scheduled
from studies.auraflow.code.training import WORK


def run(params: Params) -> None:
    """Trains, draws, measures."""
    own, panel = params.auraflow_schedules, panel_of(params.evaluation, params.seed)
    seeds = range(params.seed, params.seed + own.seeds)
    text = TEXTS / own.text
    trainings = {
        (name, seed): Part(
            name=f"{name}, {seed}",
            work=WORK["unet"],
            arguments={
                "settings": scheduled(params, name),
                "text": str(text),
                "text_length": params.text.length,
                "seed": seed,
            },
            inputs=[data() / MANIFEST, TOKENIZER, TOKENS, TEXT, text],
        )
        for name in own.noises
        for seed in seeds
    }
    paths = parts.run("auraflow/compare_schedules", list(trainings.values()))
    fresh(SCHEDULES)
    for (name, seed), part in trainings.items():
        checkpoint.save(SCHEDULES / name / str(seed) / "model.safetensors", *checkpoint.load(paths[part.name]))

    numbers = list(range(min(own.pictures, len(panel.test.captions))))
    captions = [panel.test.captions[number][languages()[0]][0] for number in numbers]
    items, sampling = [CAPTION_ITEMS + number for number in numbers], {"guidance": own.guidance, "steps": own.steps}
    listed = {
        (name, seed): drawing_part(
            params, f"drawn {name}, {seed}", SCHEDULES / name / str(seed), seed, captions, items, sampling
        )
        for name, seed in trainings
    }
    paths = parts.run("auraflow/compare_schedules", list(listed.values()))
    real = np.asarray(panel.test.images(SIZE)[: len(numbers)])[:, None]  # [P, 1, S, S, 3]
    middle, found = float(np.mean(real) / 255), {}
    for name, noise in own.noises.items():
        pictures = [checkpoint.load(paths[listed[name, seed].name])[0]["pictures"] for seed in seeds]
        drawn = np.stack(pictures, axis=1)  # [P, seeds, S, S, 3]
        found[name] = Scheduled(
            levels=noise.steps,
            terminal_snr=float(noise_schedule(**dict(noise)).snr[-1]),
            **light(panel, drawn, middle),
            **panel.distances(drawn, numbers),
        )
    report = Schedules(seeds=own.seeds, pictures=len(numbers), real=light(panel, real, middle), schedules=found)
    report.write(params.results / "auraflow_schedules.json")


def light(panel: Panel, drawn: np.ndarray, middle: float) -> dict[str, Interval]:
    """Brightness, spread and contrast of pictures [P, n, S, S, 3]; see `Scheduled`.

    Args:
        middle: mean brightness of the test pictures.
    """
    grey = drawn.mean(axis=4) / 255  # [P, n, S, S]
    bright = grey.mean(axis=(2, 3))  # [P, n]
    values = {"brightness": bright, "spread": np.abs(bright - middle), "contrast": grey.std(axis=(2, 3))}
    return {name: panel.mean(value.mean(axis=1), name) for name, value in values.items()}
