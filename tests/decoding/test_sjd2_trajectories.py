"""SJD2 pass by pass against a second decoder, written here from the paper and the options' description.

That decoder takes one picture, one slot at a time, in float64, and has no cache: every pass reads all that lies before
the window's end anew. It is given the same random numbers: noise once, two uniform numbers a slot and pass.
"""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from lib.decoding import sjd2
from lib.decoding.noise import RowRandom
from lib.decoding.noise_levels import levels
from lib.decoding.toy_chain import ToyNetwork

PICTURES = 12
LOSSY = {
    "keep rule": {"keep": 0.5},
    "keep rule, rarely": {"keep": 0.9},
    "keep rule with exact match": {"keep": 0.5, "test": "match"},
    "keep rule with one table": {"keep": 0.5, "coupling": "gumbel"},
    "any slot": {"accept": "any"},
    "any slot, kept": {"accept": "any", "keep": 0.5},
    "any slot, matched": {"accept": "any", "test": "match", "coupling": "gumbel"},
    "denoising alone": {"accept": "denoised"},
    "denoising alone, one table": {"accept": "denoised", "coupling": "gumbel"},
}
LOSSLESS = {"ratio": {}, "match": {"test": "match", "coupling": "gumbel"}}


def inverted(weights, uniform):
    """The first code at which the cumulative share exceeds `uniform`."""
    return int(np.searchsorted(np.cumsum(weights) / np.sum(weights), uniform, side="right"))


class Slot:
    """One place of the picture.

    `p` is what the last pass predicted for it, None before the first; `level` and `vector` are what it is as an input.
    """

    def __init__(self, vector, level, token):
        self.vector, self.level, self.token, self.p = vector, level, token, None


def predictions(toy, slots, end):
    """The distributions of slots 0 … end − 1, float64 [end, V], from all inputs before them."""
    before = slots[: end - 1]
    vectors = np.stack([toy.embed(torch.tensor(toy.codes)).numpy(), *(slot.vector for slot in before)])
    at = torch.tensor([[0] + [slot.level for slot in before]])
    inputs = torch.tensor(vectors, dtype=torch.float32)[None]
    return toy.like(1).predict_embedded(inputs, torch.tensor([0]), at)[0].double().exp().numpy()


def by_hand(toy, seed, window=5, accept="clean", test="ratio", keep=math.inf, coupling="independent"):
    random, length, steps = RowRandom([seed]), toy.length, len(toy.times)
    times, width = [0.0, *toy.times.double().tolist()], min(window, length)
    table = random.gumbel(length, toy.codes)[0].double().numpy() if coupling == "gumbel" else None
    noise = random.normal(length + 2 * width, toy.table.shape[1])[0]
    # (A noisy slot stands for the nearest code.)
    slots = [Slot(vector.double().numpy(), steps, int(toy.nearest(vector))) for vector in noise[:length]]
    done, base, accepted = 0, 0, []
    while done < length:
        end = min(base + width, length)
        p = predictions(toy, slots, end)
        for_test, for_draw = random.uniform(2, width)[0].double().numpy()

        def drawn(place, p=p, base=base, for_draw=for_draw):
            if table is not None:
                return int(np.argmax(np.log(p[place]) + table[place]))
            return inverted(p[place], for_draw[place - base])

        def ratio(place, p=p):
            slot = slots[place]
            return p[place, slot.token] / (1 / toy.codes if slot.p is None else slot.p[slot.token])

        def passes(place, base=base, for_test=for_test, ratio=ratio, drawn=drawn, done=done):
            slot = slots[place]
            if place < done:
                return True
            if accept == "denoised":  # it is clean after this pass at the latest, and near enough to the front
                return slot.level <= 1 and place - done < math.ceil(width / steps)
            if accept == "clean" and slot.level > 0:
                return False
            return slot.token == drawn(place) if test == "match" else for_test[place - base] < ratio(place)

        stop = base
        while stop < end and passes(stop):
            stop += 1
        tokens = {}
        for place in range(base, end):
            slot = slots[place]
            if accept == "denoised":
                tokens[place] = slot.token if slot.level == 0 else drawn(place)
            elif place < stop or (place > stop and slot.level == 0 and ratio(place) >= keep):
                tokens[place] = slot.token
            elif place == stop and test == "ratio":
                # What failed the test is drawn from what is left of p; what was not tested is drawn from p.
                tested = accept == "any" or slot.level == 0
                q = np.full(toy.codes, 1 / toy.codes) if slot.p is None else slot.p
                rest = np.maximum(p[place] - q, 0) if tested else p[place]
                tokens[place] = inverted(rest, for_draw[place - base])
            else:
                tokens[place] = drawn(place)
        # The next pass begins behind what the network has read as it stays.
        as_read = base
        while as_read < stop and (as_read < done or slots[as_read].level == 0):
            as_read += 1
        fixed = stop if accept == "denoised" else min(stop + 1, end)
        for place, token in tokens.items():
            slot, estimate = slots[place], toy.embed(torch.tensor(token)).double().numpy()
            slot.p, slot.token = p[place], token
            if place < fixed or slot.level <= 1:
                slot.vector, slot.level = estimate, 0
            else:
                share = times[slot.level - 1] / times[slot.level]
                slot.vector, slot.level = share * slot.vector + (1 - share) * estimate, slot.level - 1
                slot.token = int(toy.nearest(torch.tensor(slot.vector, dtype=torch.float32)))
        fixed = max(fixed, done)
        accepted.append(fixed - done)
        done, base = fixed, min(as_read + 1, fixed, length - 1)
    return SimpleNamespace(tokens=[slot.token for slot in slots], passes=len(accepted), accepted=accepted)


@pytest.mark.parametrize("options", (LOSSY | LOSSLESS).values(), ids=LOSSY | LOSSLESS)
@pytest.mark.parametrize(("steps", "spacing", "window"), [(1, "linear", 5), (2, "linear", 5), (3, "karras_time", 4)])
def test_every_pass_is_that_of_the_description(options, steps, spacing, window):
    toy = ToyNetwork(length=7, temperature=3.0, times=levels(steps, spacing)[1:])
    found = sjd2.decode(
        toy.like(PICTURES), RowRandom(range(PICTURES)), **({"window": window, "keep": math.inf} | options)
    )
    pictures = set()
    for seed in range(PICTURES):
        wanted = by_hand(toy, seed, **({"window": window} | options))
        assert found.tokens[seed].tolist() == wanted.tokens, seed
        assert int(found.passes[seed]) == wanted.passes, seed
        assert found.accepted[seed, : wanted.passes].tolist() == wanted.accepted, seed
        pictures.add(tuple(wanted.tokens))
    assert len(pictures) > PICTURES / 2
