"""Drawings from trained models as parts."""

from collections.abc import Mapping, Sequence
from typing import Any

from lib.pipeline.parts import Part
from studies.auraflow.code.drawing import draw
from studies.auraflow.code.material import TEXT, TEXTS, TOKENIZER, folder
from studies.auraflow.code.settings import Params

STEPS = 16  # of a model that denoises, which take about as long as a picture of one that does not


def drawing_part(
    params: Params,
    name: str,
    training: str,
    seed: int,
    captions: Sequence[str],
    items: Sequence[int],
    sampling: Mapping[str, Any],
) -> Part:
    """One picture for each caption from one model; see `studies.auraflow.code.drawing.draw`."""
    return Part(
        name=name,
        work=draw,
        arguments={
            "model": str(folder(training, seed)),
            "captions": list(captions),
            "items": [int(item) for item in items],
            "seed": seed,
            "batch_size": params.auraflow_drawing.batch_size,
            "text_length": params.text.length,
            "sampling": dict(sampling),
        },
        inputs=[folder(training, seed), TEXT, TEXTS, TOKENIZER],
        size=len(captions) * sampling.get("steps", STEPS),
    )
