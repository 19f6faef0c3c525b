"""Parts of the data: how they are drawn, where they lie, what is asked of them."""

import copy
import shutil

import numpy as np
import pytest
import torch

from lib import config, config_tree
from lib.data.store import Split, read_prompts
from lib.models import vqgan
from lib.scenes.kept import Kept
from lib.weights.torch_state import generator
from studies.muse.code import make_parts, material
from studies.muse.code.material import Folders, folders
from studies.muse.code.settings import scenes_of
from tests import house

TINY = {"train": 3, "val": 1, "test": 2, "heldout": 1, "large": 2, "prompts_per_category": 2}
EASY = TINY | {"max_objects": 1, "backgrounds": {"plain": 1}, "textures": {"solid": 1}}


def params(part=EASY, **tops):
    trees = copy.deepcopy(house.trees("smoke"))
    trees["muse"]["muse_parts"] = {"two": part}
    for section, changes in tops.items():
        trees[""][section] |= changes
    return config.build(trees, "muse", "params.yaml")


@pytest.fixture(scope="module")
def there(tmp_path_factory):
    """A folder in which a part was drawn and encoded."""
    path = tmp_path_factory.mktemp("parts")
    tokenizer = vqgan.VQGAN(8, 6, 4, 0.9, 8, generator(0))
    tokenizer.quantizer.codebook.copy_(torch.randn(6, 4, generator=generator(0)))
    vqgan.save(tokenizer, path / material.TOKENIZER)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(path)
        make_parts.run(params())
    return path


def test_a_part_shows_what_its_settings_say_and_nothing_else(there, monkeypatch):
    monkeypatch.chdir(there)
    data = folders("two").data
    scenes = [scene for split in ("train", "test") for scene in Split.open(data, split).scenes]
    assert len(scenes) == 5
    assert all(len(scene["objects"]) == 1 and scene["background"]["kind"] == "plain" for scene in scenes)
    assert all(one["texture"] == "solid" for scene in scenes for one in scene["objects"])
    assert all(sum(item["count"] for item in one["require"]["objects"]) == 1 for one in read_prompts(data))


def test_tokens_are_those_of_its_pictures_in_both_sizes(there, monkeypatch):
    monkeypatch.chdir(there)
    where, tokenizer = folders("two"), vqgan.load(material.TOKENIZER)
    for split, size, shape in (("train", 64, (3, 8, 8)), ("train", 128, (2, 16, 16)), ("test", 64, (2, 8, 8))):
        tokens = np.load(where.tokens / f"{split}_{size}.npy")
        assert tokens.shape == shape
        assert np.array_equal(tokens, vqgan.encode_batches(tokenizer, Split.open(where.data, split).images(size)))


def test_data_that_are_not_drawn_are_every_part_and_encoded_once(there, tmp_path, monkeypatch):
    """Here a part that was drawn stands for somebody's own pictures."""
    shutil.copytree(there / material.PARTS / "two" / "data", tmp_path / material.DATA)
    shutil.copytree(there / material.TOKENIZER, tmp_path / material.TOKENIZER)
    monkeypatch.chdir(tmp_path)
    make_parts.run(params(data={"source": "webdataset", "path": "shards"}))
    assert folders("two") == folders("other") == Folders(material.DATA, material.PARTS / "tokens")
    monkeypatch.chdir(there)
    drawn = folders("two").tokens
    for file in drawn.iterdir():
        assert (tmp_path / material.PARTS / "tokens" / file.name).read_bytes() == file.read_bytes()
    assert len(list(drawn.iterdir())) == len(list((tmp_path / material.PARTS / "tokens").iterdir())) == 4


def test_validation_prompts_fit_the_part_and_follow_from_the_seed():
    found = material.validation_prompts(2, Kept(), 5, 3)
    assert found == material.validation_prompts(2, Kept(), 5, 3) != material.validation_prompts(2, Kept(), 5, 4)
    assert found and all(material.objects_asked(prompt) <= 2 for prompt in found)
    assert not any(prompt["category"] == material.HELDOUT for prompt in found)


def test_what_a_part_does_not_say_is_as_in_the_data():
    made = params()
    drawn, kept = scenes_of(made, "two")
    assert drawn.seed == made.scenes.seed and drawn.lattice == made.scenes.lattice
    assert (drawn.max_objects, dict(drawn.backgrounds), kept) == (1, {"plain": 1}, Kept())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"max_object": 1}, r"muse_parts\.two.*max_object"),
        ({"max_objects": 5}, r"max_objects"),
        ({"backgrounds": {"plane": 1}}, r"plane"),
        ({"backgrounds": {"plain": 1, "speckled": 1}}, r"muse_parts\.two\.backgrounds has speckled"),
    ],
)
def test_mistakes_are_named(changes, message):
    with pytest.raises(config_tree.Refused, match=message):
        params(EASY | changes)
