"""Stage dalle_mini/collect: the study's numbers, and the few pictures that figures show → results/<profile>/.

What is collected is listed here; nothing is globbed, so a leftover of an older run can never slip in.
"""

from pathlib import Path

import numpy as np

from lib.data.store import write_json
from lib.evidence.results import read
from lib.evidence.strips import write_strip
from lib.ownership import fresh
from studies.dalle_mini.code.reports import Evaluation, Search, Training, Trainings
from studies.dalle_mini.code.settings import TRAININGS, Params

TRAINED, SEARCH = Path("build/dalle_mini"), Path("build/dalle_mini_search/metrics.json")
EVALUATION = Path("build/evaluation")


def run(params: Params) -> None:
    """Copies the reports and turns the picture arrays into PNG strips."""
    out, pictures = params.results, params.results / "pictures"
    fresh(pictures)
    trained = {name: Training.read(TRAINED / name / "metrics.json") for name in TRAININGS}
    Trainings(**trained).write(out / "dalle_mini_training.json")
    Search.read(SEARCH).write(out / "dalle_mini_search.json")
    Evaluation.read(EVALUATION / "metrics.json").write(out / "dalle_mini.json")
    write_json(pictures / "texts.json", read(EVALUATION / "pictures/texts.json"))
    for array in sorted((EVALUATION / "pictures").glob("*.npy")):
        write_strip(pictures / f"{array.stem}.png", np.load(array))
