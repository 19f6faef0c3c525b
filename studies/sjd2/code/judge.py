"""Stage sjd2/judge: which of the kept pictures are exactly right → results/<profile>/sjd2_shown.json."""

from lib.evidence.results import read
from lib.metrics.strips import judged
from studies.sjd2.code.settings import Params


def run(params: Params) -> None:
    """Judges the pictures of every kept run; of captions as of prompts, since a caption names all objects."""
    folder = params.results / "sjd2_pictures"
    kept = read(folder / "texts.json").items()
    strips = {folder / f"{name}.png": [(text, text) for text in entry["texts"]] for name, entry in kept}
    judged(strips).write(params.results / "sjd2_shown.json")
