"""Drawings from trained models as parts."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lib.pipeline.parts import Part
from studies.auraflow.code.drawing import draw
from studies.auraflow.code.material import TEXT, TEXTS, TOKENIZER
from studies.auraflow.code.settings import Params

STEPS = 16  # of a model that denoises, which take about as long as a picture of one that does not


def drawing_part(
    params: Params,
    name: str,
    model: Path,
    seed: int,
    captions: Sequence[str],
    items: Sequence[int],
    sampling: Mapping[str, Any],
    **arguments: Any,
) -> Part:
    """One picture for each caption from the model in a folder; see `studies.auraflow.code.drawing.draw`."""
    return Part(
        name=name,
        work=draw,
        arguments={
            "model": str(model),
            "captions": list(captions),
            "items": [int(item) for item in items],
            "seed": seed,
            "batch_size": params.auraflow_drawing.batch_size,
            "text_length": params.text.length,
            "sampling": dict(sampling),
            **arguments,
        },
        inputs=[model, TEXT, TEXTS, TOKENIZER],
        size=len(captions) * sampling.get("steps", STEPS),
    )
