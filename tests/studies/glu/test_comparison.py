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
    found = comparison.rank_correlation(ours)
    assert found["mean"] == pytest.approx(1) and found["by_seed"] == pytest.approx([1, 1])
    assert found["chance"] == pytest.approx(5 / 7) and found["as_good"] == pytest.approx(1 / 720)
    reverse = {block: [-row.long, row.long] for block, row in comparison.PAPER.items()}
    found = comparison.rank_correlation(reverse | {"relu": [-1.677, 1.6771]})
    assert found["by_seed"] == pytest.approx([-1, 1])


def ranked(*order):
    """Losses of the eight blocks in this order, and their correlation with the paper's."""
    return comparison.rank_correlation({block: [float(place)] * 5 for place, block in enumerate(order)})


PAPERS = ("geglu", "swiglu", "reglu", "bilinear", "glu", "relu", "gelu", "swish")


def test_orders_with_gated_blocks_first_agree_at_five_sevenths_by_chance():
    chance = comparison.chance_correlations()
    assert len(chance) == math.factorial(5) * math.factorial(3) and chance.max() == 1
    # Of n places in any order, the squared differences have the mean n (n² − 1) / 6: 20 of five, 4 of three.
    assert chance.mean() == pytest.approx(1 - 6 * (20 + 4) / (8 * 63))
    reversed_inside = ranked(*PAPERS[4::-1], *PAPERS[:4:-1])
    assert reversed_inside["mean"] == pytest.approx(chance[0]) and reversed_inside["as_good"] == 1


@pytest.mark.parametrize(
    ("order", "side"),
    [
        (PAPERS, 1),
        (("swiglu", "geglu", "bilinear", "reglu", *PAPERS[4:]), 1),  # 18 orders in 720 agree as well: 2.5 %
        (("reglu", "swiglu", "geglu", *PAPERS[3:]), 0),  # Σd² = 8, as of 60 orders
        ((*PAPERS[:5], "swish", "relu", "gelu"), 0),  # Σd² = 6, as of 32: the paper's own order after 65,536 steps
        ((*PAPERS[4::-1], *PAPERS[:4:-1]), -1),
        (PAPERS[::-1], -1),
    ],
)
def test_agreement_is_beyond_chance_where_few_orders_agree_as_well(order, side):
    found = comparison.beyond_chance(ranked(*order)["mean"])
    assert found.value == pytest.approx(ranked(*order)["mean"] - 5 / 7)
    assert (found.above(0), found.below(0)) == (side > 0, side < 0)


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
