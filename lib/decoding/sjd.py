"""Speculative Jacobi decoding (SJD, Teng et al. 2024, arXiv:2410.01699): Jacobi iterations whose drafts are accepted by
the test of speculative sampling, with each slot's distribution of the pass before as the proposal. Training-free.

Lossless. When a slot is tested, all slots before it are fixed, and its draft came from the stored distribution with
random numbers that have touched no slot before it; it is tested once, since it is fixed then, accepted or corrected.
The argument holds for any way of drawing anew that (a) follows the new distribution and (b) uses nothing of later
slots. So successive draws at a slot may be coupled, which keeps drafts stable (speculative coupled decoding,
arXiv:2510.24211):

- "independent": new random numbers in every pass, SJD as published;
- "gumbel": argmax(log p + G) with one noise table G for all passes;
- "maximal": a draft that passes its own ratio test stays, one that fails is drawn from its residual. As often unchanged
  as two draws from the old and the new distribution can be.
"""

from typing import Literal, get_args

import torch

from lib.decoding.initial import Drafts, Initial
from lib.decoding.noise import RowRandom
from lib.decoding.predictor import Decoded, Predictor
from lib.decoding.speculative import chances, draw, leading, picked, probabilities, redrawn, residual
from lib.decoding.window import Window
from lib.errors import EaselError

Coupling = Literal["independent", "gumbel", "maximal"]


def decode(
    predictor: Predictor,
    random: RowRandom,
    *,
    window: int = 16,
    initial: Initial = "one_hot",
    columns: int | None = None,
    coupling: Coupling = "independent",
    trace_slots: int = 0,
) -> Decoded:
    """SJD; the defaults are those of the authors' code.

    Args:
        window: slots a pass looks at.
        initial, columns: first drafts (lib/decoding/initial.py).
        coupling: of successive draws at a slot.
        trace_slots: slots of `Decoded.trace`.

    Raises:
        EaselError: an option outside its range.
    """
    if coupling not in get_args(Coupling):
        raise EaselError(f"there is no coupling {coupling!r}; choose one of {', '.join(get_args(Coupling))}.")
    table = random.gumbel(predictor.length, predictor.codes) if coupling == "gumbel" else None
    view = Window(predictor, random, window, trace_slots)
    first = Drafts(initial, view, random, predictor.codes, columns)
    proposals = first.proposals()  # [B, slots, V]
    while view.unfinished():
        log_p = predictor.predict(view.inputs, view.base)  # [B, W, V]
        drafts = view.drafts
        for_test, for_draw = random.uniform(2, view.width).unbind(dim=1)  # [B, W] each
        passed = for_test < chances(picked(log_p, drafts), view.picked(proposals, drafts))
        agreed = leading(passed)
        if coupling == "maximal":
            # The correction of the first slot that failed, and the new drafts after it, by one rule.
            rest = residual(probabilities(log_p), probabilities(view.at(proposals)))
            tokens = torch.where(passed, drafts, draw(rest, for_draw))
        else:
            noise = None if table is None else view.at(table)
            drawn = redrawn(log_p, view.at_slot(proposals, agreed), agreed, for_draw, noise=noise)
            tokens = torch.where(view.offsets < agreed.unsqueeze(1), drafts, drawn)
        view.write(tokens)
        view.put(proposals, log_p)
        first.enter(log_p, proposals)
        view.advance(agreed + 1)
    return view.decoded()
