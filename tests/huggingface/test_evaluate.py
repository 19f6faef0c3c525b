"""A folder of diffusers measured: what is drawn and measured of it, and the row."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest

from huggingface import evaluate
from huggingface.models import pipeline_folder
from lib.data import store
from lib.errors import EaselError
from lib.evidence import provenance
from lib.metrics import panel as panels
from lib.pipeline import engine
from tests import house
from tests.huggingface.models import tiny_pipelines as tiny
from tests.metrics.test_panel import Channels, judge

CATEGORIES = ("single_object", "single_object", "single_object", "colours")
STAR = {"shape": "star", "colour": "red", "count": 1}


def bench(languages):
    """A data folder with four prompts and twenty test pictures, and judges that see how bright a picture is."""
    grey = np.arange(20, dtype=np.uint8)[:, None, None, None]
    images = np.broadcast_to(10 * grey, (20, evaluate.SIDE, evaluate.SIDE, 3)).copy()
    store.write_split("data", "test", {evaluate.SIDE: images}, [{name: ["white"] for name in languages}] * 20)
    prompts = [
        {"id": f"{n}", "category": name, "require": {"objects": [STAR], "relation": None}}
        | {language: ["black", "white"][n % 2] for language in languages}
        for n, name in enumerate(CATEGORIES)
    ]
    store.write_prompts("data", prompts)
    store.write_meta("data", "scenes", list(languages), has_truth=True)


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with AuraFlow, data in two languages, judges, a reader who sees a red star in bright pictures."""
    monkeypatch.chdir(tmp_path)
    tiny.folder(tiny.aura_flow(), Path("aura"))
    bench(("en", "zh"))
    for name in ("params.yaml", "requirements.lock"):
        Path(name).write_bytes((house.REPOSITORY / name).read_bytes())
    Path("huggingface").mkdir()
    Path("huggingface/evaluate.py").write_text("")  # which the table's sidecar names
    monkeypatch.setattr(panels, "clip_judges", lambda _: {"clip_score": judge()})
    monkeypatch.setattr(panels, "feature_extractors", lambda _: {"": Channels()})
    panels.READER.mkdir(parents=True)
    (panels.READER / "model.safetensors").write_text("")
    monkeypatch.setattr(panels.reader, "load", lambda _: object())

    def seen(_, drawn):
        star = {"shape": "star", "colour": "red", "x": 1, "y": 1}
        return [{"objects": [star] * int(one.mean() > 127)} for one in drawn]

    monkeypatch.setattr(panels.reader, "read", seen)
    return tmp_path


def run(*more):
    given = ["--model", "aura", "--out", "out", "--steps", "1", "--guidance", "2", "--size", "16x16", "--batch", "8"]
    return evaluate.main([*given, "--prompts", "2", "--captions", "17", *more])


def test_a_folder_gives_a_row_a_language(place, capsys, monkeypatch):
    monkeypatch.setattr(evaluate, "SHARE", 4)  # several shares of each list
    assert run("--pictures", "2") == 0
    shown = capsys.readouterr().out
    # Two prompts of the first category and the only one of the other, twice each; seventeen captions.
    for language in ("en", "zh"):
        assert len(list(Path(f"out/prompts-{language}").glob("*.png"))) == 6
        assert len(list(Path(f"out/captions-{language}").glob("*.png"))) == 17
    found = json.loads(Path("out/row.json").read_text())
    assert found["model"] == "aura" and found["class"] == "AuraFlowPipeline"
    for rows, language in zip(found["rows"], ("en", "zh"), strict=True):
        assert rows["language"] == language and rows["prompts"] == 3 and rows["captions"] == 17
        drawn = evaluate.pictures(Path(f"out/prompts-{language}"), ["a", "b", "c"], 2)
        assert drawn.shape == (3, 2, 64, 64, 3)
        right = drawn.mean(axis=(2, 3, 4)) > 127  # [P, n]
        expected = (right[:2].mean() + right[2].mean()) / 2  # of the two categories
        assert rows["exact"]["value"] == pytest.approx(expected)
        captioned = evaluate.pictures(Path(f"out/captions-{language}"), ["white"] * 17, 1)
        panel = panels.Panel(house.params().evaluation, house.params().seed)
        assert rows["fid"] == panel.distances(captioned, range(17))["fid"].plain()
    assert "aura" in shown and "English" in shown and "Chinese" in shown and shown.count("AuraFlowPipeline") == 1
    assert {"row.json", "row.md", "row.csv", "row.tex"} <= {path.name for path in Path("out").iterdir()}
    assert not list(Path("out").glob(".*.progress"))
    provenance.check("out")
    # The same command draws nothing more, and needs no weights.
    before = {path: path.stat().st_mtime_ns for path in Path("out").rglob("*.png")}
    assert run("--pictures", "2") == 0
    assert {path: path.stat().st_mtime_ns for path in Path("out").rglob("*.png")} == before


def test_data_that_nobody_knows_the_content_of_have_no_accuracy(place, capsys):
    (panels.READER / "model.safetensors").unlink()
    bench(("en",))
    assert run() == 0
    rows = json.loads(Path("out/row.json").read_text())["rows"]
    assert [sorted(one) for one in rows] == [["captions", "clip_score", "fid", "kid", "language", "prompts"]]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "nowhere"], "there is no folder nowhere"),
        (["--model", "data"], "has no model_index.json"),
        (["--size", "16"], "--size 16: write height and width"),
        (["--steps", "0"], "at least one step"),
        (["--prompts", "0"], "there is nothing to draw"),
        (["--batch", "0"], "at least one picture at once"),
        (["--pictures", "0"], "at least one picture of every prompt"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(place, capsys, monkeypatch, arguments, message):
    monkeypatch.setattr(pipeline_folder, "load", None)
    assert run(*arguments) == 2
    said = capsys.readouterr().err
    assert message in said and said.startswith("error: ") and said.count("\n") == 1


def test_tasks_can_be_sent_to_workers(tmp_path):
    """By the name of their module; `python -m` alone would make it __main__."""
    task = evaluate.Draw("a", 1, 1, False, tmp_path / "p", None, ["a"], tmp_path, 1, 0, 1)
    assert pickle.loads(pickle.dumps(task)) == task and isinstance(task, engine.Task)
    text = Path(evaluate.__file__).read_text(encoding="utf-8")
    assert text.index('if __name__ == "__main__":') < text.index("from huggingface.evaluate import main")


def test_a_damaged_picture_is_named(tmp_path):
    (tmp_path / "0000-0.png").write_bytes(b"PNG")
    with pytest.raises(EaselError, match=r"0000-0\.png: .*; delete it and 0000-0\.json"):
        evaluate.pictures(tmp_path, ["a"], 1)
