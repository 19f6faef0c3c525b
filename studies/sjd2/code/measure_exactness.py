"""Stage sjd2/measure_exactness: every decoder on a toy chain whose law is known → build/exactness.json.

What is lossless, and what is not, by how much: total variation distance between the pictures that a decoder draws and
the network's law, with a χ² test. Rows must not depend on the batch they are in either, so the first of them are drawn
again in small batches, and compared token for token.
"""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import get_args

import torch

from lib.data.store import write_json
from lib.decoding import autoregressive, eagle, jacobi, lantern, medusa, sjd, sjd2, sjdpp, zipar
from lib.decoding.initial import Initial
from lib.decoding.noise import RowRandom
from lib.decoding.noise_levels import levels
from lib.decoding.predictor import Decoded
from lib.decoding.toy_chain import ToyDrafter, ToyHeads, ToyNetwork, p_value, total_variation, total_variation_by_chance
from lib.progress import Progress
from studies.sjd2.code.settings import Params

OUT = Path("build/exactness.json")
CODES, LENGTH, WINDOW = 3, 5, 4  # 243 pictures; a window smaller than the picture, so that it moves
SQUARE = 4  # 2 × 2, for what needs a picture with rows
BATCHES = (1, 4)


@dataclass(frozen=True)
class Case:
    """One decoder with its options.

    Attributes:
        lossless: what the argument in the decoder's file says.
        length: slots of the network's pictures.
        steps: of denoising.
    """

    decode: Callable[[ToyNetwork, RowRandom], Decoded]
    lossless: bool
    length: int = LENGTH
    steps: int = 2

    def network(self) -> ToyNetwork:
        """The network that this case is measured on; all of one length are the same."""
        return ToyNetwork(length=self.length, codes=CODES, times=levels(self.steps, "karras")[1:])


def run(params: Params) -> None:
    """Measures all cases."""
    pictures, again, found = params.exactness.pictures, params.exactness.again, cases()
    progress = Progress("sjd2/measure_exactness", len(found))
    report = {}
    for number, (name, case) in enumerate(found.items(), start=1):
        report[name] = measure(case, pictures, again)
        progress.update(number)
    write_json(OUT, {"pictures": pictures, "again": again, "codes": CODES, "cases": report})


def cases() -> dict[str, Case]:
    """All decoders, every option that bears on losslessness."""
    # Slots enter with first drafts of their kind, and stay for more passes than one, so that draws are coupled.
    entered = partial(sjd.decode, window=3)
    denoising = partial(sjd2.decode, window=WINDOW, keep=math.inf)
    found = {
        "autoregressive": Case(autoregressive.decode, True),
        "Jacobi, fresh noise": Case(partial(jacobi.decode, window=WINDOW), True),
        "Jacobi, shared noise": Case(partial(jacobi.decode, window=WINDOW, noise="shared"), True),
        "Jacobi, shared noise, first drafts above": Case(
            partial(jacobi.decode, window=3, noise="shared", initial="above"), True, length=SQUARE
        ),
    }
    for coupling in get_args(sjd.Coupling):
        for initial in get_args(Initial):
            length = SQUARE if initial == "above" else LENGTH
            decode = partial(entered, coupling=coupling, initial=initial)
            found[f"SJD, coupling {coupling}, first drafts {initial}"] = Case(decode, True, length=length)
        decode = partial(sjd.decode, window=WINDOW, initial="uniform", coupling=coupling)
        found[f"SJD, coupling {coupling}, window {WINDOW}"] = Case(decode, True)
    for threshold in (0.1, 0.5, 0.9):
        decode = partial(sjdpp.decode, window=WINDOW, initial="uniform", threshold=threshold)
        found[f"SJD++, threshold {threshold}"] = Case(decode, False)
    for test, coupling in itertools.product(("ratio", "match"), ("independent", "gumbel")):
        decode = partial(denoising, test=test, coupling=coupling)
        for steps in (1, 2):  # after one step slots are clean for several passes, and drawn again in them
            name = f"SJD2, clean slots, no keep rule, {test}, {coupling}, steps {steps}"
            found[name] = Case(decode, True, steps=steps)
    found |= {
        "SJD2, clean slots, keep rule 0.5": Case(partial(denoising, keep=0.5), False, steps=1),
        "SJD2, any slot, 2 steps": Case(partial(denoising, accept="any", keep=0.5), False),
        "SJD2, any slot, 4 steps": Case(partial(denoising, accept="any", keep=0.5), False, steps=4),
        "SJD2, denoising alone": Case(partial(denoising, accept="denoised"), False),
        "EAGLE": Case(with_drafter, True),
        "Medusa": Case(lambda network, random: medusa.decode(network, ToyHeads(network), random), True),
        "LANTERN, budget 0.1": Case(partial(relaxed, budget=0.1), False),
        "LANTERN, budget 0.3": Case(partial(relaxed, budget=0.3), False),
        "ZipAR, two tokens ahead (autoregressive)": Case(partial(zipar.decode, ahead=2), True, length=SQUARE),
        "ZipAR, one token ahead": Case(partial(zipar.decode, ahead=1), False, length=SQUARE),
    }
    return found


def with_drafter(network: ToyNetwork, random: RowRandom) -> Decoded:
    """EAGLE with a drafter that was never trained: a bad proposal, which must not matter."""
    return eagle.decode(network, ToyDrafter(network), random, drafts=WINDOW - 1)


def relaxed(network: ToyNetwork, random: RowRandom, budget: float) -> Decoded:
    """LANTERN, all other codes counting as neighbours."""
    near = lantern.neighbours(network.table[: network.codes], network.codes - 1)
    return lantern.decode(network, ToyDrafter(network), random, near=near, budget=budget, drafts=WINDOW - 1)


def measure(case: Case, pictures: int, again: int) -> dict:
    """Distance from the law of `pictures` in one large batch, whose rows go at different paces; `again` of them are
    drawn in small batches too."""
    network = case.network()
    whole = case.decode(network.like(pictures), RowRandom(range(pictures)))
    chance = total_variation_by_chance(network, pictures)
    return {
        "lossless": case.lossless,
        "pictures": len(network.joint),
        "total_variation": float(total_variation(network, whole.tokens)),
        "by_chance": {"mean": float(chance.mean()), "most": float(chance.max())},
        "p": float(p_value(network, whole.tokens)),
        "tokens_a_pass": network.length * pictures / int(whole.passes.sum()),
        "same_in_batches_of": {f"{size}": same(case, network, whole, again, size) for size in BATCHES},
    }


def same(case: Case, network: ToyNetwork, whole: Decoded, pictures: int, size: int) -> float:
    """Share of the first `pictures` rows that come out alike, tokens and passes, in batches of `size`."""
    equal = []
    for first in range(0, pictures, size):
        rows = slice(first, first + size)
        part = case.decode(network.like(size), RowRandom(range(first, first + size)))
        tokens_alike = (part.tokens == whole.tokens[rows]).all(dim=1)
        equal.append(tokens_alike & (part.passes == whole.passes[rows]))
    return float(torch.cat(equal).float().mean())
