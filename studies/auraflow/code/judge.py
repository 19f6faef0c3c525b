"""Stage auraflow/judge: which of the kept pictures are exactly right → results/<profile>/auraflow_shown.json."""

from lib.metrics.strips import judged
from studies.auraflow.code.reports import Texts
from studies.auraflow.code.settings import Params


def run(params: Params) -> None:
    """Judges the pictures of every kept run."""
    folder = params.results / "auraflow_pictures"
    kept = Texts.read(folder / "texts.json").texts.items()
    judged({folder / f"{name}.png": texts for name, texts in kept}).write(params.results / "auraflow_shown.json")
