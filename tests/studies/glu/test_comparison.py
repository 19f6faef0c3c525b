import math

import numpy as np
import pytest

from lib.errors import EaselError
from lib.evidence.statistics import paired
from lib.models.layout import BLOCKS
from studies.glu.code import comparison


def test_the_paper_has_the_eight_blocks_and_its_own_best():
    assert set(comparison.PAPER) == set(BLOCKS)
    assert min(comparison.PAPER, key=lambda block: comparison.PAPER[block].long) == "geglu"
    assert comparison.PAPER["geglu"].long - comparison.PAPER["relu"].long == pytest.approx(-0.044)
    assert comparison.PAPER["geglu"].short - comparison.PAPER["relu"].short == pytest.approx(-0.055)


def test_differences_are_taken_seed_by_seed():
    found = comparison.compared({"relu": [2.0, 3.0, 4.0, 5.0, 6.0], "geglu": [1.9, 2.9, 3.9, 4.9, 5.9]})
    assert "difference" not in found["relu"]
    assert found["relu"]["mean"] == 4.0 and found["relu"]["sd"] == pytest.approx(math.sqrt(2.5))
    difference = found["geglu"]["difference"]
    assert difference["value"] == pytest.approx(-0.1)  # though the seeds themselves differ by ten times as much
    assert difference["low"] == pytest.approx(-0.1) and difference["p"] == 1 / 32
    assert comparison.certain(difference)


def test_an_interval_alone_is_not_certain():
    assert not comparison.certain({"low": 0.1, "high": 0.2, "p": 0.0625})  # four seeds
    assert not comparison.certain({"low": -0.1, "high": 0.2, "p": 0.03})


def test_rank_correlation_with_the_papers_order():
    ours = {block: [row.long, row.long + 1] for block, row in comparison.PAPER.items()}
    assert comparison.rank_correlation(ours, "long") == {"mean": pytest.approx(1), "by_seed": pytest.approx([1, 1])}
    reverse = {block: [-row.long, row.long] for block, row in comparison.PAPER.items()}
    assert comparison.rank_correlation(reverse | {"relu": [-1.677, 1.6771]}, "long")["by_seed"] == pytest.approx(
        [-1, 1]
    )


def test_the_better_of_gelu_and_swish_stands_against_relu():
    nats = {"relu": [1.0, 2.0], "gelu": [1.1, 2.1], "swish": [0.8, 2.2]}
    assert comparison.ungated_against_relu(nats) == pytest.approx([-0.2, 0.2])


def test_steps_saved_on_a_line_in_the_logarithm():
    # 0.2 nats for a factor of 4; the baseline ends halfway between, so at half of the long training's steps.
    assert comparison.steps_saved(1.1, short=1.2, long=1.0, factor=4) == pytest.approx(50)
    assert comparison.steps_saved(1.0, short=1.2, long=1.0, factor=4) == pytest.approx(0)
    assert comparison.steps_saved(0.9, short=1.2, long=1.0, factor=4) == pytest.approx(-100)
    with pytest.raises(EaselError, match="did not fall"):
        comparison.steps_saved(1.0, short=1.0, long=1.2, factor=4)


def test_the_papers_own_table_saves_a_quarter_of_the_steps():
    slope = (1.942 - 1.633) / math.log(8)
    assert comparison.paper_steps_saved() == pytest.approx(100 * (1 - math.exp(-0.044 / slope)))
    assert 25 < comparison.paper_steps_saved() < 26


def test_steps_saved_by_seed_reads_the_trainings_reports():
    def entry(short, long):
        return {"short": {"steps": 10, "nats": short}, "long": {"steps": 40, "nats": long}}

    variants = {"relu": entry([9, 9], [1.1, 1.0]), "geglu": entry([1.2, 1.2], [1.0, 1.0])}
    assert comparison.saved_by_seed(variants) == pytest.approx([50, 0])


def test_cost_ratios():
    assert comparison.speed_gain([3.0, 1.0], [2.0, 1.25]) == pytest.approx([50, -20])
    blocks = {"relu": 4, "reglu": 5, "gelu": 4, "geglu": 3, "glu": 9}
    sizes = {name: {"working_bytes": size} for name, size in blocks.items()}
    assert comparison.memory_rises(sizes) == {"reglu / relu": 1.25, "geglu / gelu": 0.75}


def test_trouble_is_averaged_over_placements_and_rates():
    run = lambda spikes, lost: {"spikes": spikes, "lost": lost}  # noqa: E731
    placements = {
        "preln": {"1": run([2, 0], [True, False]), "2": run([0, 0], [False, False])},
        "postln": {"1": run([4, 1], [True, True]), "2": run([0, 0], [False, False])},
    }
    assert comparison.trouble(placements, ("preln", "postln")) == [2.0, 0.5]


@pytest.mark.parametrize(
    ("values", "expected", "verdict"),
    [
        ([0.1, 0.2, 0.1, 0.2, 0.1], "higher", "agrees"),
        ([0.1, 0.2, 0.1, 0.2, 0.1], "lower", "contradicts: higher loss"),
        ([0.1, 0.2, 0.1, 0.2, 0.1], "equal", "contradicts: higher loss"),
        ([0.1, -0.2, 0.1, -0.2, 0.1], "higher", "inconclusive"),
        ([0.1, -0.2, 0.1, -0.2, 0.1], "equal", "consistent: no difference found"),
    ],
)
def test_a_finding_is_judged_by_interval_and_sign_flips(values, expected, verdict):
    assert comparison.agreement(paired(np.zeros(5), values, "x"), expected) == verdict
