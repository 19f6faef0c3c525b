"""The table and the figure over all studies."""

import shutil

import pandas as pd
import pytest

from lib.evidence import systems as shared
from lib.evidence.report import Interval
from lib.evidence.systems import System, drawn
from lib.pipeline import systems
from lib.scenes.kept import Kept
from tests import house


def one(name, pictures="p", **more):
    return System(name=name, family="masked", pictures=pictures, parameters=10**6, passes=8.0, **more)


def share(value):
    return Interval(value=value, low=value - 0.1, high=value + 0.1)


FAST = one("fast", seconds={1: [0.01, 0.02, 0.03], 16: [0.005]}, exact={"en": share(0.5), "zh": share(0.25)})
SLOW = one("slow", seconds={1: [0.1]}, exact={"en": share(0.75)}, minutes=[1.0, 3.0])
OTHER = one("other", "q", seconds={1: [0.1]}, exact={"en": share(0.9)})
UNTIMED, UNJUDGED = one("untimed", exact={"en": share(0.9)}), one("unjudged", seconds={1: [0.1]})


@pytest.fixture
def params(tmp_path, monkeypatch):
    params = house.params()
    monkeypatch.setattr(systems.config, "studies", lambda: ["a", "b", "none"])
    monkeypatch.chdir(tmp_path)
    shutil.copytree(house.REPOSITORY / "lib", tmp_path / "lib")
    shutil.copy(house.REPOSITORY / "requirements.lock", tmp_path)
    return params


def save(params, study, *found):
    (params.results / "tables" / study).mkdir(parents=True, exist_ok=True)
    shared.save(params.results / "tables" / study, found)


def test_systems_of_all_studies_stand_in_one_table_and_those_of_equal_pictures_in_one_figure(params):
    save(params, "a", FAST, OTHER)
    save(params, "b", SLOW, UNTIMED, UNJUDGED)
    systems.run(params)
    table = pd.read_csv(params.results / "tables/systems/systems.csv")
    assert table.system.tolist() == ["fast", "other", "slow", "untimed", "unjudged"]
    assert table.pictures.tolist() == ["A", "B", "A", "A", "A"]
    text = (params.results / "tables/systems/systems.md").read_text()
    assert "20.0 [10.0, 30.0]" in text and "25 [15, 35]" in text and "A: p." in text and "B: q." in text
    shown = pd.read_csv(params.figures / "systems/quality_and_time.csv")
    assert shown.system.tolist() == ["fast", "slow"]
    assert shown.milliseconds.tolist() == pytest.approx([20.0, 100.0])
    assert shown.exact.tolist() == [0.5, 0.75]


def test_where_nothing_can_be_compared_there_is_no_figure(params):
    save(params, "a", UNTIMED)
    save(params, "b")
    systems.run(params)
    assert not list((params.figures / "systems").iterdir())
    assert (params.results / "tables/systems/systems.md").is_file()


def test_pictures_are_described_alike_if_they_are_alike():
    scenes = house.params().scenes
    one = scenes.model_copy(update={"max_objects": 1})
    assert drawn("scenes", one, 64) == drawn("scenes", one, 64, Kept()) != drawn("scenes", one, 128)
    assert (
        len({drawn("scenes", one, 64), drawn("scenes", scenes, 64), drawn("scenes", one, 64, Kept(("large",), 16))})
        == 3
    )
    left = next(iter(scenes.backgrounds))
    assert left in drawn("scenes", scenes, 64) and left not in drawn("scenes", scenes, 64, left_out=[left])
    assert drawn("webdataset", scenes, 64) == "64×64, own"
