"""Stage sjd2/measure_exactness: its cases, and what it says of a lossless and of a lossy decoder."""

import inspect
import math
from types import SimpleNamespace

import pytest

from lib import config
from lib.decoding import jacobi, sjd, sjd2
from lib.decoding.decoders import DECODERS
from studies.sjd2.code import measure_exactness
from studies.sjd2.code.measure_exactness import Case, cases, measure
from studies.sjd2.code.reports import Exactness
from studies.sjd2.code.settings import ExactnessParams


def test_every_decoder_has_cases_and_both_kinds_occur():
    found = cases()
    for name in ("autoregressive", "Jacobi", "SJD,", "SJD++", "SJD2,", "ZipAR", "LANTERN", "EAGLE", "Medusa"):
        assert any(case.startswith(name) for case in found)
    assert len(DECODERS) == 9  # a new one needs a case
    assert {case.lossless for case in found.values()} == {True, False}


def test_what_the_long_run_draws_with_lossless_decoders_has_a_case():
    """Every kind of draw, test and first draft of a decoder that is called lossless, whatever its window."""

    def kind(decode, options):
        defaults = inspect.signature(decode).parameters
        names = [name for name in ("noise", "initial", "coupling", "test", "accept", "keep") if name in defaults]
        return decode.__module__, *(options.get(name, defaults[name].default) for name in names)

    tested = {kind(one.decode.func, one.decode.keywords) for one in cases().values() if hasattr(one.decode, "func")}
    modules, params = {"jacobi": jacobi, "sjd": sjd, "sjd2": sjd2}, config.load("sjd2")
    tried = params.sjd2_choice.decoders
    runs = [run for group in params.decoding.groups.values() for run in group.single.values()]
    options = [(run.decoder, dict(run.options)) for run in runs if run.decoder]
    for name, decoder in tried.items():  # what stage choose tries, and runs that change something of it
        own = [run.options for run in runs if run.chosen == name] or [{}]
        found = [one.options for one in decoder.one_by_one(name).values()]
        options += [(decoder.decoder, dict(one) | dict(changed)) for one in found for changed in own]
    drawn = {
        kind(modules[decoder].decode, given)
        for decoder, given in options
        if decoder in modules and (decoder != "sjd2" or (given.get("keep"), given.get("accept")) == (math.inf, None))
    }
    assert drawn and drawn <= tested, drawn - tested


@pytest.mark.parametrize(
    ("name", "lossless"),
    [("SJD, coupling maximal, first drafts uniform", True), ("EAGLE", True), ("SJD2, any slot, 2 steps", False)],
)
def test_the_law_tells_lossless_from_lossy(name, lossless):
    found = measure(cases()[name], pictures=3000, again=8)
    assert found["lossless"] == lossless == (found["p"] > 1e-3)
    assert lossless or found["total_variation"] > 1.2 * found["by_chance"]["most"]
    assert found["by_chance"]["mean"] < found["by_chance"]["most"]
    assert found["same_in_batches_of"] == {"1": 1.0, "4": 1.0} and 1 < found["tokens_a_pass"] < 5


def test_rows_that_depend_on_their_batch_are_found_out():
    def decode(network, random):
        decoded = sjd2.decode(network, random, window=4, keep=math.inf)
        decoded.tokens[:, 0] = network.rows % 3
        return decoded

    found = measure(Case(decode, True), pictures=300, again=8)
    assert found["same_in_batches_of"] == {"1": 0.0, "4": 0.0} and found["p"] < 1e-6


def test_the_report_has_all_cases(tmp_path, monkeypatch):
    few = dict(list(cases().items())[:2])
    monkeypatch.setattr(measure_exactness, "OUT", tmp_path / "e.json")
    monkeypatch.setattr(measure_exactness, "cases", lambda: few)
    measure_exactness.run(SimpleNamespace(exactness=ExactnessParams(pictures=200, again=4)))
    assert set(Exactness.read(tmp_path / "e.json").cases) == set(few)
