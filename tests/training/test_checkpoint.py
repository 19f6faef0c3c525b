"""Weights must be numbers; other arrays, such as losses that are not there yet, need not."""

from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.errors import EaselError
from lib.weights import checkpoint

KINDS = (np.float16, ml_dtypes.bfloat16, np.float32, np.float64)
SHAPES = st.lists(st.integers(0, 3), max_size=3).map(tuple)
ARRAYS = st.builds(
    lambda shape, kind, seed: np.asarray(np.random.default_rng(seed).normal(size=shape)).astype(kind),
    SHAPES,
    st.sampled_from((*KINDS, np.int32, np.bool_)),
    st.integers(0, 9),
)
NETWORKS = st.dictionaries(st.text("abc/.", min_size=1, max_size=5), ARRAYS, min_size=1)


@given(network=NETWORKS)
@settings(deadline=None)
def test_numbers_of_every_kind_pass(network):
    checkpoint.require_finite(Path("w"), network)


@given(network=NETWORKS, value=st.sampled_from([np.nan, np.inf, -np.inf]), kind=st.sampled_from(KINDS), data=st.data())
@settings(deadline=None)
def test_a_single_one_that_is_none_is_found_in_every_kind(network, value, kind, data):
    bad = np.ones(data.draw(st.integers(1, 50)), kind)
    bad[data.draw(st.integers(0, len(bad) - 1))] = value
    with pytest.raises(EaselError, match=r"some/file\.safetensors holds weights that are NaN or infinite, in the bad:"):
        checkpoint.require_finite(Path("some/file.safetensors"), network | {"the bad": bad})


def test_many_are_counted():
    wrong = {f"x{index}": np.float32(np.nan) for index in range(7)}
    with pytest.raises(EaselError, match="in x0, x1, x2 and 4 more: "):
        checkpoint.require_finite(Path("w"), wrong)


def test_arrays_that_are_no_networks_may_hold_nan(tmp_path):
    """A training that goes on keeps NaN where it has not measured yet."""
    path = tmp_path / "model.safetensors"
    checkpoint.save(path, {"losses": np.full(3, np.nan, np.float32)}, {"step": 1})
    assert np.isnan(checkpoint.load(path)[0]["losses"]).all()
    with pytest.raises(EaselError, match=r"model\.safetensors holds weights .* in losses:"):
        checkpoint.load_network(tmp_path)
