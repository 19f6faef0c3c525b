"""Jacobi decoding (Song et al. 2021, arXiv:2002.03629; Santilli et al. 2023, arXiv:2305.10427): all slots of a window
are predicted from the drafts of the pass before, and the longest run of drafts that come out unchanged is accepted.

Lossless, greedy or not: the accepted tokens are this pass's draws, each made with the tokens before it as they stay.
With fresh draws in every pass a draft is unchanged by luck alone, so sampling gains next to nothing. With one table of
Gumbel noise for all passes (predictive sampling, Wiggers and Hoogeboom 2020, arXiv:2002.09928) the tokens are those of
autoregressive sampling with the same table, and a draft changes only if its prediction does.
"""

from typing import Literal, get_args

from lib.decoding.initial import Drafts, Initial
from lib.decoding.noise import RowRandom
from lib.decoding.predictor import Decoded, Predictor
from lib.decoding.speculative import leading, sampled
from lib.decoding.window import Window
from lib.errors import EaselError

Noise = Literal["fresh", "shared"]


def decode(
    predictor: Predictor,
    random: RowRandom,
    *,
    window: int = 16,
    noise: Noise = "fresh",
    initial: Initial = "uniform",
    columns: int | None = None,
    trace_slots: int = 0,
) -> Decoded:
    """Exact-match Jacobi decoding; greedy with a predictor of temperature 0, where both kinds of noise are one.

    Args:
        window: slots a pass looks at.
        noise: of the draws: new in every pass, or one table for all.
        initial, columns: first drafts (lib/decoding/initial.py).
        trace_slots: slots of `Decoded.trace`.

    Raises:
        EaselError: an option outside its range.
    """
    if noise not in get_args(Noise):
        raise EaselError(f"there is no noise {noise!r}; choose one of {', '.join(get_args(Noise))}.")
    # First of all, so that it is the table of autoregressive sampling.
    table = random.gumbel(predictor.length, predictor.codes) if noise == "shared" else None
    view = Window(predictor, random, window, trace_slots)
    drafts = Drafts(initial, view, random, predictor.codes, columns)
    while view.unfinished():
        log_p = predictor.predict(view.inputs, view.base)  # [B, W, V]
        if table is None:
            tokens = sampled(log_p, random.uniform(view.width))  # [B, W]
        else:
            tokens = (log_p + view.at(table)).argmax(dim=-1)
        agreed = leading(tokens == view.drafts)
        view.write(tokens)
        drafts.enter(log_p)
        view.advance(agreed + 1)
    return view.decoded()
