"""Configuration: everything that can be wrong in params.yaml is said before any work."""

import copy
import functools
import json
import math
import pickle
import typing
from pathlib import Path

import pytest
from pydantic import ValidationError

from lib import config, config_tree, profile, schema, text
from lib.errors import EaselError
from tests import house

REPOSITORY = Path(__file__).parent.parent
PROFILES = {path.stem for folder in ("", "studies/*/") for path in REPOSITORY.glob(f"{folder}profiles/*.yaml")}
STUDIES = ("", "auraflow", "dalle_mini", "glu", "muse", "sjd2")


@pytest.fixture(autouse=True)
def at_the_top(monkeypatch):
    monkeypatch.chdir(REPOSITORY)


@functools.cache
def committed():
    return config.read_trees()


@pytest.fixture
def trees():
    return copy.deepcopy(committed())


def owner(trees, section):
    return next(study for study, tree in trees.items() if section in tree)


def build(trees, section=""):
    """The parameters of the study that has a section."""
    return config.build(trees, owner(trees, section) if section else "", "params.yaml")


def place(trees, dotted, value):
    """Puts a value into the file of parameters that has its section."""
    *path, last = dotted.split(".")
    tree = trees[owner(trees, path[0] if path else last)]
    for key in path:
        tree = tree[key]
    tree[last] = value


def sections(kind=config.Params):
    """A section and all below it."""
    yield kind
    for field in kind.model_fields.values():
        for inner in (field.annotation, *typing.get_args(field.annotation)):
            if isinstance(inner, type) and issubclass(inner, config_tree.Section):
                yield from sections(inner)


@pytest.mark.parametrize("study", STUDIES)
def test_the_committed_files_load_are_frozen_and_can_be_sent(study):
    params = config.load(study)
    with pytest.raises(ValidationError, match="frozen"):
        params.reader.steps = 1
    with pytest.raises(TypeError):
        params.scenes.backgrounds["plain"] = 0
    assert pickle.loads(pickle.dumps(params)) == params
    assert config_tree.plain(params) == json.loads(json.dumps(config_tree.plain(params)).replace("Infinity", "1e999"))


def test_settings_that_jax_compiles_for_are_known_by_their_values():
    layouts = [config.load("dalle_mini").dalle_mini.layout for _ in range(2)]
    assert layouts[0] is not layouts[1] and len(set(layouts)) == 1


def test_no_value_hides_in_a_default():
    for kind in sections():
        assert all(field.is_required() for field in kind.model_fields.values()), kind


@pytest.mark.parametrize("study", STUDIES)
@pytest.mark.parametrize("profile", sorted(PROFILES))
def test_every_profile_is_complete_and_names_itself(profile, study):
    assert config.build(house.trees(profile), study, profile).profile == profile


@pytest.mark.parametrize("profile", sorted(PROFILES - {"smoke"}))
def test_profiles_share_one_data_set(profile):
    # data.dvc pins one hash for all whose numbers mean something.
    assert not {"data", "scenes"} & set(config_tree.read_yaml(REPOSITORY / f"profiles/{profile}.yaml"))


# To be described before the next run of their study: words in its settings make all of its trainings stale.
UNDESCRIBED = {"TextModelParams.width", "TextModelParams.layers"}


@pytest.mark.parametrize("study", STUDIES)
def test_schemas_are_those_of_the_settings_and_editors_find_them(study):
    folder = REPOSITORY / config.folder(study)
    assert (folder / schema.FILE).read_text(encoding="utf-8") == schema.text(study), "run `python -m lib.schema`"
    first = (folder / "params.yaml").read_text(encoding="utf-8").splitlines()[0]
    assert first == f"# yaml-language-server: $schema=./{schema.FILE}"
    found = json.loads(schema.text(study))
    assert set(found["properties"]) == set(committed()[study])
    for name, section in found["$defs"].items():
        for key, field in section["properties"].items():
            described = {"description", "$ref"} & set(field) or f"{name}.{key}" in UNDESCRIBED
            assert described, f"{name}.{key} is not described"


