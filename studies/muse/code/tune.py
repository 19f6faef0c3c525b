"""Stage muse/tune: sampling settings of every training, chosen on validation prompts → build/muse/settings.json.

Every training is tried in every setting with its first seed, so that no model is judged by another one's settings.
Models that enlarge come last: their small pictures are drawn in the settings that were best for those.
"""

from pathlib import Path

from studies.muse.code.planning import base_of, folder
from studies.muse.code.reports import Settings
from studies.muse.code.searching import search
from studies.muse.code.settings import Params, seeds_of

OUT = Path("build/muse/settings.json")


def run(params: Params) -> None:
    """Tries all settings of all trainings."""
    models = {
        name: (folder(name, seeds_of(params, name)[0]), one.model, one.part)
        for name, one in params.muse_trainings.items()
    }
    large = {name: one for name, one in models.items() if one[1] == "super_resolution"}
    found = Settings(models=search(params, "muse/tune", {name: models[name] for name in models if name not in large}))
    for name, one in large.items():
        base = base_of(name, params.seed, found)
        found = Settings(models=found.models | search(params, "muse/tune", {name: one}, base))
    found.write(OUT)
