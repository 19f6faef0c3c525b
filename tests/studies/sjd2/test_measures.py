import math
from pathlib import Path

import numpy as np
import pytest

from lib.errors import EaselError
from lib.evidence import ledger
from lib.evidence.report import Estimate, Interval, Pairs
from lib.evidence.statistics import estimate, ratios
from studies.sjd2.code import claims, measures
from studies.sjd2.code.measures import ROLES, Role
from studies.sjd2.code.reports import Case, Cell, Chance, Exactness, Gains, Group, Network, Run, SingleToken

ROOT = Path(__file__).parents[3]


def mean_of(by_seed):
    """Without a width."""
    value = float(np.mean(by_seed))
    return Estimate(value=value, low=value, high=value, by_seed=by_seed)


def run(decoder="sjd2", network="small", steps=0, temperature=1.0, s=(1.0,), nats=None, single=0.5, **options):
    """A run with S and nats a token by seed, half of whose passes fix one token."""
    return Run(
        network=network,
        decoder=decoder,
        options=options,
        given=options,
        steps=steps,
        sampling={"guidance": 2.0, "temperature": temperature, "top_k": 0},
        batch_size=1,
        flops_per_token=1.0,
        cache_bytes=0,
        table_bytes=0,
        passes=mean_of([1.0]),
        compression=mean_of(s),
        nats=mean_of(nats or [1.0] * len(s)),
        accepted={"shares": [], "longer": 0, "none": 0, "single": single, "mean": 1, "kept_drafts": 0},
    )


def published(**options):
    return run(**{"accept": "clean", "test": "ratio", "coupling": "independent", "keep": 0.5, **options})


def group(**runs):
    shape = {"seeds": 1, "length": 16, "columns": 4, "batch_size": 1, "machine": {}, "threads": 1}
    return Group(**shape, rows={}, runs=runs)


def test_step_compression_weighs_rows_by_their_passes():
    found = measures.step_compression([[10, 30], [20, 20], [40, 40]], length=40)
    assert found == pytest.approx([2.0, 2.0, 1.0])  # not the mean of 4 and 4/3


def test_an_estimate_keeps_its_seeds_and_covers_them():
    found = estimate([1.0, 2.0, 3.0, 4.0, 5.0], "x")
    assert found["by_seed"] == [1, 2, 3, 4, 5] and found["value"] == 3
    assert 1.5 < found["low"] < 2.2 and 3.8 < found["high"] < 4.5
    assert estimate([1.0, 2.0, 3.0, 4.0, 5.0], "x") == found


def test_the_papers_ratios_are_those_of_its_tables():
    lumina, emu = measures.PAPER_MODELS["Lumina-mGPT"], measures.PAPER_MODELS["Emu3"]
    assert lumina.latency == pytest.approx(measures.PAPER_ACCELERATORS["sjd2"].latency, abs=0.01)
    assert lumina.flops == pytest.approx(11.7, abs=0.05) and emu.flops == pytest.approx(25.7, abs=0.05)
    # Operations a token times S: far from the windows of 96 and 128, on different sides.
    implied = [measures.tokens_a_pass(model.flops, model.compression) for model in (lumina, emu)]
    assert implied == pytest.approx([47, 144], abs=1)


def test_ratios_and_what_is_left_of_a_gain():
    assert ratios([10.0, 9.0], [5.0, 3.0]) == [2, 3]
    assert measures.left_over(slow=[52, 50], shared=[36, 38], best=[32, 26]) == pytest.approx([0.2, 0.5])
    assert measures.left_over([50], [32], [32]) == [0] and measures.left_over([50], [50], [30]) == [1]
    assert measures.left_over([50], [20], [30]) == pytest.approx([-0.5])  # shared noise saves more
    assert measures.left_over([50, 50], [40, 40], [30, 50]) is None


def test_tables_beside_the_cache():
    sjd = {"window": 64, "coupling": "independent"}
    assert measures.table_bytes("sjd", sjd, codes=512, length=256) == 4 * 512 * (256 + 2 * 64)
    assert measures.table_bytes("sjd2", sjd | {"coupling": "gumbel"}, 512, 256) == 4 * 512 * (256 + 2 * 64 + 256)
    assert measures.table_bytes("jacobi", {"window": 96, "noise": "shared"}, 512, 256) == 4 * 512 * 256
    assert measures.table_bytes("sjd", sjd, 512, 16) == 4 * 512 * (16 + 2 * 16)  # no window is wider than the picture
    assert measures.table_bytes("autoregressive", {}, 512, 256) == 0


def test_accepted_lengths():
    found = measures.accepted_lengths([2, 4, 0, 2, 0, 0])  # passes with 0, 1, 2, 3 tokens: ten tokens in all
    assert found.shares == [0.25, 0.5, 0, 0.25] and found.none == 0.25 and found.single == 0.5
    assert found.mean == 10 / 8 and found.kept_drafts == pytest.approx(4 / 10)
    assert measures.accepted_lengths([0, 7]).kept_drafts == 0
    long = measures.accepted_lengths([0, *[1] * 40])
    assert len(long.shares) == 33 and long.longer == 8 / 40 and long.mean == 20.5


