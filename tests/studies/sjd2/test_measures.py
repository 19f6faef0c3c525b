from types import SimpleNamespace

import numpy as np
import pytest

from lib.errors import EaselError
from lib.evidence import ledger
from lib.evidence.report import Estimate, Interval, Pairs
from lib.evidence.statistics import estimate, ratios
from studies.sjd2.code import claims, measures
from studies.sjd2.code.reports import Case, Cell, Chance, Exactness, Gains, Group, Network, Run


def mean_of(by_seed):
    """Without a width."""
    value = float(np.mean(by_seed))
    return Estimate(value=value, low=value, high=value, by_seed=by_seed)


def run(network="small", s=(1.0,), judged=None, single=0.5, temperature=1.0, entropy=1.0):
    """A run with S and nats a token by unit."""
    return Run(
        network=network,
        decoder="sjd2",
        chosen="",
        options={"window": 96},
        given={},
        steps=0,
        sampling={"guidance": 1.0, "temperature": temperature, "top_k": 0},
        batch_size=1,
        flops_per_token=1.0,
        cache_bytes=0,
        table_bytes=0,
        passes=mean_of([1.0]),
        compression=mean_of(s),
        nats=mean_of([1.0] * len(s)),
        single=mean_of([single] * len(s)),
        entropy=mean_of([entropy] * len(s)),
        judged=mean_of(judged or [1.0] * len(s)),
        accepted={"shares": [], "longer": 0, "none": 0, "single": single, "mean": 1, "kept_drafts": 0},
    )


def group(over="seeds", **runs):
    shape = {"over": over, "units": 1, "length": 16, "columns": 4, "batch_size": 1, "machine": {}, "threads": 1}
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


def test_a_role_is_the_longest_that_a_name_begins_with():
    names = {"sjd2": "sjd2", "sjd2_authors": "sjd2_authors", "sjd2_any_authors": "sjd2_any_authors", "sjd_64": "sjd"}
    names |= {"shared_untuned": "shared", "denoised_plain_002": "denoised", "sjd3": None, "zipar_4": "zipar"}
    assert {name: measures.role_of(name) for name in names} == names


def test_the_first_run_of_a_role_on_a_network_is_taken():
    runs = {"sjd2_large": run("large"), "sjd2": run(), "sjd2_8": run(), "sjd2_authors": run()}
    assert measures.pick(runs, "small", "sjd2") == "sjd2"
    assert measures.pick(runs, "large", "sjd2") == "sjd2_large"
    assert measures.pick(runs, "large", "sjd2_authors") is None


def test_runs_are_compared_within_one_group_more_pictures_first():
    groups = {
        "levels": group(sjd2=run(s=[9.0])),
        "decoders": group(sjd2=run(s=[2.0]), shared=run(s=[1.0])),
        "quality": group(sjd2=run(s=[3.0])),
    }
    (best,) = claims.together(groups, "small", "sjd2")
    assert best.compression.value == 3  # quality
    jacobi, best = claims.together(groups, "small", "shared", "sjd2")
    assert (jacobi.compression.value, best.compression.value) == (1, 2)
    assert claims.together(groups, "small", "sjd") is None
    assert claims.together(groups, "small", "sjd2", only=["large"]) is None
    assert claims.control(groups) == {}  # trainings are compared in group quality alone


def test_what_tuning_alone_does_is_seen_training_by_training():
    runs = {"shared": run(s=[3.0, 4.0]), "sjd2": run(s=[5.0, 5.0])}
    runs |= {"shared_untuned": run("model:small", s=[2.0, 2.0]), "shared_clean": run("clean", s=[2.5, 2.5])}
    found = claims.control({"quality": group(over="trainings", **runs)})
    assert [found[key].baseline for key in ("tuning_alone", "tuning_noise")] == [[2.0, 2.0], [2.5, 2.5]]
    expected = {"unit": "tokens a pass", "seeds_are": claims.SEEDS["trainings"]}
    assert found["shared_small"] == Pairs(baseline=[3.0, 4.0], treatment=[5.0, 5.0], **expected)
    assert found["tuning_alone"].treatment == found["tuning_noise"].treatment == [3.0, 4.0]