def test_the_smallest_vocabulary_is_the_text_tokenizers(trees):
    place(trees, "text.vocabulary", text.MINIMUM)
    build(trees)
    place(trees, "text.vocabulary", text.MINIMUM - 1)
    with pytest.raises(EaselError, match=rf"text\.vocabulary is {text.MINIMUM - 1}, must be at least {text.MINIMUM}"):
        build(trees)


def test_unknown_key_is_named_with_the_nearest_known_one(trees):
    trees[""]["reader"]["stesp"] = 3
    with pytest.raises(EaselError, match=r"^params\.yaml: unknown key 'reader\.stesp'; did you mean 'steps'\?$"):
        build(trees)


def test_missing_keys_are_named(trees):
    del trees[""]["reader"]["steps"], trees[""]["clip"]
    with pytest.raises(
        EaselError, match=r"^params\.yaml: missing reader\.steps, clip\.$|missing clip, reader\.steps\.$"
    ):
        build(trees)


def test_all_faults_are_said_at_once(trees):
    place(trees, "sampling.sweep", 3)
    place(trees, "dalle_mini.heads", 7)
    trees[""]["reader"] |= {"steps": "many", "width": 0, "wdith": 1}
    del trees[""]["clip"]["steps"]
    with pytest.raises(EaselError) as caught:
        build(trees, "sampling")
    title, *lines = str(caught.value).splitlines()
    assert title == "params.yaml:" and len(lines) == 6
    for line in (
        "  reader.steps is 'many' (str), must be int.",
        "  reader.width is 0, must be at least 1.",
        "  unknown key 'reader.wdith'; did you mean 'width'?",
        "  dalle_mini.heads must divide width = 96.",
        "  sampling.sweep is 3 (int), must be a list.",
        "  missing clip.steps.",
    ):
        assert line in lines


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("reader.steps", "many", r"reader\.steps is 'many' \(str\), must be int"),
        ("reader.steps", 1.5, r"reader\.steps is 1\.5 \(float\), must be int"),
        ("reader.steps", True, r"reader\.steps is True \(bool\), must be int"),
        ("reader.steps", 0, r"reader\.steps is 0, must be at least 1"),
        ("reader", None, r"reader is None \(NoneType\), must be a mapping of keys to values"),
        ("clip.learning_rate", "1e-3x", r"clip\.learning_rate is '1e-3x' \(str\), must be float"),
        ("clip.learning_rate", math.nan, r"clip\.learning_rate is nan, must be a finite number"),
        ("clip.text_heads", 5, r"clip\.text_heads must divide text_width = 96"),
        ("data.source", "folder", r"data\.source is 'folder', must be one of scenes, webdataset, coco"),
        ("data.image_sizes", 64, r"data\.image_sizes is 64 \(int\), must be a list"),
        ("data.image_sizes", [64, 0], r"data\.image_sizes\[1\] is 0, must be one of 64, 128"),
        ("data.image_sizes", [64, 64], r"data\.image_sizes must name every size once"),
        ("data.path", 2024, r"data\.path is 2024 \(int\), must be str"),
        ("data.max_bad_share", 0.9, r"data\.max_bad_share is 0\.9, must be below 0\.5"),
        ("data.source", "coco", r"data\.path names no folder"),
        ("scenes.backgrounds", ["plain"], r"scenes\.backgrounds is \['plain'\] \(list\), must be a mapping"),
        ("scenes.backgrounds", {"wavy": 1}, r"scenes\.backgrounds\.wavy is unknown; there are plain, gradient"),
        ("scenes.backgrounds", {"plain": 0}, r"scenes\.backgrounds must give at least one of them a weight"),
        ("scenes.backgrounds", {"speckled": 1}, r"tokenizer\.coarse\.leave_out leaves none of the backgrounds"),
        ("scenes.backgrounds", {1: 2}, r"scenes\.backgrounds\[1\] is not a name; put it in quotes"),
        ("reader", {1: 2}, r"reader\[1\] is not a name; put it in quotes"),
        ("profile", "../x", r"profile is '\.\./x', must be a name of letters"),
        ("tokenizer.fine.stride", 0, r"tokenizer\.fine\.stride is 0, must be one of 2, 4, 8"),
        ("tokenizer.fine.leave_out", ["wavy"], r"tokenizer\.fine\.leave_out may name plain, .*, not wavy"),
        ("evaluation.bootstrap", 1, r"evaluation\.bootstrap is 1, must be at least 40"),
        ("evaluation.clip", "no/such/folder", r"evaluation\.clip names no/such/folder, which does not exist"),
        ("evaluation.clip", "docs", r"evaluation\.clip names docs, which holds no config\.json"),
        ("evaluation.inception", "README.md", r"evaluation\.inception names README\.md, which is not a TorchScript"),
        ("dalle_mini.heads", 7, r"dalle_mini\.heads must divide"),
        ("dalle_mini.optimizer", "sgd", r"dalle_mini\.optimizer is 'sgd', must be one of adamw, adafactor, muon"),
        ("dalle_mini.languages.english", ["fr"], r"dalle_mini\.languages\.english is fr, but captions are in en, zh"),
        ("dalle_mini.batch_size", 60001, r"dalle_mini\.batch_size asks for 60001 pictures of 64×64 pixels, but"),
        ("dalle_mini.layout.dropout", 1.0, r"dalle_mini\.layout\.dropout is 1\.0, must be below 1"),
        ("dalle_mini_search.learning_rates", [0.1], r"dalle_mini_search\.learning_rates must be at least three"),
        ("sampling.sweep", [2.0], r"sampling\.sweep must hold 1 \(no guidance\) and sampling\.guidance"),
        ("sampling.captions", 2000, r"sampling\.captions is 2000, but the test split is only sure to have 1056"),
        ("sampling.prompts", 61, r"sampling\.prompts is 61, but scenes\.prompts_per_category = 60"),
        ("glu_search.steps", {"coarse": 9, "fine": 9}, r"glu_search\.steps must name coarse, fine, text"),
        ("glu_search.stretches", 10**6, r"glu_search\.stretches is 1000000, but the captions of split val make only"),
        ("glu_cost.sizes.deep", {"heads": 5}, r"glu_cost\.sizes\.deep\.heads must divide width = 48"),
        ("glu_setting.warmup", 1.0, r"glu_setting\.warmup is 1, which leaves nothing"),
        ("glu_text.masked", 0.99, r"glu_text\.masked is 0\.99: of 64 tokens nothing is left between gaps"),
        ("glu_text.stretches", 10**6, r"glu_text\.stretches is 1000000, but the captions of split test make only"),
        ("report_switches.placements.cogview", {"norm": "x"}, r"report_switches\.placements\.cogview\.norm is 'x'"),
        ("autoregressive.models.small.heads", 7, r"autoregressive\.models\.small\.heads is 7; four times as many"),
        ("autoregressive.models.small.trainings", [], r"autoregressive\.models\.small\.trainings must be at least one"),
        ("autoregressive.models.small.part", "x", r"models\.small\.part is x, which is none of sjd2_parts"),
        ("autoregressive.judge", "x", r"autoregressive\.judge must be one of models: small, large"),
        (
            "autoregressive.measured",
            2001,
            r"models\.small\.part has 400 pictures of 128×128 pixels in split val, not 2001",
        ),
        ("sjd2_parts.one.backgrounds", {"gradient": 1}, r"sjd2_parts\.one\.backgrounds has gradient, which tokenizer"),
        ("sjd2.changes.untold", {"stesp": 3}, r"sjd2\.changes\.untold\.stesp is unknown; there are model, levels"),
        ("sjd2.changes.untold", {"steps": "many"}, r"sjd2\.changes\.untold\.training\.steps is 'many' \(str\)"),
        ("sjd2.changes.untold", {"jumps": 2.0}, r"sjd2\.changes\.untold\.jumps is 2\.0, must be at most 1"),
        ("sjd2.changes.untold", {"model": "smal"}, r"sjd2\.changes\.untold\.model is 'smal', must be one of small"),
        ("drafters.model", "x", r"drafters\.model is 'x', must be one of small, large, wide"),
        ("decoding.top_k", 2049, r"sampling\.top_k is 2049, must be at most 2048 codes"),
        (
            "decoding.groups.wide.captions",
            2001,
            r"groups\.wide\.part has 2000 pictures of 128×128 pixels in split test",
        ),
        ("decoding.groups.wide.units", 0, r"groups\.wide\.units is 0, must be at least 1"),
        ("decoding.groups.levels.units", 6, r"runs\.sjd2_small\.network has 5 trainings, not 6"),
        ("decoding.groups.decoders.runs.sjd", {"decoder": "sjd", "options": {"widow": 3}}, r"runs\.sjd\.options"),
        ("decoding.groups.decoders.runs.sjd", {"chosen": "x"}, r"runs\.sjd\.chosen must be one of jacobi, shared"),
        ("decoding.groups.decoders.runs.sjd", {}, r"runs\.sjd\.decoder or chosen must be given, one of them"),
        ("decoding.groups.decoders.runs.sjd.network", "model:judge", r"runs\.sjd\.network must be another than"),
        ("sjd2_choice.decoders.sjd.each", {"window": [2]}, r"decoders\.sjd\.each must name at least one network"),
        ("decoding.groups.decoders.runs.zipar.each.ahead", [17], r"runs\.zipar_17\.options\.ahead must be at most 16"),
        ("decoding.groups.decoders.runs.eagle.network", "model:wide", r"runs\.eagle\.network must be model:small"),
        ("decoding.groups.large.network", "larg", r"runs\.autoregressive\.network is 'larg', but sjd2\.variants has"),
        (
            "decoding.groups.large.runs.sjd.network",
            "wide",
            r"groups\.large\.runs draw several kinds of pictures",
        ),
    ],
)
def test_wrong_values_are_named(trees, key, value, message):
    place(trees, key, value)
    with pytest.raises(EaselError, match=message):
        build(trees, key.split(".")[0])


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


