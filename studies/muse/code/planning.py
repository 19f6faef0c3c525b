"""The parts that several stages of this study have: trainings, and drawings from a trained model."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lib.config_tree import Section
from lib.pipeline.parts import Part
from lib.training.settings import DescentParams
from studies.muse.code.drawing import draw
from studies.muse.code.material import DATA, ENCODER, TEXT, TOKENS
from studies.muse.code.networks import MODELS
from studies.muse.code.settings import AutoregressiveModelParams, Params, training_of
from studies.muse.code.training import autoregressive_model, masked_model

DECODERS = ("lib.decoding.autoregressive", "lib.decoding.filling", "lib.decoding.masked")


def training_part(params: Params, name: str, training: str, part: str, seed: int) -> Part:
    """One training of muse_trainings.<training> on muse_parts.<part>."""
    settings = training_of(params, training)
    autoregressive = isinstance(settings, AutoregressiveModelParams)
    return Part(
        name=name,
        work=autoregressive_model if autoregressive else masked_model,
        arguments={
            "settings": settings,
            "codes": params.tokenizer.coarse.codes,
            "seed": seed,
            "part": params.muse_parts[part],
            "leave_out": params.tokenizer.coarse.leave_out,
            "languages": params.muse_models.languages,
            "text_length": params.text.length,
        },
        inputs=[DATA, TEXT, TOKENS, ENCODER],
        size=updates(settings).steps * updates(settings).batch_size,
    )


def updates(settings: Section) -> DescentParams:
    """How a model's training descends."""
    return settings.training if isinstance(settings, AutoregressiveModelParams) else settings.masked.training


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
        inputs=[model, TEXT, ENCODER],
        size=len(captions) * passes,
    )


def folder(training: str, seed: int) -> Path:
    """Where one training's model lies."""
    return MODELS / training / str(seed)
