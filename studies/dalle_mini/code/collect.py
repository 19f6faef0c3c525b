"""Stage dalle_mini/collect: the study's numbers, and the few pictures that figures show → results/<profile>/.

What is collected is listed here; nothing is globbed, so a leftover of an older run can never slip in.
"""

from pathlib import Path

import numpy as np

from lib.data.store import write_json
from lib.evidence.results import read
from lib.evidence.strips import write_strip
from lib.ownership import fresh
from studies.dalle_mini.code.settings import Params

TRAININGS, NAMES = Path("build/dalle_mini"), ("both", "english")
SEARCH, EVALUATION = Path("build/dalle_mini_search/metrics.json"), Path("build/evaluation")


def run(params: Params) -> None:
    """Copies the reports and turns the picture arrays into PNG strips."""
    out, pictures = params.results, params.results / "pictures"
    fresh(pictures)
    write_json(out / "dalle_mini_training.json", {name: read(TRAININGS / name / "metrics.json") for name in NAMES})
    write_json(out / "dalle_mini_search.json", read(SEARCH))
    write_json(out / "dalle_mini.json", read(EVALUATION / "metrics.json"))
    write_json(pictures / "texts.json", read(EVALUATION / "pictures/texts.json"))
    for array in sorted((EVALUATION / "pictures").glob("*.npy")):
        write_strip(pictures / f"{array.stem}.png", np.load(array))
