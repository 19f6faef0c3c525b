"""Stage glu/train_variants: every feed-forward block, every seed, both lengths → build/glu/variants/<block>.json."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from lib.data.store import write_json
from lib.ownership import fresh
from lib.pipeline import parts
from lib.pipeline.parts import Part
from lib.weights import checkpoint
from studies.glu.code.settings import GluSetting, Params
from studies.glu.code.training import DATA, PICTURE, TEXT, TOKENS, trained

OUT = Path("build/glu/variants")
LOSSES = 60  # points of a training curve


def run(params: Params) -> None:
    """Trains all blocks at both lengths, the long one with a schedule of its own, and measures them on test."""
    settings = params.glu_variants
    seeds = seed_numbers(params, settings.seeds)
    measured = {"split": "test", "pictures": settings.pictures}
    curve = {"split": "val", "pictures": settings.curve_pictures, "points": settings.curve_points}
    found = parts.run(
        "glu/train_variants",
        [
            part(params, f"{block}, {length}", settings.setting, block, seeds, steps, measured=measured, curve=curve)
            for block in settings.variants
            for length, steps in settings.steps.items()
        ],
    )
    fresh(OUT)
    for block in settings.variants:
        report = {}
        for length, steps in settings.steps.items():
            arrays, numbers = checkpoint.load(found[f"{block}, {length}"])
            report |= {"parameters": numbers["parameters"], "inner": numbers["inner"]}
            report[length] = {
                "steps": steps,
                "nats": arrays["averaged"].tolist(),
                "curve": {"step": numbers["measured"], "nats": arrays["curve"].tolist()},  # [points, seeds]
                "training": thinned(arrays["losses"]),
            }
        write_json(OUT / f"{block}.json", report | {"seeds": seeds})


def part(
    params: Params, name: str, setting: GluSetting, variant: str, seeds: Sequence[int], steps: int, **arguments: Any
) -> Part:
    """A training on pictures; `arguments` as of `studies.glu.code.training.trained`."""
    tokenizer = getattr(params.tokenizer, setting.tokens)
    tokens = (PICTURE // tokenizer.stride) ** 2
    given = {
        "setting": setting,
        "variant": variant,
        "seeds": seeds,
        "steps": steps,
        "text_length": params.text.length,
        "codes": tokenizer.codes,
        "leave_out": tokenizer.leave_out,
    }
    return Part(
        name=name,
        work=trained,
        arguments=given | arguments,
        inputs=(DATA, TEXT, TOKENS / setting.tokens),
        size=steps * setting.batch_size * tokens * weights(setting),
    )


def weights(setting: GluSetting) -> int:
    """About how many weights the layers of a network have."""
    layers = setting.encoder_layers + setting.decoder_layers
    return layers * setting.width * (4 * setting.width + 2 * setting.feed_forward)


def seed_numbers(params: Params, count: int) -> list[int]:
    """The seeds of all runs that are compared with each other."""
    return list(range(params.seed, params.seed + count))


def thinned(losses: np.ndarray, points: int = LOSSES) -> dict[str, list]:
    """Losses [steps, seeds] as means over about `points` equal stretches: {"step": […], "nats": [[…]]}."""
    ends = np.unique(np.linspace(0, len(losses), points + 1).round().astype(int))
    means = [losses[start:end].mean(axis=0).tolist() for start, end in pairwise(ends)]
    return {"step": ends[1:].tolist(), "nats": means}
