"""Which prompts are sampled, and with which random keys."""

import json
from pathlib import Path

import numpy as np

from lib.config_tree import replace
from lib.data.prompts import first_of_each_category
from studies.dalle_mini.code.sample import plan
from tests import house

REPOSITORY = Path(__file__).parents[3]


def test_the_first_of_every_category_in_order():
    prompts = [{"id": f"{category}{i}", "category": category} for i in range(3) for category in ("a", "b")]
    assert [prompt["id"] for prompt in first_of_each_category(prompts, 2)] == ["a0", "b0", "a1", "b1"]
    assert first_of_each_category(prompts, 9) == prompts


def test_what_is_compared_shares_its_random_keys(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data/test").mkdir(parents=True)
    meta = {"source": "webdataset", "languages": ["zh", "en"], "image_sizes": [64], "splits": {"test": 3}}
    (tmp_path / "data/meta.json").write_text(json.dumps(meta))
    lines = [
        {"id": f"p{n}", "category": f"c{n % 2}", "en": f"en {n}", "zh": f"zh {n}", "require": None} for n in range(6)
    ]
    (tmp_path / "data/prompts.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    captions = [{"zh": [f"z{n}"], "en": [f"e{n}"]} for n in range(3)]
    (tmp_path / "data/test/captions.jsonl").write_text("".join(json.dumps(line) + "\n" for line in captions))
    np.save(tmp_path / "data/test/images_64.npy", np.zeros((3, 64, 64, 3), np.uint8))
    settings = replace(house.params("dalle_mini").sampling, prompts=2, ranked_prompts=1, candidates=3, captions=2)
    draws = {draw.name: draw for draw in plan(settings, 7, [])}

    sweep = [draw for name, draw in draws.items() if name.startswith("sweep")]
    assert [draw.guidance for draw in sweep] == list(settings.sweep)
    alike = [*sweep, draws["both_zh"], draws["english_en"], draws["english_zh"]]
    assert all((draw.items == sweep[0].items).all() and (draw.seeds == sweep[0].seeds).all() for draw in alike)
    assert sweep[0].captions == ["en 0", "en 1", "en 2", "en 3"] and draws["both_zh"].captions[0] == "zh 0"
    assert draws["english_zh"].model == "english" and draws["both_zh"].model == "both"

    ranked = draws["ranked_guided"]
    assert (ranked.items == draws["ranked_unguided"].items).all() and draws["ranked_unguided"].guidance == 1
    assert ranked.items.shape == (2, settings.seeds * 3) and len(np.unique(ranked.items)) == ranked.items.size
    assert ranked.seeds[0].tolist() == [seed for seed in range(7, 7 + settings.seeds) for _ in range(3)]
    plain, guided = draws["captioned_unguided"], draws["captioned_guided"]
    assert plain.captions == ["e0", "e1"] and (plain.items == guided.items).all()
    kinds = [set(draws[name].items.ravel()) for name in ("sweep_1", "ranked_guided", "captioned_guided")]
    assert not (kinds[0] & kinds[1] or kinds[0] & kinds[2] or kinds[1] & kinds[2])
    assert guided.rows == 2 * plain.rows
