"""Stage sjd2/choose: the rule, and what runs make of what it found."""

from types import SimpleNamespace

import numpy as np
import pytest

from lib.errors import EaselError
from lib.weights import checkpoint
from studies.sjd2.code import choose
from studies.sjd2.code.choice import CHOICE, Choice, Chosen, Tried
from studies.sjd2.code.settings import ChoiceParams, DecodingRunParams


def tried(compression, nats, margin=0.05):
    return Tried(options={}, steps=0, compression=compression, nats=nats, good=nats <= margin)


@pytest.mark.parametrize(
    ("settings", "best"),
    [
        ([(3.0, 0.0), (9.0, 0.06), (5.0, 0.05), (5.0, -1.0)], 2),  # the first of the fewest passes that is good enough
        ([(3.0, 0.2), (9.0, 0.1), (5.0, 0.3)], 1),  # none is: the likeliest
        ([(3.0, -0.5)], 0),
    ],
)
def test_the_fewest_passes_at_the_quality_of_autoregressive_decoding(settings, best):
    assert choose.best_of([tried(*one) for one in settings]) == best


def test_every_network_gets_its_own_setting_by_the_judge(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    each = {"network": ("small", "model:small"), "window": (8, 16)}
    sjd = DecodingRunParams(decoder="sjd", each=each)
    settings = ChoiceParams(captions=2, batch_size=2, margin=0.05, decoders={"sjd": sjd})
    # Nats under the network say the opposite of those under the judge.
    judged = {"small": 1.0, "sjd_small_8": 1.2, "sjd_small_16": 1.0, "model:small": 2.0, "sjd_model:small_8": 2.0}
    judged |= {"sjd_model:small_16": 2.3}
    passes = {"sjd_small_8": 2, "sjd_small_16": 4, "sjd_model:small_8": 5, "sjd_model:small_16": 2}

    def run(stage, listed):
        assert stage == "sjd2/choose" and {one.name for one in listed} == set(judged)
        for one in listed:
            counted = np.full(2, passes.get(one.name, 16))
            drawn = {
                "tokens": np.zeros((2, 16), np.uint16),
                "passes": counted,
                "nats": np.array([-judged[one.name]] * 2),
            }
            checkpoint.save(tmp_path / one.name, drawn | {"judged": np.array([judged[one.name]] * 2)}, {})
        return {one.name: tmp_path / one.name for one in listed}

    monkeypatch.setattr(choose.parts, "run", run)
    monkeypatch.setattr(choose, "checked", lambda *_: None)
    monkeypatch.setattr(choose, "rows_of", lambda *_: [])
    monkeypatch.setattr(choose, "part_of", lambda params, name, *_: SimpleNamespace(name=name))
    choose.run(SimpleNamespace(sjd2_choice=settings))
    found = Choice.read(CHOICE).decoders["sjd"]
    assert {network: one.options for network, one in found.items()} == {
        "small": {"window": 16},
        "model:small": {"window": 8},
    }
    assert [one.compression for one in found["small"].tried] == [8.0, 4.0]
    assert [one.good for one in found["small"].tried] == [False, True]


def test_a_run_is_resolved_by_its_network_or_the_first():
    lossless = Chosen(decoder="sjd2", options={"window": 8, "keep": "inf"}, steps=3, tried=[])
    other = Chosen(decoder="sjd2", options={"window": 16, "keep": "inf"}, steps=5, tried=[])
    choice = Choice(captions=1, margin=0.1, decoders={"best": {"small": lossless, "large": other}})
    run = choice.resolve(DecodingRunParams(chosen="best", network="wide", options={"coupling": "gumbel"}))
    assert (run.decoder, run.steps, run.chosen, run.network) == ("sjd2", 3, "", "wide")
    assert run.options == {"window": 8, "keep": float("inf"), "coupling": "gumbel"}
    assert choice.resolve(DecodingRunParams(chosen="best", network="large")).options["window"] == 16
    plain = DecodingRunParams(decoder="sjd", network="small")
    assert choice.resolve(plain) is plain
    with pytest.raises(EaselError, match="has no worst; there are best"):
        choice.resolve(DecodingRunParams(chosen="worst", network="small"))
