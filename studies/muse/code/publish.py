"""Stage muse/publish: the first training of a model, as the painter takes it → build/muse/painter/<model>/.

With the sampling settings that were best for it on validation prompts (stage muse/tune), whatever the prompts of the
comparison say.
"""

from pathlib import Path
from typing import Any

from lib.metrics.drawings import Settings
from lib.ownership import fresh
from lib.painter import published
from lib.painter.published import Published
from lib.weights import checkpoint
from studies.muse.code.material import ENCODER, TOKENIZER
from studies.muse.code.settings import DRAWING, FIRST, Params, seeds_of
from studies.muse.code.training_parts import OF_TOKENIZER, folder

OUT, SETTINGS = Path("build/muse/painter"), Path("build/muse/settings.json")
SAID = ("kind", "config", "target", "noise", "patch")  # what weights say of themselves, as the kind of model has it


def run(params: Params, model: str) -> None:
    """Writes the folder of one of the models that every profile trains."""
    arrays, meta = checkpoint.load_network(folder(model, seeds_of(params, model)[0]))
    about = Published(**chosen(params, model), languages=list(params.muse_models.languages), base=FIRST.get(model))
    fresh(OUT / model)
    published.save(OUT / model, about, arrays, {name: meta[name] for name in SAID if name in meta}, ENCODER)


def chosen(params: Params, model: str) -> dict[str, Any]:
    """How it draws. The first of a cascade, whose pictures nobody judges, has the guidance that was best for both."""
    found = Settings.read(SETTINGS).models
    if model in OF_TOKENIZER:
        best = found[model].best
        return {"sampling": best.sampling, "exact": best.exact, "tokenizer": TOKENIZER.name}
    best = found["cascade"].best
    if model in DRAWING:
        return {"sampling": best.sampling, "exact": best.exact}
    return {"sampling": {"guidance": best.sampling["guidance"], "steps": params.muse_search.steps[model]}}
