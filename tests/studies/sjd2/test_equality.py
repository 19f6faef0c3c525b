"""What the rule for "equal" makes of lossless pairs, by simulation."""

from types import SimpleNamespace

import numpy as np
import pytest

from studies.sjd2.code.equality import differences, null, of_groups


def pools(pairs, deviation, rows=60, pictures=40):
    """Captions differ by far more than the pictures of one do."""
    generator = np.random.default_rng(1)
    captions = generator.normal(0.8, 0.5, rows)
    return captions + generator.normal(0, deviation, (pairs, pictures, rows))


def test_differences_are_those_within_captions():
    found = differences(pools(3, 0.2), np.random.default_rng(0), draws=4000)
    assert found.shape == (4000, 3)
    assert found.std() == pytest.approx(np.sqrt(2 / 60) * 0.2, rel=0.05)  # a mean over captions would be far wider
    assert abs(found.mean()) < 0.002
    few = [differences(pools(50, 0.2, pictures=2), np.random.default_rng(0), draws=100) for _ in range(2)]
    assert few[0].std() == pytest.approx(found.std(), rel=0.05)  # also where a pool has two pictures
    assert (few[0] == few[1]).all()


def test_lossless_pairs_are_equal_where_the_margin_is_wide_and_undecided_where_it_is_not():
    wide = null(pools(8, 0.2), 0.15, 1, np.random.default_rng(0), draws=1000)
    assert wide.equal > 0.95 and wide.not_equal == 0 and wide.equal_corrected == wide.equal
    assert (wide.pairs, wide.rows, wide.draws) == (8, 60, 1000)
    narrow = null(pools(8, 0.2), 0.01, 1, np.random.default_rng(0), draws=1000)
    assert narrow.equal < 0.1


def test_what_lies_at_the_margin_is_hardly_ever_equal_and_a_correction_costs():
    found = null(pools(8, 0.3), 0.12, 80, np.random.default_rng(0), draws=2000)
    assert found.at_margin < 0.025 < found.equal_corrected < found.equal


def group(over, **runs):
    """Three units of 20 captions; `runs`: name → nats a token under the network, and under the judge."""
    generator = np.random.default_rng(0)

    def run(own, judged):
        drawn = [mean and generator.normal(mean, 0.05, (3, 20)).tolist() for mean in (own, judged)]
        return SimpleNamespace(nats=drawn[0], judged=drawn[1])

    return SimpleNamespace(over=over, runs={name: run(*both) for name, both in runs.items()})


def test_groups_with_several_lossless_decoders_are_simulated():
    own = {"autoregressive": (1.0, None), "sjd": (1.0, None)}
    found = of_groups({"a": group("seeds", **own), "b": group("seeds", sjd=(1.0, None), sjd2=(1.0, None))}, tests=10)
    assert list(found) == ["a"] and (found["a"].pairs, found["a"].rows, found["a"].tests) == (3, 20, 10)
    assert found["a"].deviation == pytest.approx(np.sqrt(2 / 20) * 0.05, rel=0.2)


def test_the_judge_comes_first_and_trainings_may_differ():
    own = {"autoregressive": (1.0, 3.0), "sjd": (9.0, 3.0)}
    found = of_groups({name: group(name, **own) for name in ("seeds", "trainings")}, tests=10)
    assert all(one.deviation == pytest.approx(np.sqrt(2 / 20) * 0.05, rel=0.3) for one in found.values())
    apart = group("trainings", autoregressive=(1.0, None), sjd=(1.0, None))
    for run in apart.runs.values():
        run.nats = (np.array(run.nats) + np.arange(3)[:, None]).tolist()
    assert of_groups({"a": apart}, tests=10)["a"].deviation < 0.03  # only within a training
