"""Picture strips and the plots that notebooks share."""

import numpy as np
import pandas as pd

from lib.evidence import figures, plots
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
