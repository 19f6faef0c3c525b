"""Trainings as parts: what a stage reports does not depend on how many of them run at once."""

import json
from pathlib import Path

import numpy as np
import pytest

from lib.data import store
from lib.pipeline import parts
from lib.text import TextTokenizer
from studies.glu.code import search, train_switches, train_text, train_variants
from studies.glu.code.training_parts import SEARCH, picture_part, results
from tests import house
from tests.studies.glu import made_up

PICTURES = 40  # of every split
WORDS = ("red", "blue", "green", "circle", "square", "above", "below", "large", "small")


@pytest.fixture
def params(tmp_path, monkeypatch):
    """Settings of the smoke profile, and in an empty folder what trainings read: tokens and words at random."""
    monkeypatch.chdir(tmp_path)
    for name in ("lib", "studies", "requirements.lock"):
        Path(name).symlink_to(house.REPOSITORY / name)
    few = {"pictures": 8}
    changes = {"glu_variants": few | {"curve_pictures": 4}, "glu_search": few | {"stretches": 4}}
    params = house.params("glu", "smoke", changes)
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
    """What a stage writes, from nothing."""
    for path in Path("build/parts").rglob("*.safetensors"):
        path.unlink()
    stage.run(params)
    return json.loads(stage.OUT.read_text())


def write_search(**rates):
    """A report of the search that chose these."""
    like = made_up.search()
    tasks = {task: like.tasks["text"].model_copy(update={"chosen": rate}) for task, rate in rates.items()}
    like.model_copy(update={"tasks": tasks}).write(SEARCH)


@pytest.mark.parametrize("stage", [search, train_variants, train_text])
def test_trainings_are_the_same_one_by_one_and_side_by_side(stage, params, monkeypatch, capsys):
    write_search(coarse=1e-3, fine=4e-3, text=1e-3)
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


def test_trainings_run_at_the_rates_that_were_chosen_for_them(params, monkeypatch):
    rates, seen, found = {"coarse": 1e-3, "fine": 2e-3, "text": 3e-3}, [], {}
    write_search(**rates)
    monkeypatch.setattr(parts, "run", lambda name, made: seen.extend(made) or {})
    for stage in (train_variants, train_text, train_switches):
        with pytest.raises(KeyError):  # nothing was trained
            stage.run(params)
    for part in seen:
        task = part.arguments.get("tokens", "text")
        for name, recipe in part.arguments["recipes"].items():
            found.setdefault((task, name), set()).add(recipe["learning_rate"])
    assert found.pop(("coarse", "0.1")) == {0.1}  # deliberately too high
    assert found.pop(("coarse", "short")) == found.pop(("coarse", "ordinary")) == {1e-3}
    assert found == {(task, "long"): {rate} for task, rate in rates.items()}


def test_trainings_of_one_part_are_those_of_several(params, monkeypatch):
    """By each recipe a network ends as it would alone: no training goes on from another one's weights."""
    monkeypatch.setenv("EASEL_ENGINE", "processes:1")
    recipes = {"a": {"steps": 2, "learning_rate": 1e-3}, "b": {"steps": 3, "learning_rate": 4e-3}}
    given = {"both": recipes, "a": {"a": recipes["a"]}, "b": {"b": recipes["b"]}}
    measured = {"split": "val", "pictures": 4}
    made = [picture_part(params, name, "coarse", "relu", [0, 1], one, measured=measured) for name, one in given.items()]
    found = {name: results(path)[0] for name, path in parts.run("glu/search", made).items()}
    assert set(found["both"]) == {"a", "b"}
    for name in recipes:
        for key in ("losses", "nats"):
            np.testing.assert_array_equal(found["both"][name][key], found[name][name][key])
    assert len(list(Path("build/parts").rglob("*.safetensors"))) == 3  # no checkpoint is left
