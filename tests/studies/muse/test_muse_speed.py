"""Speed at equal quality, of made-up curves."""

import math

import pytest

from studies.muse.code import speed
from studies.muse.code.reports import Run
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
    assert found.values == pytest.approx([expected])
    assert speed.seconds_until(measured(), "autoregressive", 1, 0.65).values == [2.0, 2.0]
    assert speed.seconds_until(measured(), "latent", 1, 0.65) is None
    assert speed.seconds_until(measured(), "masked", 1, 0.99) is None
