"""Rows that are complete leave their batch: the network does not compute them, and nothing else changes."""

from dataclasses import replace
from functools import partial

import pytest
import torch

from lib.decoding import decoders, noise_levels
from lib.decoding.lantern import neighbours
from lib.decoding.noise import RowRandom
from lib.decoding.toy_chain import ToyDrafter, ToyHeads, ToyNetwork
from lib.models.autoregressive import Autoregressive
from lib.models.autoregressive_predictor import AutoregressivePredictor, Sampling
from lib.models.drafters import Eagle, EagleDrafter, Medusa, MedusaHeads
from lib.weights.torch_state import generator
from tests.models.tiny_autoregressive import NETWORK, shaken

ROWS, CODES = 7, NETWORK.codes
NEAR = neighbours(torch.randn(CODES, 3, generator=generator(6)), 2)
RUNS = {
    "jacobi": ("jacobi", {"window": 4, "noise": "shared", "initial": "above"}),
    "jacobi, fresh noise": ("jacobi", {"window": 6, "initial": "sample_left"}),
    "sjd": ("sjd", {"window": 4, "initial": "sample_left"}),
    "sjd, gumbel": ("sjd", {"window": 12, "coupling": "gumbel", "trace_slots": 3}),
    "sjd, maximal": ("sjd", {"window": 5, "coupling": "maximal"}),
    "sjdpp": ("sjdpp", {"window": 5}),
    "sjd2": ("sjd2", {"window": 5, "trace_slots": 2}),
    "sjd2, any slot": ("sjd2", {"window": 12, "accept": "any"}),
    "sjd2, match": ("sjd2", {"window": 5, "accept": "any", "test": "match", "coupling": "gumbel"}),
    "lantern": ("lantern", {"near": NEAR, "drafts": 3}),
    "eagle": ("eagle", {"drafts": 3}),
    "medusa": ("medusa", {}),
}
runs = pytest.mark.parametrize("run", RUNS)
CONFIG = replace(NETWORK, rows=3, columns=4, layers=2, levels="token")
TEXT = torch.randint(1, 12, (ROWS, 5), generator=generator(3))
EMPTY = torch.tensor([1, 2, 0, 0, 0])


class Staying(AutoregressivePredictor):
    """Computes complete rows too."""

    def leave(self, start):
        pass


@pytest.fixture(scope="module")
def networks():
    """A model and a drafter of either kind."""
    model = shaken(Autoregressive(CONFIG, generator(0)))
    model.take_statistics()
    medusa = Medusa(CONFIG, 3)
    medusa.start_from(model)
    return model, shaken(Eagle(CONFIG, generator(2))), shaken(medusa)


def decode(networks, run, sampling, rows, kind=AutoregressivePredictor):
    """What became of `rows`, and how many rows the network computed in every pass."""
    (model, eagle, medusa), (decoder, options) = networks, RUNS[run]
    times = noise_levels.levels(3, "linear")[1:] if decoder == "sjd2" else None
    predictor = kind(model, TEXT[rows], EMPTY, sampling, times)
    drafter = {
        "eagle": lambda: EagleDrafter(eagle, model, len(rows), sampling),
        "medusa": lambda: MedusaHeads(medusa, sampling),
    }.get(decoders.DRAFTERS.get(decoder), lambda: None)()
    computed = []
    hook = model.blocks[-1].register_forward_hook(lambda _block, _given, found: computed.append(len(found)))
    decoded = decoders.run(decoder, predictor, RowRandom(rows), options, CONFIG.columns, drafter)
    hook.remove()
    return decoded, computed


@pytest.mark.parametrize("guidance", [1.0, 2.0])
@runs
def test_the_network_computes_the_rows_that_are_not_complete_and_no_others(networks, run, guidance):
    sampling = Sampling(guidance, temperature=0.8)
    decoded, computed = decode(networks, run, sampling, range(ROWS))
    assert len(decoded.passes.unique()) > 1
    open_rows = [int((decoded.passes > number).sum()) for number in range(int(decoded.passes.max()))]
    assert computed == [sampling.copies * count for count in open_rows]

    staying, computed = decode(networks, run, sampling, range(ROWS), Staying)
    assert computed == [sampling.copies * ROWS] * len(open_rows)
    for name in ("tokens", "passes", "accepted"):
        assert torch.equal(getattr(decoded, name), getattr(staying, name))
    assert decoded.trace is staying.trace is None or torch.equal(decoded.trace, staying.trace)
    for row in range(ROWS):
        alone, _ = decode(networks, run, sampling, [row])
        assert torch.equal(decoded.tokens[row], alone.tokens[0])
        assert decoded.passes[row] == alone.passes[0]
        assert torch.equal(decoded.accepted[row, : alone.accepted.shape[1]], alone.accepted[0])


class Strict(ToyNetwork):
    """Gives nonsense for rows that have left, which must not come back; counts the calls in which a row was there."""

    def _places(self, width, start):
        here = start < self.length
        assert (start <= self.length).all() and not (here & self.left).any()
        self.left = ~here
        return super()._places(width, start)

    def _run(self, *given):
        self.counted += (~self.left).int()
        found = super()._run(*given)
        found[self.left] = torch.tensor([0.0, *[-99.0] * (self.codes - 1)])
        return found

    def like(self, rows):
        other = super().like(rows)
        other.left, other.counted = torch.zeros(rows, dtype=torch.bool), torch.zeros(rows, dtype=torch.int64)
        return other


@runs
def test_decoders_say_that_a_row_is_complete_and_do_not_read_what_is_said_of_it_then(run):
    (decoder, options), rows, times = RUNS[run], 300, [0.3, 0.7, 1.0]
    results = []
    for kind in (Strict, ToyNetwork):
        network = kind(length=8, codes=CODES, times=times).like(rows)
        make = {"eagle": ToyDrafter, "medusa": partial(ToyHeads, heads=3)}.get(decoders.DRAFTERS.get(decoder))
        drafter = make and make(network)
        results.append(decoders.run(decoder, network, RowRandom(range(rows)), options, 4, drafter))
        if kind is Strict:
            assert torch.equal(network.counted, results[0].passes)
    assert len(results[0].passes.unique()) > 1
    for name in ("tokens", "passes", "accepted"):
        assert torch.equal(getattr(results[0], name), getattr(results[1], name))
