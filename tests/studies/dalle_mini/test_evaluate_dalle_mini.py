"""What evaluate_dalle_mini makes of the judges' outcomes; the judges have tests of their own."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from lib.evidence import ledger, results, verdicts
from studies.dalle_mini.code import evaluate as stage

ROOT = Path(__file__).parents[3]
NAMES = ("single_object", "counting", "colours", "position", "heldout")
PROMPTS, SEEDS = 4, 5
CATEGORIES = [name for name in NAMES for _ in range(PROMPTS)]


@pytest.fixture
def judges(monkeypatch):
    """Judges for whom exactly the pictures are right that are white."""
    found = stage.Judges.__new__(stage.Judges)
    found.resamples, found.seed, found.clips, found.extractors, found.reader = 200, 0, {"clip_score": None}, {"": 0}, 1
    found.prompts = {f"{n}": {"id": f"{n}", "category": name, "en": "any"} for n, name in enumerate(CATEGORIES)}

    def white(pictures):
        return pictures[:, 0, 0, 0] == 255

    monkeypatch.setattr(stage.clip_score, "clip_score", lambda flat, *_: ({"value": white(flat).mean()}, white(flat)))
    vectors = SimpleNamespace(numpy=lambda: np.ones((len(CATEGORIES) * SEEDS, 2)))
    monkeypatch.setattr(stage.image_distance, "features_of", lambda *_: vectors)
    monkeypatch.setattr(stage.scene_accuracy, "accuracy", lambda _, flat, *rest: (None, white(flat)))
    monkeypatch.setattr(stage.reader, "read", lambda _, flat: flat)
    monkeypatch.setattr(stage, "exactly", lambda readings, _: white(readings))
    return found


def pictures(right):
    """Pictures [P, n, 1, 1, 3], white where `right`."""
    return np.where(right[..., None, None, None], 255, 0).astype(np.uint8).repeat(3, axis=-1)


def about(**given):
    return {"ids": [f"{n}" for n in range(len(CATEGORIES))], "language": "en", "guidance": 2.0} | given


def test_pictures_of_one_prompt_are_no_independent_samples(judges):
    """Half the prompts are always drawn right, half never: as uncertain with five seeds as with one."""
    right = np.tile([[True], [False]], (len(CATEGORIES) // 2, SEEDS))
    measured = judges.measure(pictures(right), about())
    one = stage.scene_accuracy.summary(right[:, 0], CATEGORIES, judges.random(3), judges.resamples)
    assert measured["accuracy"] == measured["exact"] == one
    assert one["counting"]["n"] == PROMPTS and one["overall"]["low"] < 0.5 < one["overall"]["high"]
    assert measured["clip_score"]["n"] == len(CATEGORIES) and measured["clip_score"]["low"] < 0.5
    assert measured["exact_by_seed"] == {name: [0.5] * SEEDS for name in (*NAMES, "overall")}


def test_claims_are_judged_by_what_is_measured(judges, tmp_path):
    """Single objects and seen pairs come out right, Chinese prompts only for the model that has read Chinese."""
    good = np.array([[name in ("single_object", "colours")] * SEEDS for name in CATEGORIES])
    guided = judges.measure(pictures(good), about())
    lost = judges.measure(pictures(np.zeros_like(good)), about())
    found = stage.claims(guided, {"both": {"en": guided, "zh": guided}, "english": {"en": guided, "zh": lost}})
    stage.write_json(tmp_path / "dalle_mini.json", {"claims": found})
    claims = [claim for claim in ledger.load_all().claims if claim.id in ("D30", "D31", "D32", "D33")]
    assert [results.find({"claims": found}, claim.metric.key)["baseline"] for claim in claims] == [[1.0] * 5] * 3 + [
        pytest.approx([0.4] * 5)
    ]
    judgements = verdicts.judge(claims, tmp_path)
    # Right or wrong without exception: no spread, so five seeds decide nothing.
    assert {judged.verdict for judged in judgements} == {verdicts.INCONCLUSIVE}
    assert [judged.effect.value for judged in judgements] == pytest.approx([-1.0, -1.0, -1.0, -0.4])


def test_what_was_not_measured_gives_no_claim(judges):
    judges.reader = None
    measured = judges.measure(pictures(np.ones((len(CATEGORIES), SEEDS), bool)), about())
    assert measured["exact_by_seed"] is None
    assert stage.claims(measured, {"both": {"en": measured, "zh": measured}, "english": {"zh": measured}}) == {}
    assert stage.claims({"exact_by_seed": {"counting": [0.5], "overall": [0.5]}}, {"both": {}}) == {}
