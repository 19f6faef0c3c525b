"""Stage muse/tune: sampling settings of every training, chosen on validation prompts → build/muse/settings.json.

Every training is tried in every setting with its first seed, so that no model is judged by another one's settings.
"""

from pathlib import Path

from studies.muse.code.planning import folder
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
    Settings(models=search(params, "muse/tune", models)).write(OUT)
