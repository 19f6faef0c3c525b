"""Drawings from trained models as parts."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lib.metrics.drawings import Settings
from lib.pipeline.parts import Part
from studies.muse.code.drawing import draw
from studies.muse.code.material import ENCODER, TEXT, TOKENIZER
from studies.muse.code.settings import FIRST, Params
from studies.muse.code.training_parts import folder


def drawing_part(
    params: Params,
    name: str,
    model: Path,
    captions: Sequence[str],
    items: Sequence[int],
    sampling: Mapping[str, Any],
    seed: int,
    base: Mapping[str, Any] | None = None,
    **arguments: Any,
) -> Part:
    """One picture for each caption from one model; see `studies.muse.code.drawing.draw`."""
    given = {
        "model": str(model),
        "captions": list(captions),
        "items": [int(item) for item in items],
        "seed": seed,
        "batch_size": params.muse_drawing.batch_size,
        "text_length": params.text.length,
        "sampling": dict(sampling),
        "base": base,
    }
    passes = sampling.get("steps", 8)  # of cached single tokens, 64 take about as long as 8 passes over all
    return Part(
        name=name,
        work=draw,
        arguments=given | arguments,
        inputs=inputs_of(model, base),
        size=len(captions) * passes,
    )


def base_of(
    params: Params, training: str, seed: int, settings: Settings, sampling: Mapping[str, Any]
) -> dict[str, Any] | None:
    """What draws the small pictures of a training's model, if that enlarges: see `studies.muse.code.networks.load`.

    Args:
        settings: sampling settings that were chosen, the masked model's among them.
        sampling: of the model that enlarges. Both models of a cascade have the same guidance: pictures of the first one
            are too small to be judged by themselves.
    """
    first = FIRST.get(params.muse_trainings[training].model)
    if first is None:
        return None
    if first == "pixels":
        own = {"guidance": sampling["guidance"], "steps": params.muse_search.steps[first]}
    else:
        own = settings.models[first].best.sampling
    return {"model": str(folder(first, seed)), "sampling": own}


def inputs_of(model: Path, base: Mapping[str, Any] | None) -> list[Path]:
    """The files that drawing reads."""
    return [model, TEXT, ENCODER, TOKENIZER, *([Path(base["model"])] if base else [])]
