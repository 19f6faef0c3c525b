"""Stage dalle_mini/judge: which of the kept pictures are exactly right → results/<profile>/dalle_mini_shown.json."""

from lib.evidence.results import read
from lib.metrics.strips import judged
from studies.dalle_mini.code.reports import Painting
from studies.dalle_mini.code.settings import Params


def run(params: Params) -> None:
    """Judges the samples of every set, the ranked candidates, and the candidates of the painted prompt."""
    folder = params.results / "pictures"
    texts, painted = read(folder / "texts.json"), Painting.read(params.results / "painting.json").prompt
    strips = {params.results / "painting.png": [(painted, painted)]}
    for name, prompts in texts.items():
        path = folder / f"{name if name.startswith('ranked') else f'samples_{name}'}.png"
        if path.is_file():  # `originals` are no samples, `titles` no pictures
            english = [texts["titles"].get(one.get("id"), one["text"]) for one in prompts]
            strips[path] = [(one["text"], title) for one, title in zip(prompts, english, strict=True)]
    judged(strips).write(params.results / "dalle_mini_shown.json")
