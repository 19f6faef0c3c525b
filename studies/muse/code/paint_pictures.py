"""Stage muse/paint_pictures: what the published models paint and edit through the front door, lib/generate.py →
results/<profile>/muse_painting/ (strips, texts.json).
"""

import numpy as np

from lib.evidence.strips import write_strip
from lib.generate import Painter
from lib.ownership import fresh
from lib.painter.canvas import box
from studies.muse.code.reports import Texts
from studies.muse.code.settings import DRAWING, Params

PROMPT, CANDIDATES = "a red circle on a white background", 8
EDITED = 4  # candidates of an edited picture
OTHER, BLUE = "a blue star on a white background", "a blue circle on a white background"


def run(params: Params) -> None:
    """Writes every model's candidates as a strip, the best first, and those of edited pictures after what was given."""
    out = params.results / "muse_painting"
    fresh(out)
    texts = {}
    for model in DRAWING:
        with Painter(model=f"muse/{model}") as painter:
            write_strip(out / f"{model}.png", painter.paint(PROMPT, CANDIDATES).pictures)
        texts[model] = [PROMPT]
    with Painter(model="muse/masked") as painter:
        rows, texts["edited"] = edited(painter)
    write_strip(out / "edited.png", rows)
    Texts(texts=texts).write(out / "texts.json")


def edited(painter: Painter) -> tuple[np.ndarray, list[str]]:
    """The best picture of the prompt, and what becomes of it: pictures [rows · (1 + EDITED), S, S, 3], a text a row."""
    picture = painter.paint(PROMPT, CANDIDATES).pictures[0]
    side = picture.shape[:2]
    half, quarter = side[0] // 2, side[0] // 4
    ways = {
        f"given, then with a new middle: {OTHER}": (OTHER, box(side, quarter, quarter, half, half)),
        f"given, then with a new right half: {PROMPT}": (PROMPT, box(side, half, 0, half, side[0])),
        f"given, then edited without a mask: {BLUE}": (BLUE, None),
    }
    rows = []
    for prompt, mask in ways.values():
        rows += [picture, *painter.edit(picture, prompt, mask, EDITED).pictures]
    return np.stack(rows), list(ways)
