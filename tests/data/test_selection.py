"""Which pictures a model sees."""

import numpy as np
import pytest

from lib.data import store
from lib.data.selection import kept


@pytest.mark.parametrize("known", [True, False])
def test_backgrounds_are_left_out_where_they_are_known(tmp_path, known):
    kinds = ["plain", "speckled", "striped", "speckled", "plain"]
    images = {64: np.zeros((5, 64, 64, 3), np.uint8)}
    scenes = [{"background": {"kind": kind}} for kind in kinds] if known else None
    store.write_split(tmp_path, "train", images, [{"en": ["x"]}] * 5, scenes)
    split = store.Split.open(tmp_path, "train")
    assert kept(split, ["speckled"]).tolist() == ([0, 2, 4] if known else [0, 1, 2, 3, 4])
    assert kept(split, []).tolist() == [0, 1, 2, 3, 4]
    assert kept(split, ["speckled"], most=3).tolist() == ([0, 2] if known else [0, 1, 2])
