"""What claims are judged by, of made-up runs."""

import numpy as np
import pytest

from lib.evidence.report import Pairs
from lib.metrics.drawings import Settings, Timing
from lib.metrics.panel import Accuracy
from studies.muse.code import claims
from studies.muse.code.evaluate import requirement
from studies.muse.code.reports import Choice, Measured, Rates, Run


def accuracy(*by_seed):
    mean = float(np.mean(by_seed))
    return Accuracy(value=mean, low=mean, high=mean, by_seed=list(by_seed), categories={})


def run(training, exact=None):
    given = {} if exact is None else {"exact": accuracy(*exact)}
    return Run(training=training, sampling={}, passes=8.0, prompts=3, captions=0, **given)


def timing(training, batch_size, *seconds):
    return Timing(
        training=training, sampling={}, batch_size=batch_size, seconds=list(seconds), operations=1.0, machine={}
    )


def report(**runs):
    return Measured(
        part="two",
        steps={"masked": 8, "latent": 20},
        length=64,
        trainings={},
        runs={"constant": run("masked"), "ramped": run("masked")} | runs,
        timings={
            "autoregressive, batch 1": timing("autoregressive", 1, 1.0, 3.0),
            "masked, 8 steps, batch 1": timing("masked", 1, 0.5, 1.0),
        },
        rates=Rates(operations=1.0, bytes=1.0),
        inpainting={},
        worded={},
        choice=Choice(parts={}, wanted=0.7, hardest=None),
        search=Settings(models={}),
    )


def test_accuracies_are_paired_training_by_training():
    runs = {"autoregressive": run("autoregressive", [0.7, 0.8]), "masked_8": run("masked", [0.6, 0.9])}
    found = claims.claims(report(**runs), 0)
    assert found["quality"] == Pairs(
        baseline=[0.7, 0.8], treatment=[0.6, 0.9], unit="share of prompts", seeds_are=claims.TRAININGS
    )
    assert found["speed_1"].values == [2.0, 3.0]


def test_what_was_not_measured_has_no_claim():
    found = claims.claims(report(autoregressive=run("autoregressive"), masked_8=run("masked")), 0)
    assert set(found) == {"rate_law", "speed_1"}


def test_runs_of_other_numbers_of_trainings_are_not_paired():
    runs = {"autoregressive": run("autoregressive", [0.7]), "masked_8": run("masked", [0.6, 0.9])}
    assert "quality" not in claims.claims(report(**runs), 0)


def test_the_law_of_masking_rates_is_told_from_another_of_the_same_mean(monkeypatch):
    assert claims.rate_law(0) and claims.rate_law(1)
    other = lambda uniform, law: 2 / np.pi * np.arccos(uniform)  # noqa: E731
    draws = np.random.default_rng(0).random(10_000)
    assert abs(other(draws, "").mean() - claims.draw_rates(draws, "arccos").mean()) < 0.01
    monkeypatch.setattr(claims, "draw_rates", other)
    assert not claims.rate_law(0)


def test_what_a_picture_must_show_to_have_the_objects_of_a_scene():
    star = {"shape": "star", "colour": "red", "x": 1}
    found = requirement({"objects": [star, star | {"x": 9}, {"shape": "ring", "colour": "blue"}]})
    assert found["require"]["objects"] == [
        {"shape": "star", "colour": "red", "count": 2},
        {"shape": "ring", "colour": "blue", "count": 1},
    ]


@pytest.mark.parametrize("name", ["autoregressive", "masked_8"])
def test_a_claim_needs_both_of_its_runs(name):
    assert "quality" not in claims.claims(report(**{name: run("masked", [0.5, 0.6])}), 0)
