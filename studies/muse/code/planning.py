"""The parts that several stages of this study have: trainings, and drawings from a trained model."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lib.pipeline.parts import Part
from studies.muse.code.drawing import draw
from studies.muse.code.material import DATA, ENCODER, TEXT, TOKENIZER, TOKENS
from studies.muse.code.networks import MODELS
from studies.muse.code.settings import Params, training_of
from studies.muse.code.training import autoregressive_model, latent_model, masked_model

WORK = {"autoregressive": autoregressive_model, "masked": masked_model, "latent": latent_model}


def training_part(params: Params, name: str, training: str, part: str, seed: int) -> Part:
    """One training of muse_trainings.<training> on muse_parts.<part>."""
    settings, model = training_of(params, training), params.muse_trainings[training].model
    return Part(
        name=name,
        work=WORK[model],
        arguments={
            "settings": settings,
            "codes": params.tokenizer.coarse.codes,
            "seed": seed,
            "part": params.muse_parts[part],
            "leave_out": params.tokenizer.coarse.leave_out,
            "languages": params.muse_models.languages,
            "text_length": params.text.length,
        },
        inputs=[DATA, TEXT, TOKENS, ENCODER, *([TOKENIZER] if model == "latent" else [])],
        size=settings.descent.steps * settings.descent.batch_size,
    )


def drawing_part(
    params: Params,
    name: str,
    model: Path,
    captions: Sequence[str],
    items: Sequence[int],
    sampling: Mapping[str, Any],
    seed: int,
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
    }
    passes = sampling.get("steps", 8)  # of cached single tokens, 64 take about as long as 8 passes over all
    return Part(
        name=name,
        work=draw,
        arguments=given | arguments,
        inputs=[model, TEXT, ENCODER, TOKENIZER],
        size=len(captions) * passes,
    )


def folder(training: str, seed: int) -> Path:
    """Where one training's model lies."""
    return MODELS / training / str(seed)
