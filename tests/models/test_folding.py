"""Networks whose tables of codes were computed once."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from lib.decoding import autoregressive as decoder
from lib.decoding.noise import RowRandom
from lib.models.folding import folded
from lib.models.masked_predictor import Guidance, MusePredictor
from lib.models.muse import Muse, MuseSuperResolution
from lib.models.parti import Parti
from lib.models.parti_predictor import PartiPredictor
from lib.weights.torch_state import generator
from tests.models.tiny_autoregressive import shaken
from tests.models.tiny_muse import BASE, BEFORE, CODEBOOK, LARGE, SMALL, text, tokens

NETWORKS = {"masked": (Muse, BASE), "autoregressive": (Parti, BEFORE), "large": (MuseSuperResolution, LARGE)}


def network(name):
    kind, config = NETWORKS[name]
    return shaken(kind(config, generator(0), CODEBOOK)).eval().requires_grad_(False)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_folded_network_says_what_it_said(name):
    given = (SMALL,) if name == "large" else ()
    words = text()
    words = type(words)(words.vectors.double(), words.present)
    seen = tokens(NETWORKS[name][1]) if name != "autoregressive" else tokens(BEFORE) % BEFORE.codes
    before = network(name).double()(seen, words, *given)
    after = folded(network(name).double())(seen, words, *given)
    torch.testing.assert_close(after, before, rtol=1e-12, atol=1e-12)
    assert before.std() > 0.1  # there is something to be equal


def test_nothing_of_codes_is_left_but_tables():
    found = folded(network("large"))
    assert type(found.image_tokens) is torch.nn.Embedding and type(found.head) is torch.nn.Linear
    assert not any(weights.requires_grad for weights in found.parameters())


def operations(model):
    """Of one pass over one token of three pictures."""
    predictor = PartiPredictor(model, text())
    with FlopCounterMode(display=False) as counter:
        predictor.predict(torch.zeros(3, 1, dtype=torch.int64), torch.zeros(3, dtype=torch.int64))
    return counter.get_total_flops()


def test_a_pass_has_the_fewer_operations_by_just_the_products_of_the_tables():
    codes, depth, width = BEFORE.codes, BEFORE.code_width, BEFORE.width
    saved = operations(network("autoregressive")) - operations(folded(network("autoregressive")))
    assert saved == 2 * (2 * codes * depth * width)  # embedding and head


def test_decoders_draw_the_same_with_it():
    def drawn(model):
        return decoder.decode(PartiPredictor(model, text()), RowRandom([3, 4, 5])).tokens

    assert torch.equal(drawn(network("autoregressive")), drawn(folded(network("autoregressive"))))

    def said(model):
        return MusePredictor(model, text(), Guidance(2.0)).predict(tokens(BASE), torch.ones(3))

    torch.testing.assert_close(said(folded(network("masked"))), said(network("masked")))