def test_kinds_of_pictures_have_their_own_compression():
    passes = np.array([[10, 20, 40], [10, 10, 20]])
    kinds = np.array([["plain", "striped", "plain"], ["plain", "plain", "striped"]])
    found = measures.by_kind(passes, kinds, length=20)
    assert found == {"plain": pytest.approx([40 / 50, 2.0]), "striped": pytest.approx([1.0, 1.0])}
    kinds[1, 2] = "plain"
    assert set(measures.by_kind(passes, kinds, 20)) == {"plain"}  # one seed has no striped picture


def test_gains_of_neighbours_are_means_over_starts_and_simple_kinds():
    starts = {
        "one_hot": {"plain": [2.0, 2.0], "striped": [4.0, 4.0], "speckled": [2.0, 2.0]},
        "left": {"plain": [3.0, 2.0], "striped": [4.0, 4.0], "speckled": [1.0, 2.0]},
        "above": {"plain": [2.0, 2.0], "striped": [6.0, 4.0], "speckled": [1.0, 2.0]},
    }
    found = measures.neighbour_gains(starts)
    assert found == Gains(simple=[0.25, 0], textured=[-0.5, 0])
    for kind in starts.values():
        del kind["speckled"]
    assert measures.neighbour_gains(starts) is None and measures.neighbour_gains({}) is None


def cell(window=32, steps=8, s=1.0, seconds=None):
    about = {"run": f"{window} {steps}", "nats": 1.0, "exact": None, "seconds": seconds}
    return Cell(window=window, steps=steps, compression=s, by_seed=[s, s], **about)


def cells(factor, power=1.0):
    return [cell(w, steps, factor * (w / steps) ** power) for w in (32, 64, 96) for steps in (8, 16, 25)]


def test_window_per_step_is_found_where_it_rules():
    found = measures.window_per_step(cells(0.9))
    assert (found.rank_correlation, found.slope) == pytest.approx((1, 1))
    assert measures.window_per_step(cells(1, 0.5)).slope == pytest.approx(0.5)
    assert measures.misses(cells(0.9)) == pytest.approx([0.1, 0.1])
    assert measures.misses(cells(1)[:0]) is None
    with pytest.raises(EaselError, match="2 cells make no sweep"):
        measures.window_per_step(cells(1)[:2])


def test_ties_for_the_fastest():
    close, least, slow, untimed = (cell(seconds=seconds) for seconds in (1.02, 1.0, 1.04, None))
    assert measures.fastest([close, untimed, least, slow]) == [close, least]
    assert measures.fastest([untimed]) == []


def test_random_codes_are_never_likelier_than_the_bound():
    random = np.random.default_rng(0)
    p = random.dirichlet(np.full(512, 0.05), 200)  # peaked, as a trained network's
    uniform = -np.log(p[np.arange(200), random.integers(0, 512, 200)] + 1e-300).mean()
    assert measures.pure_noise_nats(512) == pytest.approx(math.log(512)) and uniform > measures.pure_noise_nats(512)


def test_roles_take_what_they_need_and_then_what_they_prefer():
    runs = {
        "any": published(accept="any", steps=5, window=96),
        "far": published(steps=25, window=64),
        "near": published(steps=25, window=96),
        "named": published(steps=5, window=96),
        "again": published(steps=5, window=96),
        "other": published(network="large", steps=5, window=96),
        "hot": run("jacobi", noise="fresh", window=32, initial="uniform"),
        "cold": run("jacobi", noise="fresh", window=32, initial="uniform", temperature=0),
    }
    assert measures.pick(runs, "small", ROLES["sjd2"]) == "named"
    assert measures.pick({key: runs[key] for key in ("any", "far", "near")}, "small", ROLES["sjd2"]) == "near"
    assert measures.pick(runs, "small", ROLES["sjd2"].with_(window=64)) == "far"
    assert measures.pick(runs, "small", ROLES["sjd2_lossless"]) is None
    assert measures.pick(runs, "small", ROLES["sjd2_any"]) == "any"
    assert measures.pick(runs, "small", ROLES["jacobi"]) == "hot"
    assert measures.pick(runs, "small", ROLES["jacobi_greedy"]) == "cold"


SHARED = {"noise": "shared", "window": 96, "initial": "above"}


def test_runs_are_compared_within_one_group_more_pictures_first():
    best = {"steps": 5, "window": 96}
    groups = {
        "levels": group(a=published(s=[9.0], **best)),
        "decoders": group(a=published(s=[2.0], **best), b=run("jacobi", s=[1.0], **SHARED)),
        "quality": group(a=published(s=[3.0], **best)),
    }
    (best,) = claims.together(groups, "small", "sjd2")
    assert best.compression.value == 3  # quality
    jacobi, best = claims.together(groups, "small", "shared", "sjd2")
    assert (jacobi.compression.value, best.compression.value) == (1, 2)
    assert claims.together(groups, "small", "sjd") is None
    assert claims.together(groups, "small", "sjd2", only=["large"]) is None
    assert claims.together(groups, "small", Role("jacobi"), only=["decoders"])
    expected = Pairs(baseline=[1.0], treatment=[2.0], unit="tokens a pass", seeds_are=claims.SEEDS)
    assert claims.control(groups) == {"shared_small": expected}