def test_null_takes_an_entry_out_and_a_needed_one_is_missed(trees):
    assert config_tree.overlay({"a": {"b": 1, "c": 2}}, {"a": {"b": None}}, "x") == {"a": {"c": 2}}
    trees[""] = config_tree.overlay(trees[""], {"clip": {"steps": None}}, "x")
    with pytest.raises(EaselError, match=r"missing clip\.steps"):
        build(trees)


def test_a_field_with_a_default_may_be_left_out_and_no_other(trees):
    run = build(trees, "decoding").decoding.groups["decoders"].runs["autoregressive"]
    assert (run.options, run.steps, run.sampling) == ({}, 0, {})
    del trees["sjd2"]["decoding"]["groups"]["decoders"]["runs"]["autoregressive"]["decoder"]
    with pytest.raises(EaselError, match=r"groups\.decoders\.runs\.autoregressive\.decoder or chosen must be given"):
        build(trees, "decoding")


def test_a_fine_tuning_is_the_recipe_but_for_its_changes(trees):
    sjd2 = build(trees, "sjd2").sjd2
    wide = sjd2.variants["wide"]
    assert (wide.model, wide.training.batch_size, wide.levels) == ("wide", 4, sjd2.recipe.levels)
    assert sjd2.variants["small"] == sjd2.recipe


