"""Trainings as parts: what a stage reports does not depend on how many of them run at once."""

import json
from pathlib import Path

import numpy as np
import pytest

from lib.data import store
from lib.text import TextTokenizer
from studies.glu.code import search, train_text, train_variants
from tests import house

PICTURES = 40  # of every split
WORDS = ("red", "blue", "green", "circle", "square", "above", "below", "large", "small")


@pytest.fixture
def params(tmp_path, monkeypatch):
    """Settings of the smoke profile, and in an empty folder what trainings read: tokens and words at random."""
    monkeypatch.chdir(tmp_path)
    for name in ("lib", "studies", "requirements.lock"):
        Path(name).symlink_to(house.REPOSITORY / name)
    few = {"pictures": 8}
    params = house.params("glu", "smoke", {"glu_variants": few | {"curve_pictures": 4}, "glu_search": few})
    random = np.random.default_rng(0)
    tokenizer = params.tokenizer.coarse
    side = 64 // tokenizer.stride
    captions = [{"en": [" ".join(random.choice(WORDS, 9))] * 3} for _ in range(PICTURES)]
    for split in ("train", "val", "test"):
        store.write_split("data", split, {64: np.zeros((PICTURES, 64, 64, 3), np.uint8)}, captions)
        for kind in ("coarse", "fine"):
            Path("build/tokens", kind).mkdir(parents=True, exist_ok=True)
            tokens = random.integers(tokenizer.codes, size=(PICTURES, side, side)).astype(np.uint16)
            np.save(Path("build/tokens", kind, f"{split}_64.npy"), tokens)
    store.write_meta("data", "scenes", ["en"], has_truth=False)
    Path("build/text").mkdir()
    TextTokenizer.train(WORDS, params.text.vocabulary).save(Path("build/text/tokenizer.json"))
    return params


def reports(stage, params):
    """What a stage writes, from nothing, but for the processor time and what follows from it."""
    for path in Path("build/parts").rglob("*.safetensors"):
        path.unlink()
    stage.run(params)
    files = [stage.OUT] if stage.OUT.is_file() else sorted(stage.OUT.iterdir())
    found = {path.name: json.loads(path.read_text()) for path in files}
    for trial in found.get("search.json", {}).get("trials", {}).values():
        assert trial.pop("cpu_minutes") > 0
        for key in ("averaged", "last"):
            del trial[key]["ratio_per_root_minute"]
    return found


@pytest.mark.parametrize("stage", [search, train_variants, train_text])
def test_trainings_are_the_same_one_by_one_and_side_by_side(stage, params, monkeypatch, capsys):
    found = {}
    for engine in ("processes:1", "processes:2"):
        monkeypatch.setenv("EASEL_ENGINE", engine)
        found[engine] = reports(stage, params)
    assert found["processes:1"] == found["processes:2"]
    kept = sorted(Path("build/parts").rglob("*.safetensors"))
    others = [path for path in Path("build/parts").rglob("*") if path.is_file() and path not in kept]
    assert [path.name for path in others] == ["index.json"]  # and nothing on the way
    capsys.readouterr()
    stage.run(params)
    assert f"{len(kept)} of {len(kept)} parts are there already" in capsys.readouterr().out
