"""The data folder of Scenes: same bytes however it is made, splits that share nothing, clear errors."""

from dataclasses import replace

import numpy as np
import pytest
from scene_examples import TinyParams

from lib.data.manifest import check_manifest
from lib.data.store import Split, read_meta, read_prompts
from lib.errors import EaselError
from lib.scenes.draw import draw
from lib.scenes.kept import Kept
from lib.scenes.make import SPLITS, example, make
from lib.scenes.scene import Scene, split_of
from lib.scenes.vocabulary import HELDOUT_PAIRS

PARAMS = TinyParams()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("scenes") / "data"
    make(path, PARAMS)
    return path


def test_folder_has_the_shared_format(folder):
    assert read_meta(folder) == {
        "source": "scenes",
        "languages": ["en", "zh"],
        "image_sizes": [64, 128],
        "splits": {"train": 30, "val": 6, "test": 6, "heldout": 6},
        "has_truth": True,
    }
    assert len(read_prompts(folder)) == 7 * 5
    train = Split.open(folder, "train")
    assert train.images(64).shape == (30, 64, 64, 3)
    assert train.images(128).shape == (4, 128, 128, 3)
    assert all(len(c["en"]) == len(c["zh"]) == 3 for c in train.captions)


def test_pictures_are_those_of_their_scenes(folder):
    for name in SPLITS:
        split = Split.open(folder, name)
        for size, length in split.lengths.items():
            for index in range(length):
                assert np.array_equal(split.images(size)[index], draw(Scene.from_json(split.scenes[index]), size))


def test_manifest_is_that_of_the_pinned_data_set(folder):
    """A change here changes the data set: every result has to be made anew."""
    hashes = check_manifest(folder)
    assert hashes["train/images_64.npy"] == "d2ef09e3b29a874765bce769157675828d2c2826ed095ea3e3b30c85a0fe703e"
    assert hashes["train/captions.jsonl"] == "511672c198e1f0aa1af7abdfc4565c6185dc7be037430b8b2aaaf9712bac7c47"
    assert hashes["prompts.jsonl"] == "10c711f3ff524e78e620c652ffdca4071db9f29c5767c45cb54d28fb11bc638b"


def test_two_processes_write_the_same_bytes(folder, tmp_path, monkeypatch):
    monkeypatch.setattr("lib.scenes.make._CHUNK", 7)  # several chunks for each process
    make(tmp_path / "data", PARAMS, processes=2)
    assert check_manifest(tmp_path / "data") == check_manifest(folder)


def test_a_longer_split_begins_with_the_shorter_one(folder, tmp_path):
    make(tmp_path / "data", replace(PARAMS, train=40, large=0))
    longer = Split.open(tmp_path / "data", "train")
    shorter = Split.open(folder, "train")
    assert np.array_equal(longer.images(64)[:30], shorter.images(64))
    assert longer.captions[:30] == shorter.captions
    assert read_meta(tmp_path / "data")["image_sizes"] == [64]


@pytest.mark.parametrize("weights", ["backgrounds", "textures"])
def test_the_order_of_weights_does_not_count(weights):
    reverse = replace(PARAMS, **{weights: dict(reversed(getattr(PARAMS, weights).items()))})
    assert [example("train", i, PARAMS) for i in range(20)] == [example("train", i, reverse) for i in range(20)]


def test_no_scene_is_in_two_splits_and_heldout_pairs_stay_out():
    hashes = {}
    for name in SPLITS:
        scenes = [example(name, i, PARAMS)[0] for i in range(150)]
        assert {split_of(s) for s in scenes} == {name}
        hashes[name] = {s.hash for s in scenes}
        for s in scenes:
            heldout = {(o.shape, o.colour) for o in s.objects} & HELDOUT_PAIRS
            assert bool(heldout) == (name == "heldout")
    assert sum(map(len, hashes.values())) == len(set().union(*hashes.values()))


def test_another_seed_gives_other_pictures():
    assert example("train", 0, PARAMS) != example("train", 0, replace(PARAMS, seed=8))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"train": 0}, "scenes.train is 0: it must be a whole number, at least 1"),
        ({"val": 2.5}, "scenes.val is 2.5: it must be a whole number"),
        ({"large": -1}, "scenes.large is -1"),
        ({"seed": -3}, "scenes.seed is -3"),
        ({"max_objects": 5}, "scenes.max_objects is 5: it must be 1, 2, 3 or 4"),
        ({"max_objects": 0}, "scenes.max_objects is 0"),
        ({"backgrounds": {"plain": 0, "striped": 0}}, "every weight is 0"),
        ({"backgrounds": {}}, "every weight is 0"),
        ({"backgrounds": {"wavy": 1}}, "unknown background 'wavy'; there are plain, gradient, striped, speckled"),
        ({"backgrounds": {"plain": -1, "striped": 3}}, "scenes.backgrounds.plain is -1"),
        ({"textures": {"furry": 1}}, "unknown texture 'furry'; there are solid, striped, dotted"),
        ({"textures": {}}, "scenes.textures: every weight is 0; give at least one texture a weight"),
        ({"lattice": 0}, "scenes.lattice is 0: it must be a whole number from 1 to 8"),
        ({"lattice": 9}, "scenes.lattice is 9"),
        ({"prompts_per_category": 100000}, "prompts_per_category is 100000"),
    ],
)
def test_bad_parameters_are_refused_and_leave_the_old_data_alone(folder, change, message):
    before = check_manifest(folder)
    with pytest.raises(EaselError, match=message):
        make(folder, replace(PARAMS, **change))
    assert check_manifest(folder) == before


def test_some_sizes_and_places_are_kept_in_pictures_and_prompts(tmp_path):
    kept = Kept(("large",), 16)
    make(tmp_path / "data", replace(PARAMS, max_objects=1, lattice=8, prompts_per_category=5), kept=kept)
    for name in SPLITS:
        for scene in map(Scene.from_json, Split.open(tmp_path / "data", name).scenes):
            (item,) = scene.objects
            assert (item.size, item.x % 16, item.y % 16) == ("large", 0, 0) and split_of(scene) == name
    texts = [prompt["en"] for prompt in read_prompts(tmp_path / "data")]
    assert any("large" in text for text in texts)
    assert not any(size in text for text in texts for size in ("small", "medium"))
