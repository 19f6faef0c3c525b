"""What the rule for "equal" makes of lossless pairs, by simulation."""

import numpy as np
import pytest

from studies.sjd2.code.equality import differences, null, of_groups, unbiased
from studies.sjd2.code.reports import Decoded, DecodedGroup, Row, Sampling


def pools(pairs, deviation, rows=60, pictures=40):
    """Captions differ by far more than the pictures of one do."""
    generator = np.random.default_rng(1)
    captions = generator.normal(0.8, 0.5, rows)
    return [captions + generator.normal(0, deviation, (pictures, rows)) for _ in range(pairs)]


def test_differences_are_those_within_captions():
    found = differences(pools(3, 0.2), np.random.default_rng(0), each=1, draws=4000)
    assert found.shape == (4000, 3)
    assert found.std() == pytest.approx(np.sqrt(2 / 60) * 0.2, rel=0.05)  # a mean over captions would be far wider
    assert abs(found.mean()) < 0.002
    fewer = differences(pools(3, 0.2), np.random.default_rng(0), each=4, draws=4000)
    assert fewer.std() == pytest.approx(found.std() / 2, rel=0.05)


def test_lossless_pairs_are_equal_where_the_margin_is_wide_and_undecided_where_it_is_not():
    wide = null(pools(8, 0.2), 0.15, 1, np.random.default_rng(0), each=1, draws=1000)
    assert wide.equal > 0.95 and wide.not_equal == 0 and wide.equal_corrected == wide.equal
    assert (wide.pairs, wide.rows, wide.draws) == (8, 60, 1000)
    narrow = null(pools(8, 0.2), 0.01, 1, np.random.default_rng(0), each=1, draws=1000)
    assert narrow.equal < 0.1


def test_what_lies_at_the_margin_is_hardly_ever_equal_and_a_correction_costs():
    found = null(pools(8, 0.3), 0.12, 80, np.random.default_rng(0), each=1, draws=2000)
    assert found.at_margin < 0.025 < found.equal_corrected < found.equal


def group(*runs, over="seeds"):
    def run(network, decoder, temperature):
        nats = np.random.default_rng(0).normal(1, 0.05, (3, 20)).tolist()
        sampling = Sampling(guidance=2, temperature=temperature, top_k=0)
        rest = {"options": {}, "steps": 0, "passes": [[1]], "accepted": [[1]], "flops_per_token": 1.0, "cache_bytes": 1}
        return Decoded(network=network, decoder=decoder, chosen="", sampling=sampling, nats=nats, **rest)

    rows = [Row(id=f"{number}", kind="caption", picture=number, text="") for number in range(20)]
    shape = {"over": over, "units": 3, "length": 4, "columns": 2, "rows_of_tokens": 2, "batch_size": 1}
    shape |= {"machine": {}, "threads": 1}
    return DecodedGroup(rows=rows, runs={f"{number}": run(*one) for number, one in enumerate(runs)}, **shape)


def test_networks_that_both_lossless_decoders_drew_from_are_simulated_once():
    first = group(("a", "autoregressive", 1.0), ("a", "sjd", 1.0), ("b", "autoregressive", 1.0), ("b", "sjd", 0.0))
    second = group(("a", "autoregressive", 1.0), ("a", "sjd", 1.0), ("c", "sjd", 1.0))
    found = of_groups({"first": first, "second": second}, tests=10)
    assert list(found) == ["a"] and (found["a"].pairs, found["a"].rows, found["a"].tests) == (3, 20, 10)


def test_few_pictures_of_a_caption_are_spread_as_their_law():
    every = np.random.default_rng(0).normal(1, 0.2, (3, 20_000))  # three pictures of each caption
    found = unbiased(every)
    np.testing.assert_allclose(found.mean(axis=0), every.mean(axis=0))
    drawn = found - every.mean(axis=0)
    assert np.sqrt((drawn**2).mean()) == pytest.approx(0.2, rel=0.02)


def test_trainings_have_captions_of_their_own():
    found = of_groups({"first": group(("a", "autoregressive", 1.0), ("a", "sjd", 1.0), over="trainings")}, tests=10)
    assert found["a"].pairs == 3 and found["a"].deviation < 1e-9  # both runs drew the same here
