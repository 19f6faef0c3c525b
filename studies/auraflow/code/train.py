"""Stage auraflow/train: VAR's image tokenizer → build/auraflow/scales/, then every image model, from every seed →
build/auraflow/models/<training>/<seed>/."""

from lib.ownership import MANIFEST, fresh
from lib.pipeline import parts
from lib.pipeline.parts import Part
from lib.weights import checkpoint
from studies.auraflow.code.material import MODELS, SCALES, TEXT, TEXTS, TOKENIZER, TOKENS, data, folder
from studies.auraflow.code.settings import Params, seeds_of
from studies.auraflow.code.training import WORK, scales

LONGER = {"next_scale": 2}  # of two models that see as many pictures: tokens of all scales are twice as many


def run(params: Params) -> None:
    """Trains all of them."""
    drawn = [data() / MANIFEST, TOKENIZER]
    first = Part(
        name="scales", work=scales, arguments={"settings": params.auraflow_scales, "seed": params.seed}, inputs=drawn
    )
    arrays, numbers = checkpoint.load(parts.run("auraflow/train", [first])[first.name])
    fresh(SCALES)
    checkpoint.save(SCALES / "model.safetensors", arrays, numbers)

    listed = {}
    for name, one in params.auraflow_trainings.items():
        settings, text = getattr(params.auraflow_models, one.model), TEXTS / one.text
        descent, own = settings.descent.training, [SCALES] if one.model == "next_scale" else []
        for seed in seeds_of(params, name):
            listed[name, seed] = Part(
                name=f"{name}, {seed}",
                work=WORK[one.model],
                arguments={
                    "settings": settings,
                    "text": str(text),
                    "text_length": params.text.length,
                    "seed": seed,
                },
                inputs=[*drawn, TOKENS, TEXT, text, *own],
                size=descent.steps * descent.batch_size * LONGER.get(one.model, 1),
            )
    paths = parts.run("auraflow/train", list(listed.values()))
    fresh(MODELS)
    for (name, seed), part in listed.items():
        checkpoint.save(folder(name, seed) / "model.safetensors", *checkpoint.load(paths[part.name]))
