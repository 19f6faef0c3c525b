"""Stage muse/train_decoders: a larger decoder of the tokenizer, and its own trained as long, from every seed →
build/muse/decoders/<decoder>/<seed>/."""

from pathlib import Path

from lib.ownership import fresh
from lib.pipeline import parts
from lib.pipeline.parts import Part
from lib.weights import checkpoint
from studies.muse.code.decoder_training import decoder_model
from studies.muse.code.material import TOKENIZER, folders
from studies.muse.code.settings import Params
from studies.muse.code.texts import CLIP

OUT = Path("build/muse/decoders")
DECODERS = ("own", "larger")


def run(params: Params) -> None:
    """Trains all of them, side by side."""
    settings, part = params.muse_decoder, params.muse_trainings["masked"].part
    where = folders(part)
    listed = {
        (name, seed): Part(
            name=f"{name}, {seed}",
            work=decoder_model,
            arguments={
                "settings": settings,
                "part": part,
                "seed": seed,
                "larger": name == "larger",
                "perceptual_weight": params.tokenizer.coarse.perceptual_weight,
            },
            inputs=[where.data, where.tokens, TOKENIZER, CLIP],
            size=settings.width if name == "larger" else 1,
        )
        for name in DECODERS
        for seed in range(params.seed, params.seed + settings.seeds)
    }
    paths = parts.run("muse/train_decoders", list(listed.values()))
    fresh(OUT)
    for (name, seed), one in listed.items():
        arrays, numbers = checkpoint.load(paths[one.name])
        checkpoint.save(OUT / name / str(seed) / "model.safetensors", arrays, numbers)
