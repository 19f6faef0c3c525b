"""Decoders on a tiny Emu3 draw its pictures as often as its law says: all pictures of 2 × 2 tokens are enumerated."""

from functools import cached_property, partial
from itertools import product

import pytest
import torch

from huggingface.models.predictor import HFPredictor
from huggingface.models.prompts import Prompts
from lib.decoding import sjd, sjd2, sjdpp
from lib.decoding.noise_levels import levels
from lib.models.autoregressive_predictor import Sampling
from tests.decoding.toy_chain import assert_follows_law, assert_not_its_law
from tests.huggingface.models.tiny import tiny

CODES = 3
PICTURES = 2500
PROMPTS = [[1, 40, 44, 6], [1, 6]]
GUIDANCE, TEMPERATURE = 1.5, 8.0


class Enumerated:
    """One prompt with guidance; `like` gives predictors of so many pictures of it."""

    codes, length = CODES, 4

    def __init__(self):
        self.family = tiny("emu3", codes=CODES)
        self.layout = self.family.layout(self.family.config, (2, 2))
        self.pictures = torch.tensor(list(product(range(CODES), repeat=self.length)))

    def like(self, rows):
        prompt, other = (Prompts.of([words] * rows) for words in PROMPTS)
        sampling = Sampling(GUIDANCE, TEMPERATURE)
        return HFPredictor(self.family, prompt, self.layout, sampling, other, times=levels(2, "linear")[1:])

    @cached_property
    def joint(self):
        """The probability of every picture, from the class's own forward on whole sequences, float64 [V^N]."""
        conditional, unconditional = map(self.logits, PROMPTS)
        log_p = ((unconditional + GUIDANCE * (conditional - unconditional)) / TEMPERATURE).log_softmax(dim=-1)
        return log_p.gather(2, self.pictures[..., None]).sum((1, 2)).exp().numpy()

    def logits(self, words):
        """Of the codes at all slots of all pictures, float64 [V^N, N, V]."""
        family, layout = self.family, self.layout
        tokens = layout.sequence(family.ids[self.pictures])  # [V^N, places]
        ids = torch.cat([torch.tensor(words).expand(len(tokens), -1), tokens], dim=1)
        with torch.no_grad():
            return family.model(input_ids=ids).logits[:, len(words) - 2 + layout.slots][..., family.ids].double()


@pytest.fixture(scope="module")
def network():
    network = Enumerated()
    assert abs(network.joint.sum() - 1) < 1e-5 and network.joint.max() < 0.2
    return network


@pytest.mark.parametrize(
    "decode",
    [
        partial(sjd.decode, window=3, initial="uniform"),
        partial(sjd.decode, window=3, coupling="gumbel"),
        partial(sjd.decode, window=4, initial="above", coupling="maximal", columns=2),
        partial(sjd2.decode, window=3, keep=torch.inf),
    ],
)
def test_lossless_decoders_follow_the_law(network, decode):
    assert_follows_law(network, decode, PICTURES)


@pytest.mark.parametrize(("name", "broken"), [("chances", lambda log_p, log_q: torch.full_like(log_p, torch.inf))])
def test_a_broken_acceptance_is_found_out(network, monkeypatch, name, broken):
    monkeypatch.setattr(sjd, name, broken)
    assert_not_its_law(network, partial(sjd.decode, window=3, initial="uniform"), PICTURES)


def test_the_reuse_of_drafts_is_found_out(network):
    assert_not_its_law(network, partial(sjdpp.decode, window=4, initial="uniform", threshold=0.1), 3 * PICTURES)
