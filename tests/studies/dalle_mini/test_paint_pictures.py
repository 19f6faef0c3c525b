"""Stage dalle_mini/paint_pictures: what a painter draws lies in the results as it was drawn."""

from types import SimpleNamespace

import numpy as np

from lib.evidence.strips import read_strip
from lib.painter.painting import Painting
from studies.dalle_mini.code import paint_pictures, reports


def test_pictures_and_scores_are_kept_exactly(tmp_path, monkeypatch):
    random = np.random.default_rng(0)
    asked = {}

    class Painter:
        def __enter__(self):
            return self

        def __exit__(self, *_):
            asked["closed"] = True

        def paint(self, prompt, candidates, **settings):
            asked.update(settings)
            pictures = random.integers(0, 256, (candidates, 8, 8, 3), dtype=np.uint8)
            scores = random.random(candidates, dtype=np.float32)
            tokens, passes = np.zeros((candidates, 2, 2), np.int32), np.full(candidates, 4)
            asked["painting"] = Painting.ranked(prompt, pictures, scores, tokens, passes)
            return asked["painting"]

    monkeypatch.setattr(paint_pictures, "Painter", Painter)
    sampling = SimpleNamespace(guidance=3.0, temperature=0.5, top_k=4, top_p=0.9, seeds=7)
    paint_pictures.run(SimpleNamespace(results=tmp_path, sampling=sampling))
    painting, report = asked.pop("painting"), reports.Painting.read(tmp_path / "painting.json")
    assert asked == {"guidance": 3.0, "temperature": 0.5, "top_k": 4, "top_p": 0.9, "closed": True}
    assert np.array_equal(read_strip(tmp_path / "painting.png"), painting.pictures)
    assert report.prompt == painting.prompt and report.scores == painting.scores.tolist()
    assert report.scores == sorted(report.scores, reverse=True)
