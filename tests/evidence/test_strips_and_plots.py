"""Picture strips and the plots that notebooks share."""

import numpy as np
import pandas as pd

from lib.evidence import figures, plots, samples
from lib.evidence.report import Interval
from lib.evidence.shown import Prompt, Shown
from lib.evidence.strips import read_strip, write_strip


def test_strips_keep_order_and_pixels(tmp_path):
    images = np.random.Generator(np.random.PCG64(0)).integers(0, 256, (3, 8, 8, 3), dtype=np.uint8)
    write_strip(tmp_path / "x.png", images)
    np.testing.assert_array_equal(read_strip(tmp_path / "x.png"), images)


def test_intervals_put_each_dot_over_its_category():
    rows = [("a", "x", 0.5), ("b", "x", 0.2), ("b", "y", 0.4)]
    frame = pd.DataFrame(
        [{"category": c, "group": g, "value": v, "low": v - 0.1, "high": v + 0.05} for c, g, v in rows]
    )
    with figures.style():
        _, axes = figures.axes()
        plots.intervals(axes, frame, "category", "group")
    assert [label.get_text() for label in axes.get_xticklabels()] == ["a", "b"]
    lines = {container.get_label(): container.lines[0].get_xydata() for container in axes.containers}
    np.testing.assert_allclose(lines["x"], [[-0.12, 0.5], [0.88, 0.2]])
    np.testing.assert_allclose(lines["y"], [[1.12, 0.4]])
    bars = axes.containers[0].lines[2][0].get_segments()[0]
    np.testing.assert_allclose(bars[:, 1], [0.4, 0.55])


def test_points_stand_at_their_values_and_ticks_at_those_alone():
    found = [Interval(value=v, low=v - 0.1, high=v + 0.2) for v in (0.5, 0.4)]
    frame = pd.DataFrame([{"passes": at, **plots.row(one)} for at, one in zip((1, 8), found, strict=True)])
    with figures.style():
        figure, axes = figures.axes()
        plots.points(axes, frame, "passes", "masked", 3)
        plots.ticks(axes, frame["passes"])
        figure.draw_without_rendering()
    np.testing.assert_allclose(axes.containers[0].lines[0].get_xydata(), [[1, 0.5], [8, 0.4]])
    np.testing.assert_allclose(axes.containers[0].lines[2][0].get_segments()[1][:, 1], [0.3, 0.6])
    assert axes.get_xscale() == "log" and [label.get_text() for label in axes.get_xticklabels()] == ["1", "8"]
    assert not len(axes.get_xticks(minor=True))


def test_a_strip_is_shown_under_its_prompts_in_english(tmp_path):
    images = np.zeros((3, 8, 8, 3), np.uint8)
    write_strip(tmp_path / "zh.png", images)
    prompts = [
        Prompt(text=text, english=english, right=[right])
        for text, english, right in (
            ("红色的圆形", "a red circle", True),
            ("星形", "a star", False),
            ("十字", "a cross", None),
        )
    ]
    shown = Shown(pictures={"zh": prompts})
    figure, frame = samples.under_prompts(tmp_path, shown, "zh", "Asked in Chinese.", 2, 2)
    assert list(frame["prompt"]) == ["红色的圆形", "星形"] and list(frame["right"]) == [True, False]
    texts = " ".join(text.get_text() for text in figure.axes[0].texts)
    assert "a red circle" in texts and "a cross" not in texts and "Asked in Chinese. ✓" in texts and "1 of 2" in texts
    assert list(samples.table(shown, "zh")["right"]) == [True, False, None]
