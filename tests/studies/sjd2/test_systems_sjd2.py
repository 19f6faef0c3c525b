"""SJD2's rows of the table over all studies."""

from types import SimpleNamespace

import pytest

from lib import config
from lib.evidence.report import Estimate
from studies.sjd2.code.systems import NAMES, systems


def run(network, passes):
    fields = {"passes": Estimate.of([passes, passes + 1], "passes"), "seconds": Estimate.of([0.1, 0.2], "seconds")}
    return SimpleNamespace(
        network=network, exact=None, clip_score=None, fid=None, kid=None, flops_per_token=2.0, judged=None, **fields
    )


def report(**groups):
    models = {"small": SimpleNamespace(parameters=7)}
    return SimpleNamespace(
        groups={name: SimpleNamespace(runs=runs, length=256) for name, runs in groups.items()}, models=models
    )


def test_decoders_of_all_trainings_stand_beside_others_of_the_same_pictures():
    drawn = {
        "autoregressive": run("small", 256),
        "shared_drafts": run("drafts:small", 25),
        "shared_clean": run("clean", 30),
    }
    one, other = systems(config.load("sjd2"), report(quality=drawn, latency={"autoregressive": run("small", 256)}))
    assert (
        one.pictures.startswith("128×128, one object, large, centres 16 pixels apart")
        and other.pictures == one.pictures
    )
    assert (one.name, one.passes, one.parameters) == (NAMES["small", "autoregressive"], 256.5, 7)
    assert one.seconds == {1: [0.1, 0.2]} and other.seconds == {}  # not timed alone
    assert one.operations == 512 and other.passes == pytest.approx(25.5)


def test_a_profile_without_these_groups_has_none():
    assert not list(systems(config.load("sjd2"), report()))
