import math

import pytest

from lib.errors import EaselError
from lib.models.layout import BLOCKS
from studies.glu.code import comparison


def test_the_paper_has_the_eight_blocks_and_its_own_best():
    assert set(comparison.PAPER) == set(BLOCKS)
    assert min(comparison.PAPER, key=lambda block: comparison.PAPER[block].long) == "geglu"
    assert comparison.PAPER["geglu"].long - comparison.PAPER["relu"].long == pytest.approx(-0.044)
    assert comparison.PAPER["geglu"].short - comparison.PAPER["relu"].short == pytest.approx(-0.055)


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


def test_speed_gains():
    assert comparison.speed_gain([3.0, 1.0], [2.0, 1.25]) == pytest.approx([50, -20])
