"""Stage muse/choose: on which part of the data can the models be compared? → build/muse/choice/ (choice.json).

The autoregressive model is trained once on every part that is tried, and draws validation prompts of that part in every
setting. The comparison should take the hardest part on which it is right often enough.
"""

from pathlib import Path

from lib.ownership import fresh
from lib.pipeline import parts
from lib.weights import checkpoint
from studies.muse.code.reports import Choice
from studies.muse.code.searching import search
from studies.muse.code.settings import Params
from studies.muse.code.training_parts import training_part

OUT = Path("build/muse/choice")


def run(params: Params) -> None:
    """Trains and tries it on every part."""
    names = params.muse_choice.parts
    paths = parts.run(
        "muse/train",  # with the others, which have one of these among them
        [training_part(params, name, "autoregressive", name, params.seed) for name in names],
    )
    fresh(OUT)
    for name in names:
        arrays, numbers = checkpoint.load(paths[name])
        checkpoint.save(OUT / name / "model.safetensors", arrays, numbers)
    found = search(params, "muse/choose", {name: (OUT / name, "autoregressive", name) for name in names})
    reached = [name for name in names if found[name].best.exact >= params.muse_choice.wanted]
    hardest = reached[-1] if reached else None
    print(
        f"[muse/choose] the hardest part that is learned: {hardest}; compared is {params.muse_trainings['masked'].part}"
    )
    Choice(parts=found, wanted=params.muse_choice.wanted, hardest=hardest).write(OUT / "choice.json")
