"""Configuration: everything that can be wrong in params.yaml is said before any work."""

import dataclasses
from pathlib import Path

import pytest

from lib import config, config_tree
from lib.errors import EaselError

REPOSITORY = Path(__file__).parent.parent
PROFILES = REPOSITORY / "profiles"


@pytest.fixture
def tree():
    return config_tree.read_yaml(REPOSITORY / "params.yaml")


def test_the_committed_file_loads_and_is_frozen():
    params = config.load(REPOSITORY / "params.yaml")
    with pytest.raises(dataclasses.FrozenInstanceError):
        params.reader.steps = 1
    with pytest.raises(TypeError):
        params.scenes.backgrounds["plain"] = 0


@pytest.mark.parametrize("profile", sorted(path.name for path in PROFILES.glob("*.yaml")))
def test_every_profile_is_complete_and_names_itself(tree, profile):
    over = config_tree.read_yaml(PROFILES / profile)
    params = config.build(config_tree.overlay(tree, over, profile), profile)
    assert f"{params.profile}.yaml" == profile


@pytest.mark.parametrize("profile", sorted({path.name for path in PROFILES.glob("*.yaml")} - {"smoke.yaml"}))
def test_profiles_share_one_data_set(tree, profile):
    # data.dvc pins one hash for all whose numbers mean something.
    assert not {"data", "scenes"} & set(config_tree.read_yaml(PROFILES / profile))


def test_unknown_key_is_named_with_the_nearest_known_one(tree):
    tree["reader"]["stesp"] = 3
    with pytest.raises(EaselError, match=r"unknown key 'reader\.stesp'; did you mean 'steps'\?"):
        config.build(tree, "params.yaml")


def test_missing_key_is_named(tree):
    del tree["reader"]["steps"]
    with pytest.raises(EaselError, match=r"missing reader\.steps"):
        config.build(tree, "params.yaml")


@pytest.mark.parametrize(
    ("section", "key", "value", "message"),
    [
        ("reader", "steps", "many", r"reader\.steps is 'many' \(str\), must be int"),
        ("reader", "steps", 1.5, r"reader\.steps is 1\.5 \(float\), must be int"),
        ("reader", "steps", True, r"reader\.steps is True \(bool\), must be int"),
        ("clip", "learning_rate", "1e-3x", r"clip\.learning_rate is '1e-3x' \(str\), must be float"),
        ("data", "source", "folder", r"data\.source is 'folder', must be one of scenes, webdataset, coco"),
        ("data", "image_sizes", 64, r"data\.image_sizes is 64 \(int\), must be a list"),
        ("scenes", "backgrounds", ["plain"], r"scenes\.backgrounds is \['plain'\] \(list\), must be a mapping"),
        ("data", "max_bad_share", 0.9, r"data\.max_bad_share must lie between"),
        ("data", "source", "coco", r"data\.path names no folder"),
        ("evaluation", "clip", "no/such/folder", r"evaluation\.clip names no/such/folder, which does not exist"),
        ("dalle_mini", "heads", 7, r"dalle_mini\.heads must divide"),
        ("dalle_mini", "optimizer", "sgd", r"dalle_mini\.optimizer is 'sgd', must be one of adamw, adafactor, muon"),
        ("dalle_mini_search", "learning_rates", [0.1], r"dalle_mini_search\.learning_rates must be at least three"),
        ("sampling", "sweep", [2.0], r"sampling\.sweep must hold 1 \(no guidance\) and sampling\.guidance"),
    ],
)
def test_wrong_values_are_named(tree, section, key, value, message):
    tree[section][key] = value
    with pytest.raises(EaselError, match=message):
        config.build(tree, "params.yaml")


def test_numbers_are_read_as_dvc_reads_them(tmp_path):
    path = tmp_path / "x.yaml"
    path.write_text("a: 1e-4\nb: on\nc: 012\n")
    assert config_tree.read_yaml(path) == {"a": 1e-4, "b": "on", "c": 12}


def test_broken_yaml_and_missing_file(tmp_path):
    path = tmp_path / "x.yaml"
    path.write_text("a: [1, 2\n")
    with pytest.raises(EaselError, match="not valid YAML"):
        config_tree.read_yaml(path)
    with pytest.raises(EaselError, match="does not exist"):
        config_tree.read_yaml(tmp_path / "none.yaml")


def test_overlay_merges_mappings_and_refuses_unknown_keys():
    base = {"a": {"b": 1, "c": [1, 2]}, "d": 2}
    assert config_tree.overlay(base, {"a": {"c": [3]}}, "x") == {"a": {"b": 1, "c": [3]}, "d": 2}
    with pytest.raises(EaselError, match=r"unknown key 'a\.bb'; did you mean 'b'"):
        config_tree.overlay(base, {"a": {"bb": 3}}, "x")


def test_null_takes_an_entry_out_and_a_needed_one_is_missed(tree):
    assert config_tree.overlay({"a": {"b": 1, "c": 2}}, {"a": {"b": None}}, "x") == {"a": {"c": 2}}
    with pytest.raises(EaselError, match=r"missing clip\.steps"):
        config.build(config_tree.overlay(tree, {"clip": {"steps": None}}, "x"), "x")


def test_a_field_with_a_default_may_be_left_out_and_no_other(tree):
    run = config.build(tree, "x").decoding.groups["decoders"].runs["autoregressive"]
    assert (run.options, run.steps, run.sampling) == ({}, 0, {})
    del tree["decoding"]["groups"]["decoders"]["runs"]["autoregressive"]["decoder"]
    with pytest.raises(EaselError, match=r"missing decoding\.groups\.decoders\.runs\.autoregressive\.decoder"):
        config.build(tree, "x")


def test_a_fine_tuning_is_the_recipe_but_for_its_changes(tree):
    sjd2 = config.build(tree, "x").sjd2
    wide = sjd2.variants["wide"]
    assert (wide.model, wide.training.batch_size, wide.levels) == ("wide", 4, sjd2.recipe.levels)
    assert sjd2.variants["small"] == sjd2.recipe


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stesp": 3}, r"sjd2\.changes\.linear\.stesp is unknown; there are model, levels"),
        ({"steps": "many"}, r"sjd2\.changes\.linear\.steps is 'many', must be of type int"),
        ({"jumps": 2.0}, "jumps must lie between 0 and 1"),
    ],
)
def test_wrong_changes_of_a_fine_tuning_are_named(tree, change, message):
    tree["sjd2"]["changes"]["linear"] = change
    with pytest.raises(EaselError, match=message):
        config.build(tree, "x")


@pytest.mark.parametrize("names", [["quality", "quality"], ["quality", "unheard_of"]])
def test_groups_that_are_decoded_are_described(tree, names):
    tree["decoding"]["names"] = names
    with pytest.raises(EaselError, match=r"decoding\.names must name some of decoding\.groups, each once: quality"):
        config.build(tree, "x")


def test_groups_that_claims_pair_draw_the_same_rows(tree):
    tree["decoding"]["groups"]["untuned"]["captions"] += 1
    with pytest.raises(EaselError, match=r"groups\.untuned must draw as many prompts and captions as quality"):
        config.build(tree, "x")


@pytest.mark.parametrize("section", ["autoregressive", "sjd2", "draft_tuning"])
def test_names_of_what_runs_are_those_that_are_described(tree, section):
    tree[section]["names"] = tree[section]["names"][1:]
    with pytest.raises(EaselError, match=rf"{section}\.names must name each of {section}\.\w+ once"):
        config.build(tree, "x")