def test_what_tuning_alone_does_is_seen_on_equal_rows():
    tuned = group(a=run("jacobi", s=[3.0], **SHARED))
    others = (("model:small", 2.0), ("clean", 2.5))
    untuned = group(**{name: run("jacobi", network=name, s=[one], **SHARED) for name, one in others})
    found = claims.control({"quality": tuned, "untuned": untuned})
    assert [found[key].baseline for key in ("tuning_alone", "tuning_noise")] == [[2.0], [2.5]]
    assert [found[key].treatment for key in ("tuning_alone", "tuning_noise")] == [[3.0], [3.0]]
    assert claims.control({"decoders": tuned, "untuned": untuned}) == {}  # other rows


def test_order_and_likelihood_are_judged_seed_by_seed():
    sjd = run("sjd", s=[2.0, 3.0], coupling="independent")
    jacobi, sjd2 = run("jacobi", s=[1.0, 1.0], noise="fresh"), published(s=[5.0, 3.5])
    found = claims.passes({"decoders": group(jacobi=jacobi, sjd=sjd, sjd2=sjd2)})
    assert found["order"].values == pytest.approx([1.0, 0.5])  # the smaller of both steps of the order
    assert found["several_times"].values == [5.0, 3.5] and "jacobi_greedy" not in found and "sjd" not in found
    other = run(nats=[1.1, 0.7])
    assert claims.distance(sjd, other) == pytest.approx([-0.1, 0.3])  # likelier is no better
    assert claims.distance(other, sjd) == pytest.approx([-0.1, 0.3])


def case(p, same=1.0):
    about = {"lossless": True, "pictures": 9, "total_variation": 0.1, "tokens_a_pass": 1.0}
    return Case(p=p, same_in_batches_of={"1": same, "4": 1.0}, by_chance=Chance(mean=0.1, most=0.2), **about)


def test_lossless_means_every_case_and_every_batch():
    cases = {"SJD, a": case(0.02), "SJD, b": case(0.5), "SJD++, a": case(1e-30), "SJD2, x": case(1e-30)}
    found = claims.exactness(Exactness(cases=cases))
    assert found["sjd_lossless"].plain() == {"least_p": 0.02, "lossless": True} and "sjd2_lossless" not in found
    for bad in (case(1e-4), case(0.5, 0.99)):
        assert not claims.exactness(Exactness(cases=cases | {"SJD, c": bad}))["sjd_lossless"].lossless
    assert claims.exactness(Exactness()) == {}


def network(rise, share):
    loss = Interval(value=1.0, low=1.0, high=1.0)
    rise = Interval(value=rise, low=rise - 0.01, high=rise + 0.01)
    tuned = {"updates": 1, "updates_share": share, "untuned": loss, "tuned": loss, "rise": rise, "rise_val": rise}
    about = {"model": "small", "levels": "token", "standardize": True, "table_deviation": 0.0, "spacing": "karras"}
    return Network(**tuned, **about, clean_share=0.5, nats_per_level=[1.0], deviation_after=1.0)


def test_a_long_fine_tuning_says_nothing_of_a_short_one():
    sjd = run("sjd", s=[2.0], coupling="independent")
    better, worse = ({"decoders": group(sjd=sjd, sjd2=published(s=[s]))} for s in (5.0, 1.0))
    found = claims.training(better, {"small": network(0.01, 0.1), "plain": network(9.0, 1.0)})
    assert found["clean_loss"].high == pytest.approx(0.02) and "small" in found["clean_loss"].unit
    assert found["short_tuning"].conditions == {"fewer passes than SJD on small": True}
    assert "short_tuning" not in claims.training(better, {"small": network(0.01, 0.2)})
    found = claims.training(worse, {"small": network(0.01, 0.1), "large": network(9.0, 0.1)})
    assert found["clean_loss"].value == 9 and "large" in found["clean_loss"].unit  # the largest rise
    assert "short_tuning" not in found  # large is not decoded
    found = claims.training(worse, {"small": network(0.01, 0.1)})
    assert found["short_tuning"].conditions == {"fewer passes than SJD on small": False}


@pytest.mark.parametrize(("share", "half"), [(0.39, False), (0.4, True), (0.5, True), (0.6, True), (0.61, False)])
def test_about_half_is_what_the_ledger_says(share, half):
    """C18's text reads "about half" as 40 to 60 %."""
    (claim,) = (one for one in ledger.load_all().claims if one.id == "C18")
    assert "40 to 60 %" in claim.test
    authors = run("sjd", window=16, initial="one_hot", coupling="independent", single=share)
    found = claims.passes({"decoders": group(sjd_16=authors)})
    assert found["single_token"] == SingleToken(share=share, about_half=half)
