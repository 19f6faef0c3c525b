"""What dalle_mini/evaluate makes of what the panel measures; the panel has tests of its own."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from lib.evidence import ledger, results, verdicts
from lib.evidence.report import Accuracy, Estimate, Interval
from lib.metrics import panel as panels
from studies.dalle_mini.code import evaluate as stage
from studies.dalle_mini.code.reports import Evaluation, Measured, SampleSet

NAMES = ("single_object", "counting", "colours", "position", "heldout")
PROMPTS, SEEDS = 4, 5
CATEGORIES = [name for name in NAMES for _ in range(PROMPTS)]


@pytest.fixture
def panel(monkeypatch):
    """A panel for which exactly the pictures are right that are white."""
    found = panels.Panel.__new__(panels.Panel)
    found.resamples, found.seed, found.clips, found.extractors, found.reader = 200, 0, {"clip_score": None}, {"": 0}, 1
    found.prompts = {
        f"{n}": {"id": f"{n}", "category": name, "en": "any", "zh": "任", "require": None}
        for n, name in enumerate(CATEGORIES)
    }
    found.language = "en"

    def white(pictures):
        return pictures[:, 0, 0, 0] == 255

    vectors = SimpleNamespace(numpy=lambda: np.ones((len(CATEGORIES) * SEEDS, 2)))
    monkeypatch.setattr(panels.clip_score, "clip_score", lambda flat, *_: ({}, white(flat).astype(float)))
    monkeypatch.setattr(panels.image_distance, "features_of", lambda *_: vectors)
    monkeypatch.setattr(panels.reader, "read", lambda _, flat: [{"objects": bool(one)} for one in white(flat)])
    monkeypatch.setattr(panels.scene_accuracy, "satisfies", lambda found, *_: found)
    monkeypatch.setattr(panels, "exactly", lambda readings, _: np.array([one["objects"] for one in readings]))
    return found


def pictures(right):
    """Pictures [P, n, 1, 1, 3], white where `right`."""
    return np.where(right[..., None, None, None], 255, 0).astype(np.uint8).repeat(3, axis=-1)


ABOUT = SampleSet(
    name="sweep_2", model="both", language="en", guidance=2.0, ids=[f"{n}" for n in range(len(CATEGORIES))]
)


def test_pictures_of_one_prompt_are_no_independent_samples(panel):
    """Half the prompts are always drawn right, half never: as uncertain with five seeds as with one."""
    right = np.tile([[True], [False]], (len(CATEGORIES) // 2, SEEDS))
    measured = stage.measure(panel, pictures(right), ABOUT, {})
    one = panel.by_category(right[:, :1], CATEGORIES)
    for found in (measured.accuracy, measured.exact):
        assert (found.value, found.low, found.high, found.n) == (one.value, one.low, one.high, one.n)
        assert found.low < 0.5 < found.high and found.categories["counting"].n == PROMPTS
        assert set(found.categories) == set(NAMES)
        assert all(part.by_seed == [0.5] * SEEDS for part in (found, *found.categories.values()))
    assert measured.clip_score.n == len(CATEGORIES) and measured.clip_score.low < 0.5
    assert measured.scale == 2 and measured.pictures == right.size


def test_a_report_names_only_what_was_measured(panel):
    panel.reader = None
    measured = stage.measure(panel, pictures(np.ones((len(CATEGORIES), SEEDS), bool)), ABOUT, {})
    assert set(measured.plain()) == {"scale", "pictures", "clip_score", "diversity"}
    assert set(measured.plain()["clip_score"]) == {"value", "low", "high", "n"}


def test_every_set_has_its_place_in_the_report(panel, tmp_path, monkeypatch):
    """Tokens are 1 where a picture comes out right: with guidance, from prompts in a language that the model knows."""
    monkeypatch.chdir(tmp_path)
    ids, captions, candidates = list(panel.prompts), ["3", "1"], 2
    sets = [SampleSet(name=f"sweep_{s:g}", model="both", language="en", guidance=s, ids=ids) for s in (1.0, 2.0, 6.0)]
    for model, language in (("both", "zh"), ("english", "en"), ("english", "zh")):
        sets.append(SampleSet(name=f"{model}_{language}", model=model, language=language, guidance=2.0, ids=ids))
    for kind, of in (("ranked", ids[:6]), ("captioned", captions)):
        for name, scale in (("unguided", 1.0), ("guided", 2.0)):
            sets.append(SampleSet(name=f"{kind}_{name}", model="both", language="en", guidance=scale, ids=of))
    stage.SAMPLES.mkdir(parents=True)
    (stage.SAMPLES / "sets.json").write_text(json.dumps([one.plain() for one in sets]))
    for one in sets:
        count = {"ranked": SEEDS * candidates, "captioned": 1}.get(one.name.partition("_")[0], SEEDS)
        right = one.guidance == 2 and one.name != "english_zh"
        np.save(stage.SAMPLES / f"{one.name}.npy", np.full((len(one.ids), count, 1, 1), right))

    images = np.zeros((30, 1, 1, 3), np.uint8)
    panel.test = SimpleNamespace(captions=[{"en": ["x", "y"]}] * 30, lengths={64: 30}, images=lambda size: images)
    panel.test.scenes, asked = [None] * 30, []

    def distances(drawn, numbers):
        asked.append(numbers)
        return {"fid": Interval(value=drawn.mean(), low=0, high=1)}

    panel.distances = distances
    monkeypatch.setattr(stage, "Panel", lambda evaluation, seed: panel)
    monkeypatch.setattr(stage, "check_pretrained", lambda evaluation: None)
    monkeypatch.setattr(stage, "kept", lambda test, leave_out, count: np.arange(count))
    monkeypatch.setattr(stage, "reader_quality", lambda *_: {"picture": {"value": 0.9, "low": 0.8, "high": 1.0}})
    monkeypatch.setattr(stage, "exactly", panels.exactly)
    network = SimpleNamespace(
        load=lambda folder: folder,
        encode_batches=lambda _, images: images[:, 0, :, :1],
        decode_batches=lambda _, tokens: pictures(tokens[None, :, 0, 0])[0],
        VQGAN=None,
    )
    monkeypatch.setattr(stage, "vqgan", network)
    settings = SimpleNamespace(leave_out=())
    stage.run(
        SimpleNamespace(
            seed=0,
            evaluation=SimpleNamespace(pictures=9),
            sampling=SimpleNamespace(guidance=2.0, seeds=SEEDS),
            dalle_mini=SimpleNamespace(tokens="coarse"),
            tokenizer=SimpleNamespace(coarse=settings, fine=settings),
        )
    )

    report = Evaluation.read(stage.OUT / "metrics.json")
    assert asked == [[3, 1]] * 2
    assert [entry.scale for entry in report.sweep] == [1, 2, 6] and report.sweep[:2] == [report.unguided, report.guided]
    # Distances of captions stand with the prompts of the same model, language and scale, and nowhere else.
    assert [entry.fid and entry.fid.value for entry in report.sweep] == [0, 255, None]
    assert report.guided.pictures_in_fid == 2 and report.languages["english"]["en"].fid is None
    assert report.languages["both"]["en"] == report.guided
    exact = {
        model: {language: one.exact.value for language, one in of.items()} for model, of in report.languages.items()
    }
    assert exact == {"both": {"zh": 1, "en": 1}, "english": {"en": 1, "zh": 0}}
    assert report.super_conditioning == report.super_conditioning_geneval
    assert report.super_conditioning.accuracy.baseline == [0] * SEEDS
    assert report.super_conditioning.accuracy.treatment == [1] * SEEDS
    assert (report.reranking.unranked.value, report.reranking_guided.unranked.value) == (0, 1)
    assert [best.n for best in report.reranking.curve] == [1, 2] and report.reranking_guided.scale == 2
    assert report.claims.chinese.treatment == [0] * SEEDS and report.reconstructions["picture"].value == 0.9
    kept = {path.stem for path in (stage.OUT / "pictures").glob("*.npy")}
    assert kept == {"originals_64", "reconstructions_64", "ranked_guided", "ranked_unguided"} | {
        f"samples_{one.name}" for one in sets if not one.name.startswith(("ranked", "captioned"))
    }
    texts = json.loads((stage.OUT / "pictures/texts.json").read_text())
    assert texts["both_zh"][0] == {"id": "0", "text": "任", "category": NAMES[0]} and len(texts["originals"]) == 24
    assert texts["titles"]["0"] == "any" and texts["ranked_guided"] == [{"text": "any"}] * 6


def test_claims_are_judged_by_what_is_measured(panel, tmp_path):
    """Single objects and seen pairs come out right, Chinese prompts only for the model that has read Chinese."""
    good = np.array([[name in ("single_object", "colours")] * SEEDS for name in CATEGORIES])
    guided = stage.measure(panel, pictures(good), ABOUT, {})
    lost = stage.measure(panel, pictures(np.zeros_like(good)), ABOUT, {})
    found = stage.claims(guided, {"both": {"en": guided, "zh": guided}, "english": {"en": guided, "zh": lost}})
    document = {"claims": found.plain()}
    (tmp_path / "dalle_mini.json").write_text(json.dumps(document))
    claims = [claim for claim in ledger.load_all().claims if claim.id in ("D30", "D31", "D32", "D33")]
    assert [results.find(document, claim.metric.key)["baseline"] for claim in claims] == [[1.0] * 5] * 3 + [
        pytest.approx([0.4] * 5)
    ]
    judgements = verdicts.judge(claims, tmp_path)
    # Right or wrong without exception: no spread, so five seeds decide nothing.
    assert {judged.verdict for judged in judgements} == {verdicts.INCONCLUSIVE}
    assert [judged.effect.value for judged in judgements] == pytest.approx([-1.0, -1.0, -1.0, -0.4])


def test_what_was_not_measured_gives_no_claim():
    one = {"value": 0.5, "low": 0.4, "high": 0.6}
    plain = {"scale": 2.0, "pictures": 4, "clip_score": Interval(**one), "diversity": Interval(**one)}
    unread = Measured(**plain)
    languages = {"both": {"en": unread, "zh": unread}, "english": {"zh": unread}}
    assert stage.claims(unread, languages).plain() == {} == stage.conditioning(unread.exact, unread.exact).plain()
    counting = Estimate(**one, by_seed=[0.5])
    few = Measured(**plain, exact=Accuracy(**one, by_seed=[0.5], categories={"counting": counting}))
    assert stage.claims(few, {"both": {}}).plain() == {}
