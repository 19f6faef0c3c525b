"""Stage muse/train: every model that is compared, from every seed → build/muse/models/<training>/<seed>/."""

from lib.ownership import fresh
from lib.pipeline import parts
from lib.weights import checkpoint
from studies.muse.code.settings import Params, seeds_of
from studies.muse.code.training_parts import MODELS, folder, training_part


def run(params: Params) -> None:
    """Trains all of them, side by side."""
    listed = {
        (name, seed): training_part(params, f"{name}, {seed}", name, run.part, seed)
        for name, run in params.muse_trainings.items()
        for seed in seeds_of(params, name)
    }
    paths = parts.run("muse/train", list(listed.values()))
    fresh(MODELS)
    for (name, seed), part in listed.items():
        arrays, numbers = checkpoint.load(paths[part.name])
        checkpoint.save(folder(name, seed) / "model.safetensors", arrays, numbers)
