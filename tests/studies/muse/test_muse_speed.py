"""Speed at equal quality, of made-up curves."""

import math

import pytest

from studies.muse.code import claims, speed, tables_speed
from studies.muse.code.reports import Run, Training
from tests.studies.muse.test_muse_claims import accuracy, report, run, timing


def curve(training, **steps):
    """Runs of one model by passes."""
    return {
        f"{training}_{number[1:]}": Run(
            training=training,
            sampling={"steps": int(number[1:])},
            passes=1.0,
            prompts=3,
            captions=0,
            exact=accuracy(*exact),
        )
        for number, exact in steps.items()
    }


def measured():
    found = report(autoregressive=run("autoregressive", [0.8, 0.9]), **curve("masked", _1=[0.2, 0.1], _8=[0.6, 0.7]))
    times = {"masked, 1 steps, batch 1": 0.1, "masked, 8 steps, batch 1": 0.8}
    timings = {
        name: timing("masked", 1, seconds).model_copy(update={"sampling": {"steps": int(name.split()[1])}})
        for name, seconds in times.items()
    }
    timings["autoregressive, batch 1"] = timing("autoregressive", 1, 2.0)
    return found.model_copy(update={"timings": timings})


def test_a_curve_is_interpolated_in_the_logarithm_of_the_time():
    points = [(1.0, 0.0), (4.0, 1.0)]
    assert speed.reached(points, 0.5) == pytest.approx(2.0)
    assert speed.reached(points, 0.0) == 1.0 and speed.reached(points, 1.1) is None
    assert speed.reached([(1.0, 0.5), (2.0, 0.4), (8.0, 0.9)], 0.65) == pytest.approx(4.0)


def test_all_models_reach_the_common_quality():
    assert speed.common(measured()) == pytest.approx(0.65)  # the masked model's best


def test_every_training_has_a_time_of_its_own_and_those_that_never_get_there_none():
    found = speed.seconds_until(measured(), "masked", 1, 0.65)
    expected = math.exp(math.log(0.1) + (0.65 - 0.1) / 0.6 * math.log(8))
    assert found[0] is None and found[1] == pytest.approx(expected)
    assert speed.seconds_until(measured(), "autoregressive", 1, 0.65) == [2.0, 2.0]
    assert speed.seconds_until(measured(), "latent", 1, 0.65) == []
    assert speed.seconds_until(measured(), "masked", 1, 0.99) == [None, None]


def test_ratios_are_of_trainings_that_both_get_there():
    second = speed.seconds_until(measured(), "masked", 1, 0.65)[1]
    assert speed.times_as_long(measured(), "autoregressive", 1, 0.65) == pytest.approx([2.0 / second])
    assert speed.times_as_long(measured(), "masked", 1, 0.65) == [1.0]
    assert len(speed.times_as_long(measured(), "autoregressive", 1, 0.5)) == 2
    assert speed.times_as_long(measured(), "latent", 1, 0.5) == []


def test_claims_are_on_ratios_at_the_level_that_was_fixed(monkeypatch):
    monkeypatch.setattr(claims, "LEVEL", 0.65)
    found = measured()
    timings = found.timings | {"masked, 8 steps, batch 1": found.timings["masked, 8 steps, batch 1"]}
    assert claims.claims(found.model_copy(update={"timings": timings}), 0)["equal_1"].values == pytest.approx(
        speed.times_as_long(found, "autoregressive", 1, 0.65)
    )


def test_passes_that_only_some_trainings_drew_are_no_point_of_a_curve():
    found = measured()
    runs = found.runs | curve("masked", _64=[0.9])
    assert list(speed.quality(found.model_copy(update={"runs": runs}), "masked")) == [1, 8]


def test_tables_have_all_levels_that_are_reached():
    trainings = {
        name: Training(model=name, part="two", parameters=1, pictures_seen=1, operations=1.0, minutes=[1.0, 1.0])
        for name in ("autoregressive", "masked")
    }
    rows = tables_speed.equal_rows(measured().model_copy(update={"trainings": trainings}))
    told = {(row["model"], round(row["quality"].value)): row["trainings"] for row in rows}
    assert told["autoregressive", 90] == "1 of 2" and told["autoregressive", 80] == "2 of 2"
    assert told["masked", 50] == "2 of 2" and told["masked", 70] == "1 of 2" and ("masked", 80) not in told
    assert told["masked", 65] == "1 of 2"  # the best that all reach
