"""Stage dalle_mini/paint_pictures: one prompt, drawn and ranked with the trained networks →
results/<profile>/painting.*.

Kept so that the figure of it can be drawn without the networks.
"""

from lib.evidence.strips import write_strip
from lib.generate import Painter
from studies.dalle_mini.code.reports import Painting
from studies.dalle_mini.code.settings import Params

PROMPT, CANDIDATES = "a red circle on a white background", 8


def run(params: Params) -> None:
    """Writes the candidates as a strip, the best first, and their scores as JSON."""
    chosen = {name: getattr(params.sampling, name) for name in ("guidance", "temperature", "top_k", "top_p")}
    with Painter() as painter:
        painting = painter.paint(PROMPT, CANDIDATES, **chosen)
    write_strip(params.results / "painting.png", painting.pictures)
    Painting(prompt=PROMPT, scores=painting.scores.tolist()).write(params.results / "painting.json")
