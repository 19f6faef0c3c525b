"""What claims are judged by, of made-up runs."""

import pytest

from lib.evidence.report import Pairs
from lib.metrics.drawings import Settings, Timing
from lib.metrics.panel import Accuracy
from studies.auraflow.code import claims
from studies.auraflow.code.reports import Measured, Run


def run(training, language, exact):
    given = {}
    if exact is not None:
        mean = sum(exact) / len(exact)
        given["exact"] = Accuracy(value=mean, low=mean, high=mean, by_seed=exact, categories={})
    return Run(training=training, language=language, sampling={}, passes=64.0, prompts=3, captions=0, **given)


def timing(training, *seconds):
    return Timing(training=training, sampling={}, batch_size=1, seconds=list(seconds), operations=1.0, machine={})


def report(**exact):
    """Accuracies of runs, training by training."""
    runs = {name: run(name.removesuffix("_zh"), "zh" if "_zh" in name else "en", own) for name, own in exact.items()}
    timings = {
        "raster_english, batch 1": timing("raster_english", 8.0, 9.0),
        "raster_english, batch 16": timing("raster_english", 50.0, 60.0),
        "next_scale, batch 1": timing("next_scale", 2.0, 3.0),
    }
    return Measured(
        languages=["en", "zh"],
        steps=20,
        trainings={},
        scales=[],
        again={},
        runs=runs,
        timings=timings,
        search=Settings(models={}),
    )


BOTH_ZH, ENGLISH, ENGLISH_ZH, LANGUAGE, LANGUAGE_ZH = [0.6, 0.7], [0.9, 0.8], [0.1, 0.3], [0.7, 0.6], [0.65, 0.5]
ALL = {
    "raster_english": ENGLISH,
    "raster_english_zh": ENGLISH_ZH,
    "raster_both_zh": BOTH_ZH,
    "raster_language": LANGUAGE,
    "raster_language_zh": LANGUAGE_ZH,
}


@pytest.mark.parametrize(
    ("name", "taken_off", "whole"),
    [
        ("chinese", ENGLISH_ZH, LANGUAGE_ZH),
        ("english", ENGLISH, LANGUAGE),
        ("encoders", BOTH_ZH, LANGUAGE_ZH),
        ("both_languages", LANGUAGE, LANGUAGE_ZH),
        ("one_language", ENGLISH_ZH, ENGLISH),
    ],
)
def test_accuracies_are_subtracted_training_by_training_as_claims_say(name, taken_off, whole):
    wanted = Pairs(baseline=taken_off, treatment=whole, unit="share of prompts", seeds_are=claims.TRAININGS)
    assert claims.claims(report(**ALL))[name] == wanted


@pytest.mark.parametrize("changes", [{"raster_language_zh": None}, {}])
def test_what_was_not_measured_has_no_claim(changes):
    """Runs without a reader, and data without Chinese."""
    left = {name: own for name, own in ALL.items() if name != "raster_language_zh"} | changes
    found = claims.claims(report(**left))
    assert "english" in found and "one_language" in found
    assert not {"chinese", "encoders", "both_languages"} & set(found)


def test_time_is_divided_repetition_by_repetition_one_picture_at_a_time():
    assert claims.claims(report())["speed_by_scales"].values == [4.0, 3.0]


def test_published_numbers_follow_from_the_published_sizes():
    found = claims.claims(report())
    assert found["terminal_snr"] is True and found["auraflow_billions"] == 6.8


def test_terminal_ratios_are_those_of_the_two_schedules():
    """As the product over β gives them, a square root spaced evenly."""

    def ratio(steps, last):
        first, product = 0.00085, 1.0
        for step in range(steps):
            product *= 1 - (first**0.5 + (last**0.5 - first**0.5) * step / (steps - 1)) ** 2
        return product / (1 - product)

    assert claims.terminal_snr() == pytest.approx(ratio(1100, 0.014), rel=1e-4)
    assert claims.terminal_snr(steps=1000, last=0.012) == pytest.approx(ratio(1000, 0.012), rel=1e-4)
