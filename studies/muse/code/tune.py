"""Stage muse/tune: sampling settings of every training, chosen on validation prompts → build/muse/settings.json.

Every training is tried in every setting with its first seed, so that no model is judged by another one's settings.
Models that enlarge come last: their small pictures are drawn in the settings that were best for those.
"""

from functools import partial
from pathlib import Path

from lib.metrics.drawings import Settings
from studies.muse.code.drawing_parts import base_of
from studies.muse.code.judging import JUDGE
from studies.muse.code.searching import search
from studies.muse.code.settings import DRAWING, FIRST, Params, seeds_of
from studies.muse.code.training_parts import folder

OUT = Path("build/muse/settings.json")


def run(params: Params) -> None:
    """Tries all settings of all trainings."""
    models = {
        name: (folder(name, seeds_of(params, name)[0]), one.model, one.part)
        for name, one in params.muse_trainings.items()
        if one.model in DRAWING and name != JUDGE
    }
    small = {name: one for name, one in models.items() if one[1] not in FIRST}
    found = Settings(models=search(params, "muse/tune", small))
    for name in [name for name in models if name not in small]:
        base = partial(base_of, params, name, params.seed, found)
        found = Settings(models=found.models | search(params, "muse/tune", {name: models[name]}, base))
    found.write(OUT)
