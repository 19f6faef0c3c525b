"""Stage muse/judge: which of the kept pictures are exactly right → results/<profile>/muse_shown.json."""

from lib.metrics.strips import judged
from studies.muse.code.reports import Texts
from studies.muse.code.settings import Params


def run(params: Params) -> None:
    """Judges the pictures of every kept run, and every pass of the unmasking."""
    folder = params.results / "muse_pictures"
    kept = Texts.read(folder / "texts.json").texts.items()
    judged({folder / f"{name}.png": [(text, text) for text in texts] for name, texts in kept}).write(
        params.results / "muse_shown.json"
    )