def test_order_and_likelihood_are_judged_unit_by_unit():
    runs = {"jacobi": run(s=[1.0, 1.0]), "sjd": run(s=[2.0, 3.0]), "sjd2": run(s=[5.0, 3.5], judged=[1.1, 0.7])}
    groups = {"decoders": group(**runs, autoregressive=run(s=[1.0, 1.0]))}
    assert claims.passes(groups)["order"].values == pytest.approx([1.0, 0.5])  # the smaller of both steps of the order
    both = claims.Judged(groups, "decoders")
    assert both.distance("autoregressive", "sjd2").values == pytest.approx([-0.1, 0.3])  # likelier is no better
    assert both.distance("sjd2", "autoregressive").values == pytest.approx([-0.1, 0.3])
    assert both.distance("sjd2", "gumbel") is None


def test_jacobi_is_judged_where_tokens_are_uncertain():
    runs = {f"autoregressive_{t}": run(temperature=t, entropy=2.0 * t) for t in (1, 2, 3)}
    runs |= {f"jacobi_{t}": run(temperature=t, s=[10.0 - t]) for t in (1, 2, 3)}
    assert claims.uncertain({"entropy": group(**runs)}).values == [8.0]  # at 2: 4 nats, the first above 3
    assert (
        claims.uncertain({"entropy": group(**{name: runs[name] for name in ("autoregressive_1", "jacobi_1")})}) is None
    )


def test_noise_is_measured_between_what_the_network_draws_and_random_codes():
    runs = {
        "autoregressive_plain_002": run("plain_002", judged=[1.0]),
        "denoised_plain_002": run("plain_002", judged=[6.0]),
        "denoised_standard_002": run("standard_002", judged=[2.0]),
    }
    found = claims.denoising({"embeddings": group(over="trainings", **runs)}, random_codes=11.0)
    assert found["pure_noise"].values == [0.5]
    assert (found["standardized"].baseline, found["standardized"].treatment) == ([6.0], [2.0])


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


def network(share, *rises):
    loss = Interval(value=1.0, low=1.0, high=1.0)
    rise = mean_of(rises) if len(rises) > 1 else Interval(value=rises[0], low=0.0, high=1.0)
    tuned = {"updates": 1, "updates_share": share, "untuned": loss, "tuned": loss, "rise": rise, "rise_val": rise}
    about = {"model": "small", "levels": "token", "standardize": True, "table_deviation": 0.0, "spacing": "karras"}
    return Network(**tuned, **about, clean_share=0.5, nats_per_level=[1.0], after_noise=None, deviation_after=1.0)


def test_a_long_fine_tuning_says_nothing_of_a_short_one():
    groups = {"quality": group(over="trainings", sjd=run(s=[2.0, 2.0]), sjd2=run(s=[5.0, 6.0]))}

    def found(network):
        return claims.tuning(SimpleNamespace(groups=groups, networks={"small": network}, draft_tuned={}))

    short = found(network(0.1, 0.01, 0.02))
    assert short["clean_loss"].values == [0.01, 0.02] and short["short_tuning"].treatment == [5.0, 6.0]
    assert set(found(network(0.2, 0.01, 0.02))) == {"clean_loss"}
    assert set(found(network(0.1, 0.01))) == {"short_tuning"}  # one training has no spread


def test_the_ledger_and_the_code_have_the_same_bounds():
    by_id = {one.id: one for one in ledger.load_all().claims}
    for name in ("C10", "D13", "D18", "D81"):
        assert by_id[name].metric.margin == measures.NATS_MARGIN
    assert by_id["D10"].metric.threshold == -measures.ACCURACY_MARGIN
    assert "3 nats" in by_id["C3"].test and claims.UNCERTAIN == 3
    assert "a tenth" in by_id["C11"].test and claims.TUNING_SHARE == 0.1
