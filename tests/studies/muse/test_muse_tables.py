"""Tables of made-up reports: the front, twins of the paper's, a roofline."""

import pytest

from lib.evidence.report import Estimate, Interval
from lib.evidence.tables import write_all
from studies.muse.code import tables, tables_masked, tables_speed, twins
from studies.muse.code.pareto import on_the_front
from studies.muse.code.reports import Health, Run, Training
from tests.studies.muse.test_muse_claims import accuracy, report, timing


def point(training, clip, fid):
    score = Estimate(value=clip, low=clip, high=clip, by_seed=[clip])
    distance = Interval(value=fid, low=fid, high=fid)
    sampling = {"guidance": 2.0}
    return Run(training=training, sampling=sampling, passes=8.0, prompts=0, captions=9, clip_score=score, fid=distance)


def test_on_the_front_is_what_nothing_of_the_same_model_beats():
    runs = {
        "best score": point("masked", 30.0, 2.0),
        "best distance": point("masked", 10.0, 0.5),
        "between": point("masked", 20.0, 1.0),
        "beaten": point("masked", 19.0, 1.5),
        "as good, but farther": point("masked", 20.0, 1.1),
        "another's": point("latent", 1.0, 9.0),
    }
    assert on_the_front(runs) == {"best score", "best distance", "between", "another's"}
    alike = {"one": point("masked", 1.0, 1.0), "other": point("masked", 1.0, 1.0)}
    assert on_the_front(alike) == {"one", "other"}
    rows = tables.front_rows(report(**runs).model_copy(update={"runs": runs}))
    assert [row["on the front"] for row in rows] == [name in on_the_front(runs) for name in runs]


def trained(name, parameters):
    return Training(model=name, part="two", parameters=parameters, pictures_seen=1, operations=1.0, minutes=[1.0])


def measured():
    runs = {
        "autoregressive": point("autoregressive", 70.0, 0.2).model_copy(update={"prompts": 3}),
        "masked_8": point("masked", 75.0, 0.4).model_copy(update={"prompts": 3, "exact": accuracy(0.5)}),
    }
    trainings = {"autoregressive": trained("autoregressive", 3_000_000), "masked": trained("masked", 2_000_000)}
    own = report(**runs)
    slow = timing("autoregressive", 1, 1.0, 3.0).model_copy(update={"bytes": 40.0, "operations": 10.0})
    fast = {"sampling": {"steps": 8}, "bytes": 8.0, "operations": 100.0}
    timings = {
        "autoregressive, batch 1": slow,
        "masked, 8 steps, batch 1": timing("masked", 1, 0.5, 1.0).model_copy(update=fast),
    }
    # Another training of the autoregressive model, as the judge is one: what is read is not that of the last one.
    trainings["judge"] = trained("autoregressive", 9_000_000)
    return own.model_copy(update={"trainings": trainings, "timings": timings})


def test_a_roofline_stands_on_what_was_read():
    one, other, machine = tables_speed.roofline_rows(measured())
    assert one["bytes"].value == pytest.approx(40e-6) and other["bytes"].value == pytest.approx(8e-6)
    assert one["faster from"] is None and other["faster from"].value == pytest.approx(100 / 40)
    assert machine["faster from"].value == 1.0


def test_twins_have_the_papers_numbers_beside_those_of_the_same_kind_of_model():
    rows = {row["paper"]: row for row in twins.quality_rows(measured(), twins.TABLE_1)}
    assert rows["VQGAN"]["here"] == "autoregressive" and rows["VQGAN"]["FID"].value == 0.2
    assert (rows["Muse, base"]["paper, FID"], rows["Muse, base"]["exact"].value) == (6.8, 50.0)
    assert rows["Muse, base"]["parameters"].value == 2.0
    assert rows["LDM-4"]["here"] is None and rows["ImageBART"]["FID"] is None
    assert {row["here"] for row in twins.quality_rows(measured(), twins.TABLE_2)} == {None, "autoregressive", "masked"}


def test_the_twin_of_table_3_has_ratios_to_the_masked_model():
    rows = twins.speed_rows(measured())
    parti = next(row for row in rows if row["paper"] == "Parti-3B")
    assert parti["paper, times as long as Muse"].value == pytest.approx(12.8)
    assert (parti["times as long as masked"].low, parti["times as long as masked"].high) == (2.0, 3.0)
    assert [row["times as long as masked"].value for row in rows if row["here"] == "masked"] == [1.0]
    assert parti["passes"] == 64 and rows[0]["time"] is None


def test_health_and_cardinality_have_a_row_a_pass_and_a_row_a_number(tmp_path):
    found = measured()
    watched = {"masked_8": Health(entropy=[2.0, 1.0], confidence=[-1.0, -0.5], pictures=3)}
    share = Interval(value=0.25, low=0.0, high=0.5, n=4)
    runs = found.runs | {"masked_8": found.runs["masked_8"].model_copy(update={"cardinality": {1: share, 2: share}})}
    found = found.model_copy(update={"health": watched, "runs": runs})
    assert [row["pass"] for row in tables_masked.health_rows(found)] == [1, 2]
    rows = tables.cardinality_rows(found)
    assert [(row["training"], row["objects asked for"], row["prompts"]) for row in rows] == [
        ("masked", 1, 4),
        ("masked", 2, 4),
    ]
    listed = [
        ("health", tables_masked.health_rows(found), tables_masked.HEALTH),
        ("cardinality", rows, tables.CARDINALITY),
        ("front", tables.front_rows(found.model_copy(update={"runs": {"a": point("masked", 1.0, 1.0)}})), tables.FRONT),
        ("table_1", twins.quality_rows(found, twins.TABLE_1), twins.CC3M),
        ("table_3", twins.speed_rows(found), twins.TIMES),
    ]
    write_all(tmp_path / "tables", listed, profile="smoke", stage="x", sources=[], inputs=[])
    assert (tmp_path / "tables" / "table_3.md").is_file()
