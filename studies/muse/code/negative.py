"""Negative prompts (Muse, section 2.7): prompts that leave a colour open, drawn with guidance that leads away from the
dropped caption, and with guidance that leads away from a caption of one colour."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from lib.metrics.panel import Panel
from lib.models.vqgan import VQGAN
from lib.painter.drawing import painted
from lib.pipeline.parts import Part
from lib.scenes.vocabulary import COLOURS
from studies.muse.code.drawing_parts import drawing_part
from studies.muse.code.guiding import led
from studies.muse.code.reports import Avoided, Negated
from studies.muse.code.settings import Params, seeds_of
from studies.muse.code.training_parts import folder

WAYS = ("dropped", "negative")  # captions that guidance leads away from
SAMPLES = 4  # pictures of a prompt from each training, one after the other
APART = 10_000  # what parts the random numbers of a prompt's samples


def asked(prompts: Sequence[dict[str, Any]]) -> Negated:
    """Prompts for one object of any colour, each with one of the colours in turn."""
    open_ones = [one for one in prompts if one["require"] and leaves_colour_open(one["require"]["objects"])]
    colours = [list(COLOURS)[number % len(COLOURS)] for number in range(len(open_ones))]
    shapes = [one["require"]["objects"][0]["shape"] for one in open_ones]
    captions = [f"a {colour} {shape}" for colour, shape in zip(colours, shapes, strict=True)]
    return Negated(prompts=[one["id"] for one in open_ones], colours=colours, captions=captions)


def leaves_colour_open(objects: Sequence[dict[str, Any]]) -> bool:
    """Whether one object is asked for, and no colour."""
    return len(objects) == 1 and objects[0]["count"] == 1 and objects[0]["colour"] is None


def negative_parts(
    params: Params, asked: Negated, texts: Sequence[str], sampling: dict[str, Any]
) -> dict[str, list[Part]]:
    """Way → what each training of the masked model draws, [samples · P] rows, with the largest guidance tried."""
    sampling = sampling | {"guidance": max(params.muse_search.grids.masked.guidance)}
    every, items = list(texts) * SAMPLES, [sample * APART + n for sample in range(SAMPLES) for n in range(len(texts))]

    def part(way: str, seed: int) -> Part:
        name = f"away from a {way} caption, {seed}"
        own = drawing_part(params, name, folder("masked", seed), every, items, sampling, seed)
        return led(own, negatives=asked.captions * SAMPLES if way == "negative" else None)

    return {way: [part(way, seed) for seed in seeds_of(params, "masked")] for way in WAYS} if texts else {}


def avoided(panel: Panel, tokenizer: VQGAN, asked: Negated, drawn: dict[str, np.ndarray]) -> dict[str, Avoided]:
    """Way → how often a picture shows the colour.

    Args:
        drawn: way → tokens [seeds, samples · P, N].
    """
    colours, found = asked.colours * SAMPLES, {}
    for way, rows in drawn.items():
        readings = panel.read(painted(tokenizer, rows.reshape(-1, rows.shape[-1]))[:, None])
        seen = [[one["colour"] for one in each["objects"]] for each in readings]
        shows = np.array([colour in own for own, colour in zip(seen, colours * len(rows), strict=True)])
        by_prompt = shows.reshape(len(rows), SAMPLES, -1).mean(axis=1)  # [seeds, P]
        found[way] = Avoided(
            shown=panel.over_seeds(by_prompt.T, "negative"), objects=float(np.mean([len(own) for own in seen]))
        )
    return found
