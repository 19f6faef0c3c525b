"""SJD++ (arXiv:2512.07503): speculative Jacobi decoding that keeps confident drafts after a rejection instead of
drawing them anew. Training-free.

The rule, as a re-implementation of the paper has it: a draft behind the first rejection stays if p_new / p_old >
threshold, else it is drawn from p_new (the paper's equation 6, against equation 5); the stored distribution becomes
p_new either way.

Not lossless: a kept draft did not come from p_new, for which it will be tested. It came from p_old, cut where the ratio
is small. (Keeping it with the probability min(1, p_new / p_old) would be: lib/decoding/sjd.py, coupling "maximal".)
With an infinite threshold it is SJD.
"""

import torch

from lib.decoding.initial import Drafts, Initial
from lib.decoding.noise import RowRandom
from lib.decoding.predictor import Decoded, Predictor
from lib.decoding.speculative import chances, leading, picked, redrawn
from lib.decoding.window import Window
from lib.errors import EaselError


def decode(
    predictor: Predictor,
    random: RowRandom,
    *,
    window: int = 16,
    threshold: float = 0.1,
    initial: Initial = "one_hot",
    columns: int | None = None,
    trace_slots: int = 0,
) -> Decoded:
    """SJD with reuse of drafts.

    Args:
        window: slots a pass looks at.
        threshold: of p_new / p_old, above which a draft is kept.
        initial, columns: first drafts (lib/decoding/initial.py).
        trace_slots: slots of `Decoded.trace`.

    Raises:
        EaselError: an option outside its range.
    """
    if not threshold >= 0:
        raise EaselError(f"the threshold of a ratio of probabilities is at least 0, not {threshold}.")
    view = Window(predictor, random, window, trace_slots)
    first = Drafts(initial, view, random, predictor.codes, columns)
    proposals = first.proposals()  # [B, slots, V]
    while view.unfinished():
        log_p = predictor.predict(view.inputs, view.base)  # [B, W, V]
        drafts = view.drafts
        for_test, for_draw = random.uniform(2, view.width).unbind(dim=1)  # [B, W] each
        chance = chances(picked(log_p, drafts), view.picked(proposals, drafts))
        agreed = leading(for_test < chance)
        first_failed = agreed.unsqueeze(1)
        stays = (view.offsets < first_failed) | ((view.offsets > first_failed) & (chance > threshold))
        drawn = redrawn(log_p, view.at_slot(proposals, agreed), agreed, for_draw)
        view.write(torch.where(stays, drafts, drawn))
        view.put(proposals, log_p)
        first.enter(log_p, proposals)
        view.advance(agreed + 1)
    return view.decoded()
