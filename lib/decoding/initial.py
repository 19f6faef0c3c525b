"""First drafts of slots that enter a window, of which no prediction has been made yet: SJD's initialisations (Teng et
al. 2024, arXiv:2410.01699), and the distribution each is said to come from.

- "one_hot": a random code; its proposal is certain of it, as in the authors' code. Accepted with the probability p of
  the network, about 1 / V on average.
- "uniform": a random code; its proposal is what it was drawn from. Accepted with the probability Σ min(p, 1 / V).
- "left": the token of the left neighbour (the authors' repeat_horizon).
- "above": the token of the row above.
- "sample_left": a draw from the left neighbour's distribution (the authors' sample_horizon takes its most likely code).

A copied draft's proposal is certain of it. All are lossless: a slot's draft is what its proposal says, whatever the
slots before it turn out to be. For the slots that enter in one pass, the left neighbour is the last slot of the window
before; so it is for "above" in the first row of a picture. The first window of all is random codes.
"""

import math
from typing import Literal, get_args

import torch
from torch import Tensor

from lib.decoding.noise import RowRandom
from lib.decoding.speculative import draw, probabilities
from lib.decoding.window import Window
from lib.errors import EaselError

Initial = Literal["one_hot", "uniform", "left", "above", "sample_left"]


class Drafts:
    """Puts first drafts into the slots after a window, before it moves.

    Args:
        kind: of initialisation.
        codes: number of codes, V.
        columns: of the picture; None for a square one. Only "above" reads it.

    Raises:
        EaselError: an unknown kind, or columns that do not divide the picture.
    """

    def __init__(self, kind: Initial, window: Window, random: RowRandom, codes: int, columns: int | None = None):
        if kind not in get_args(Initial):
            raise EaselError(f"there is no initialisation {kind!r}; choose one of {', '.join(get_args(Initial))}.")
        self.kind, self.window, self.random, self.codes = kind, window, random, codes
        self.columns = round(window.length**0.5) if columns is None else columns
        if kind == "above" and (self.columns < 1 or window.length % self.columns):
            raise EaselError(f"a picture of {window.length} slots does not have {self.columns} columns; set columns.")
        everywhere = torch.arange(window.capacity, device=random.device).expand(random.rows, -1)
        self.first = random.integers(codes, window.capacity)
        window.draft(everywhere, self.first)

    def proposals(self) -> Tensor:
        """Log-probabilities that the first drafts are said to come from, a table [B, capacity, V]."""
        if self.kind in ("one_hot", "left", "above"):
            return self._certain(self.first)
        return torch.full((*self.first.shape, self.codes), -math.log(self.codes), device=self.first.device)

    def enter(self, log_p: Tensor, proposals: Tensor | None = None) -> None:
        """Drafts for the slots after the window, to be called when its new tokens are written and before it advances.

        Slots that do not enter yet get others the next time.

        Args:
            log_p: the pass's log-probabilities [B, W, V].
            proposals: table [B, capacity, V] to note the drafts' proposals in, if the decoder needs them.
        """
        if self.kind in ("one_hot", "uniform"):
            return  # there since the beginning
        window, slots = self.window, self.window.beyond
        end = slots[:, :1]  # [B, 1], first slot after the window
        if self.kind == "sample_left":
            last = log_p[:, -1:].expand(-1, window.width, -1)  # [B, W, V]
            tokens, log_q = draw(probabilities(last), self.random.uniform(window.width)), last
        else:
            source = (end - 1).expand_as(slots)
            if self.kind == "above":
                rows_up = (slots - end) // self.columns + 1  # to the nearest one that is in the window or before it
                above = slots - rows_up * self.columns
                source = torch.where(above < 0, source, above)
            tokens = window.tokens_at(source)
            log_q = self._certain(tokens) if proposals is not None else None
        window.draft(slots, tokens)
        if proposals is not None:
            proposals[window.rows, slots] = log_q

    def _certain(self, tokens: Tensor) -> Tensor:
        """Log-probabilities that leave nothing but the given tokens: [..., n] → [..., n, V]."""
        nothing = torch.full((*tokens.shape, self.codes), -torch.inf, device=tokens.device)
        return nothing.scatter(-1, tokens.unsqueeze(-1), 0.0)