def test_what_is_built_in_code_is_checked_alike():
    params = config.load()
    with pytest.raises(EaselError, match=r"^ReaderParams: steps is 0, must be at least 1\.$"):
        config_tree.replace(params.reader, steps=0)
    with pytest.raises(EaselError, match=r"^ClipParams: text_heads must divide text_width = 96\.$"):
        config_tree.replace(params.clip, text_heads=5)
    assert config_tree.replace(params.reader, steps=7).steps == 7


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("data=null", "profile smoke: missing data"),
        ("evaluation=3", r"evaluation is 3 \(int\), must be a mapping of keys to values"),
        ("clip.steps=[1", r"SET clip\.steps=\[1 is not valid YAML"),
        ("seed=-1", "seed is -1, must be at least 0"),
        ("notebooks.bench.pictures=null", "does not set pictures, a parameter of notebooks/bench"),
        ("notebooks.bench.pictures=1.5", r"notebooks\.bench\.pictures is 1\.5 \(float\), .* expects int"),
        ("notebooks.bench.pictures=0", r"notebooks\.bench\.pictures is 0, must be a text, true, false, a whole number"),
    ],
)
def test_what_the_command_line_sets_is_checked_before_anything_is_written(setting, message, monkeypatch):
    monkeypatch.setattr(profile, "synchronise", lambda *_: pytest.fail("written"))
    with pytest.raises(EaselError, match=message):
        profile.prepare("smoke", [setting])
