"""Stage check_data, where it does not need a whole data set."""

import importlib
import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib import config
from lib.data.needs import Languages, Need
from lib.data.store import Split
from lib.errors import EaselError
from lib.pipeline import check_data, inputs
from lib.training.order import BatchOrder
from tests import house

PROFILES = ("gpu", "laptop", "paper", "smoke")
# Batches that are no larger than the data, whatever is asked for, or that are not of pictures of the data.
CAPPED = ("clip.", "reader.", "tokenizer.", "sampling.", "decoding.", "glu_cost.", "muse_drawing.", "auraflow_drawing.")
OWN_PICTURES = {"sjd2"}  # draws as many pictures as it needs itself


def needs_of(profile, **changes):
    """What all studies need of the data in a profile, where sections are changed."""
    found = []
    for study in house.STUDIES:
        own = {section: value for section, value in changes.items() if section in house.trees()[study]}
        params = house.params(study, profile, own)
        found += importlib.import_module(f"{config.package(study)}.needs").needs(params)
    return found


def pictures_of(needs):
    return [need for need in needs if isinstance(need, Need)]


def test_a_language_without_captions_is_refused_before_anything_is_trained(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("data").mkdir()
    Path("data/meta.json").write_text('{"languages": ["en"]}')
    Path("build").mkdir()
    for wanted in (("de",), ("en", "de")):
        check_data.NEEDS.write_text(json.dumps({"languages": [Languages("x", wanted)], "pictures": []}))
        with pytest.raises(EaselError, match="asks for captions in de, but they are in en"):
            check_data.run(SimpleNamespace())


def test_what_studies_need_is_written_for_the_check(monkeypatch):
    monkeypatch.chdir(house.REPOSITORY)
    written = json.loads(json.dumps(inputs.needs()))
    assert [Need(*one) for one in written["pictures"]] == pictures_of(needs_of("laptop"))
    assert {one[0] for one in written["languages"]} >= {"autoregressive.languages", "dalle_mini.languages.both"}


def splits_of(counts, sizes=(64, 128), caption="a red circle on a white background"):
    """Splits with that many pictures of each size."""
    return {
        name: Split(Path("data") / name, name, [{"en": [caption]}] * count, dict.fromkeys(sizes, count))
        for name, count in counts.items()
    }


@pytest.fixture
def english(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("data").mkdir()
    Path("data/meta.json").write_text('{"languages": ["en"]}')


def batch_sizes(tree, prefix=""):
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from batch_sizes(value, f"{prefix}{key}.")
        elif key == "batch_size":
            yield f"{prefix}{key}"


def test_every_batch_of_a_training_is_among_the_needs():
    keys = {need.key for need in pictures_of(needs_of("laptop"))}
    trees = [tree for study, tree in house.trees().items() if study not in OWN_PICTURES]
    asked = {key for tree in trees for key in batch_sizes(tree) if not key.startswith(CAPPED)}
    assert asked <= keys, asked - keys


@pytest.mark.usefixtures("english")
@pytest.mark.parametrize("profile", PROFILES)
def test_as_many_as_are_needed_suffice_and_one_fewer_does_not(profile):
    params, needs = house.params("", profile), pictures_of(needs_of(profile))
    most = {
        split: max(need.count for need in needs if need.split == split and need.size)
        for split in sorted({need.split for need in needs if need.size})
    }
    enough = {split: max(most.get(split, 0), 40) for split in ("train", "val", "test")}  # 40 captions are a stretch
    if max(enough.values()) > params.encode.pictures:
        pytest.skip("more than are encoded")
    check_data.check_size(needs, params, splits_of(enough))
    for split, count in most.items():
        if enough[split] == count:
            with pytest.raises(EaselError, match=rf"needs {count} pictures of .* in {split}, there are {count - 1}"):
                check_data.check_size(needs, params, splits_of(enough | {split: count - 1}))


@pytest.mark.usefixtures("english")
@settings(deadline=None, max_examples=50)
@given(train=st.integers(0, 60), test=st.integers(0, 60), batch=st.integers(1, 60), captions=st.integers(0, 60))
def test_what_a_stage_would_refuse_later_is_refused_at_once(train, test, batch, captions):
    """Against what refuses in the stages themselves: the order of batches, and the test pictures of a drawing."""
    changes = {"dalle_mini": {"batch_size": batch}}
    changes["muse_drawing"] = {"inpainted": captions}
    params, needs = house.params("", "smoke"), pictures_of(needs_of("smoke", **changes))
    refused = captions > test
    try:
        BatchOrder(train, batch, seed=0)
    except EaselError:
        refused = True
    needs = [need for need in needs if need.key in ("dalle_mini.batch_size", "muse_drawing.inpainted")]
    try:
        check_data.check_size(needs, params, splits_of({"train": train, "val": 1, "test": test}))
    except EaselError as error:
        wrong = [need for need in ("dalle_mini.batch_size", "muse_drawing.inpainted") if need in str(error)]
        assert bool(wrong) == refused
    else:
        assert not refused


@pytest.mark.usefixtures("english")
def test_what_to_do_is_said():
    few = splits_of({"train": 3, "val": 1, "test": 1}, sizes=(64,), caption="a")
    with pytest.raises(EaselError, match=r"raise data\.val_share") as error:
        check_data.check_size(pictures_of(needs_of("laptop")), house.params(), few)
    first = "auraflow_models.flow.descent.training.batch_size needs 32 pictures of 64×64 in train, there are 3"
    assert first in str(error.value)
    assert "add 128 to data.image_sizes" in str(error.value) and "more. Add pictures" in str(error.value)
    enough = splits_of({"train": 200, "val": 9, "test": 60}, caption="a")
    with pytest.raises(EaselError, match=r"glu_text\.length needs 999 tokens of captions in test, there are 180"):
        needs = [Need("glu_text.length", "test", 999, None)]
        check_data.check_size(needs, house.params(), enough)


def test_pictures_that_are_not_encoded_are_not_seen():
    split = splits_of({"train": 500})["train"]
    assert check_data.available(split, 64, SimpleNamespace(encode=SimpleNamespace(pictures=40))) == 40
    assert check_data.available(split, 256, SimpleNamespace(encode=SimpleNamespace(pictures=40))) == 0
