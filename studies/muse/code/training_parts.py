"""The trainings of this study as parts, and where their models lie."""

from pathlib import Path

from lib.pipeline.parts import Part
from studies.muse.code.cascade import cascade_model, pixels_model
from studies.muse.code.material import ENCODER, TEXT, TOKENIZER, folders
from studies.muse.code.settings import FIRST, Params, training_of
from studies.muse.code.training import autoregressive_model, latent_model, masked_model, super_resolution_model

MODELS = Path("build/muse/models")
WORK = {
    "autoregressive": autoregressive_model,
    "masked": masked_model,
    "super_resolution": super_resolution_model,
    "latent": latent_model,
    "pixels": pixels_model,
    "cascade": cascade_model,
}
OF_TOKENIZER = ("autoregressive", "masked", "super_resolution", "latent")  # their vectors are its
TOKENS_MORE = 4  # of a picture of twice the size


def training_part(params: Params, name: str, training: str, part: str, seed: int) -> Part:
    """One training of muse_trainings.<training> on muse_parts.<part>."""
    settings, model = training_of(params, training), params.muse_trainings[training].model
    descent, where, large = settings.descent.training, folders(part), model in FIRST
    return Part(
        name=name,
        work=WORK[model],
        arguments={
            "settings": settings,
            "seed": seed,
            "part": part,
            "languages": params.muse_models.languages,
            "text_length": params.text.length,
        },
        inputs=[where.data, where.tokens, TEXT, ENCODER, *([TOKENIZER] if model in OF_TOKENIZER else [])],
        size=descent.steps * descent.batch_size * (TOKENS_MORE if large else 1),
    )


def folder(training: str, seed: int) -> Path:
    """Where one training's model lies."""
    return MODELS / training / str(seed)
