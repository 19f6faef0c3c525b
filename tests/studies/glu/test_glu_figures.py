"""What the figures of the study plot, of made up results."""

import matplotlib.pyplot as plt
import pytest

from lib.models.layout import BLOCKS
from studies.glu.code import figures
from studies.glu.code.evaluate import evaluated
from tests.studies.glu import made_up


@pytest.fixture
def measured():
    text = made_up.text(**{block: [2.0 - 0.1 * place] * 5 for place, block in enumerate(BLOCKS)})
    yield evaluated(made_up.variants(), made_up.search(), text, made_up.cost(), made_up.switches())
    plt.close("all")


def test_differences_of_every_task_stand_beside_the_papers(measured):
    figure, frame = figures.differences(measured)
    assert list(frame["task"].unique()) == ["coarse tokens, 5 seeds", "captions with gaps, 5 seeds"]
    assert list(frame["block"]) == 2 * ["GELU", "Swish", "GLU", "Bilinear", "GEGLU", "SwiGLU", "ReGLU"]
    geglu = frame[frame["block"] == "GEGLU"]
    assert list(geglu["value"]) == pytest.approx([-0.05, -0.6]) and list(geglu["paper"]) == pytest.approx([-0.044] * 2)
    (axes,) = figure.axes
    labels = {text.get_text() for text in axes.get_legend().get_texts()}
    assert labels == {*frame["task"], "paper, 524,288 steps"}


def test_curves_are_of_the_training_on_coarse_tokens(measured):
    figure, frame = figures.curves(measured)
    assert list(frame["step"]) == [1] * 7 and list(frame["value"]) == [0.0] * 7
    assert [panel.get_title() for panel in figure.axes] == [*frame["block"], ""]


def test_lengths_and_trials_stand_beside_the_paper(measured):
    figure, found = figures.scaling(measured)
    steps = ["10 steps", "40 steps", "65,536 steps, paper", "524,288 steps, paper"]
    assert list(found["length"]["training"]) == steps
    assert list(found["length"]["value"]) == pytest.approx([-0.05, -0.05, -0.055, -0.044])
    rates = found["rate"][["task", "rate"]].itertuples(index=False, name=None)
    assert list(rates) == [("coarse", "0.001"), ("coarse", "0.004"), ("text", "0.001"), ("text", "0.004")]
    left, right = figure.axes
    assert left.get_title().endswith("5 seeds") and right.get_title().endswith("2 seeds")


def test_an_order_is_compared_where_all_blocks_were_trained(measured):
    assert list(figures.ranks(measured)) == ["coarse", "text"]
    assert list(figures.ranks(made_up.results())) == ["coarse"]


def test_placements_are_drawn_and_their_trouble_is_counted(measured):
    figure, drawn = figures.stability(measured.switches)
    assert list(drawn) == list(figures.PLACED)
    assert [panel.get_title() for panel in figure.axes] == list(figures.PLACED.values())
    found = figures.spikes(measured.switches).set_index("placement")
    assert found.loc["pre-LN", "spikes"] == 9 and found.loc["NormFormer", "spikes"] == 0
    assert list(found["final loss"]) == [1.0] * 4
