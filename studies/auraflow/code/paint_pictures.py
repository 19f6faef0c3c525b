"""Stage auraflow/paint_pictures: what the published models paint through the front door, lib/generate.py →
results/<profile>/auraflow_painting/ (strips, texts.json).
"""

import numpy as np

from lib.evidence.strips import write_strip
from lib.generate import Painter
from lib.ownership import fresh
from studies.auraflow.code.reports import Painted
from studies.auraflow.code.settings import Params

PROMPTS, CANDIDATES = ("a red circle", "一个红色圆形"), 4  # the same in both languages


def run(params: Params) -> None:
    """Writes every model's candidates for both prompts as a strip, of each prompt the best first."""
    out = params.results / "auraflow_painting"
    fresh(out)
    for training in params.auraflow_trainings:
        with Painter(model=f"auraflow/{training}") as painter:
            paintings = painter.paint_all(PROMPTS, CANDIDATES)
        write_strip(out / f"{training}.png", np.concatenate([one.pictures for one in paintings]))
    Painted(texts={training: list(PROMPTS) for training in params.auraflow_trainings}).write(out / "texts.json")
