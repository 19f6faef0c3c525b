"""The parts that several stages of this study have: trainings, and drawings from a trained model."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lib.pipeline.parts import Part
from studies.muse.code.drawing import draw
from studies.muse.code.material import ENCODER, TEXT, TOKENIZER, folders
from studies.muse.code.networks import MODELS
from studies.muse.code.reports import Settings
from studies.muse.code.settings import Params, training_of
from studies.muse.code.training import autoregressive_model, latent_model, masked_model, super_resolution_model

WORK = {
    "autoregressive": autoregressive_model,
    "masked": masked_model,
    "super_resolution": super_resolution_model,
    "latent": latent_model,
}
TOKENS_MORE = 4  # of a picture of twice the size


def training_part(params: Params, name: str, training: str, part: str, seed: int) -> Part:
    """One training of muse_trainings.<training> on muse_parts.<part>."""
    settings, model = training_of(params, training), params.muse_trainings[training].model
    descent, where, large = settings.descent.training, folders(part), model == "super_resolution"
    return Part(
        name=name,
        work=WORK[model],
        arguments={
            "settings": settings,
            "codes": params.tokenizer.coarse.codes,
            "seed": seed,
            "part": part,
            "languages": params.muse_models.languages,
            "text_length": params.text.length,
        },
        inputs=[where.data, where.tokens, TEXT, ENCODER, *([TOKENIZER] if model == "latent" else [])],
        size=descent.steps * descent.batch_size * (TOKENS_MORE if large else 1),
    )


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


def base_of(training: str, seed: int, settings: Settings) -> dict[str, Any] | None:
    """What draws the small pictures of a training's model, if that enlarges: see `studies.muse.code.drawing.Drawer`.

    Args:
        settings: sampling settings that were chosen, the masked model's among them.
    """
    if training != "super_resolution":
        return None
    return {"model": str(folder("masked", seed)), "sampling": settings.models["masked"].best.sampling}


def inputs_of(model: Path, base: Mapping[str, Any] | None) -> list[Path]:
    """The files that drawing reads."""
    return [model, TEXT, ENCODER, TOKENIZER, *([Path(base["model"])] if base else [])]


def folder(training: str, seed: int) -> Path:
    """Where one training's model lies."""
    return MODELS / training / str(seed)
