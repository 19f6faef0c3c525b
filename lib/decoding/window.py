"""The bookkeeping that all window decoders share: which slots are fixed, which the next pass looks at, what it cost.

Rows have their own pace: each has its own window. That of a complete row is past the end of the picture, which tells
the predictor that the row has left. Shapes never change here, and nothing here waits for the device but `unfinished`,
once a pass.
"""

import torch
from torch import Tensor

from lib.decoding.noise import RowRandom
from lib.decoding.predictor import Decoded, Predictor
from lib.errors import EaselError


class Window:
    """`width` slots of every row, of which the first is (as a rule) the first that is not fixed.

    Whatever belongs to slots is kept for the whole picture, in tables [B, capacity, …] with room for windows past its
    end, read with `at` and written with `put`: nothing is shifted when a window moves.

    Args:
        width: slots a pass looks at; no more than the picture has are used.
        trace_slots: how many slots at the front of the window `Decoded.trace` shows.

    Attributes:
        done: int64 [B], slots that are fixed: 0 … done − 1.
        base: int64 [B], first slot of the next pass; may lie before `done` (see `advance`). `length` in a complete row.
        slots: int64 [B, width], the slots of the next pass.
        fixed: bool [B, width], which of them are fixed.

    Raises:
        EaselError: an empty window, or random numbers for another number of rows.
    """

    def __init__(self, predictor: Predictor, random: RowRandom, width: int, trace_slots: int = 0):
        if width < 1:
            raise EaselError(f"a window needs at least one slot, not {width}.")
        if random.rows != predictor.rows:
            raise EaselError(f"{predictor.rows} pictures need a seed each, got {random.rows} seeds.")
        self.length, self.width, self.trace_slots = predictor.length, min(width, predictor.length), trace_slots
        # Two windows of room: one for the last window, one for the slots that come after it.
        self.capacity = self.length + 2 * self.width
        device = random.device
        self.rows = torch.arange(predictor.rows, device=device).unsqueeze(1)  # [B, 1]
        self.offsets = torch.arange(self.width, device=device)
        self._tokens = torch.zeros(predictor.rows, 1 + self.capacity, dtype=torch.int64, device=device)
        self._tokens[:, 0] = predictor.codes  # BOS, so that slot s is column s + 1
        self.done = torch.zeros(predictor.rows, dtype=torch.int64, device=device)
        self._history = [self.done]  # after every pass
        self._trace: list[Tensor] = []
        self._move_to(self.done)

    def _move_to(self, base: Tensor) -> None:
        self.base = torch.where(self.done < self.length, base, self.length)
        self.slots = self.base.unsqueeze(1) + self.offsets  # [B, W]
        self._columns = self.slots + 1  # of the tokens
        self.fixed = self.slots < self.done.unsqueeze(1)

    @property
    def inputs(self) -> Tensor:
        """What the next pass is given: the tokens at slots base − 1 … base + W − 2, int64 [B, W]."""
        return self._tokens.gather(1, self.slots)

    @property
    def drafts(self) -> Tensor:
        """The tokens at the slots of the window, int64 [B, W]."""
        return self._tokens.gather(1, self._columns)

    @property
    def beyond(self) -> Tensor:
        """The W slots after the window, int64 [B, W]: those that `advance` lets in next are among them."""
        return self.slots + self.width

    def tokens_at(self, slots: Tensor) -> Tensor:
        """Tokens or drafts at any slots ≥ −1, int64 [B, n] → int64 [B, n]."""
        return self._tokens.gather(1, slots + 1)

    def at(self, table: Tensor) -> Tensor:
        """A table [B, slots, …] at the window's slots, [B, W, …]; past its end, what its last slot has."""
        return table[self.rows, self.slots.clamp(max=table.shape[1] - 1)]

    def picked(self, table: Tensor, tokens: Tensor) -> Tensor:
        """What a table [B, capacity, V] has for one token of each slot of the window, int64 [B, W] → [B, W]."""
        return table[self.rows, self.slots, tokens]

    def at_slot(self, table: Tensor, offset: Tensor) -> Tensor:
        """A table [B, capacity, V] at one slot of each row, int64 [B] slots after the window's first → [B, V]."""
        return table[self.rows.squeeze(1), self.base + offset]

    def put(self, table: Tensor, values: Tensor) -> None:
        """Writes values [B, W, …] into a table [B, capacity, …] at the window's slots."""
        table[self.rows, self.slots] = values

    def write(self, tokens: Tensor) -> None:
        """Takes int64 [B, W] as the tokens of the window's slots, except where these are fixed."""
        self._tokens.scatter_(1, self._columns, torch.where(self.fixed, self.drafts, tokens))

    def draft(self, slots: Tensor, tokens: Tensor) -> None:
        """Takes int64 [B, n] as the drafts of slots that are not fixed."""
        self._tokens.scatter_(1, slots + 1, tokens)

    def advance(self, count: Tensor, verified: Tensor | None = None) -> None:
        """Ends a pass: the first `count` slots of the window are fixed now, int64 [B].

        Args:
            verified: how many slots of the window the network has read exactly as they now are. The next window starts
                one after them, so that the others are read again. If not given, count − 1: the network has not read
                what the last fixed slot now holds.
        """
        count = count.clamp(max=self.width)
        self.done = torch.maximum(self.done, (self.base + count).clamp(max=self.length))
        self._history.append(self.done)
        self._move_to(self.done if verified is None else torch.minimum(self.base + verified + 1, self.done))
        if self.trace_slots:
            front = self.done.unsqueeze(1) + torch.arange(self.trace_slots, device=self.done.device)
            shown = self.tokens_at(front.clamp(max=self.length - 1))
            self._trace.append(torch.where(front < self.length, shown, -1))

    def unfinished(self) -> bool:
        """Whether any row has a slot that is not fixed; the one place where the device is waited for."""
        return int(self.done.min()) < self.length

    def decoded(self) -> Decoded:
        """The pictures and their cost, once `unfinished` is false."""
        history = torch.stack(self._history, dim=1)  # [B, 1 + passes]
        return Decoded(
            tokens=self._tokens[:, 1 : 1 + self.length].clone(),
            passes=(history[:, :-1] < self.length).sum(dim=1),
            accepted=history.diff(dim=1),
            trace=torch.stack(self._trace) if self._trace else None,
        )
