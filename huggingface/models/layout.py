"""Where a picture's tokens stand in the sequence of an autoregressive model, and which of them nobody draws.

A picture is one or more grids of image tokens, each in reading order (GLM-Image draws a small preview first). Some
models end every line of a grid with a token of its own (Emu3, Lumina-mGPT), and the picture with a few more. Those are
forced: no decoder sees them, and they are counted apart.

A *slot* is an image token, 0 … length − 1 in reading order: what decoders see. A *place* counts all tokens of the
sequence, from the last one of the prompt, which is at place 0 and is the decoders' BOS.
"""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from lib.errors import EaselError

DRAWN = -1  # in the table of forced tokens: none


@dataclass(frozen=True)
class Layout:
    """The tokens of a picture, in the order of the sequence.

    Attributes:
        grids: rows and columns of every grid.
        end_of_line: the token after every line of a grid; None if there is none.
        ending: the tokens after the last grid.

    Raises:
        EaselError: no grid, or an empty one.
    """

    grids: tuple[tuple[int, int], ...]
    end_of_line: int | None = None
    ending: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not self.grids or min(min(grid) for grid in self.grids) < 1:
            shown = ", ".join(f"{rows} × {columns}" for rows, columns in self.grids) or "none"
            raise EaselError(f"a picture has grids of at least one row and one column, not {shown}.")

    @property
    def length(self) -> int:
        """Slots of a picture."""
        return sum(rows * columns for rows, columns in self.grids)

    @property
    def columns(self) -> int:
        """Of the last grid, which is the picture itself."""
        return self.grids[-1][1]

    @property
    def forced_count(self) -> int:
        """Tokens of a picture that nobody draws."""
        return len(self.forced) - self.length

    @cached_property
    def forced(self) -> Tensor:
        """The forced tokens of places 1, 2, …, int64 [places]; `DRAWN` where a slot is."""
        line_end = [] if self.end_of_line is None else [self.end_of_line]
        lines = [([DRAWN] * columns + line_end) * rows for rows, columns in self.grids]
        return torch.tensor([*(token for line in lines for token in line), *self.ending])

    @cached_property
    def slots(self) -> Tensor:
        """The places of all slots, int64 [length]."""
        return (self.forced == DRAWN).nonzero().squeeze(1) + 1

    @cached_property
    def line_ends(self) -> Tensor:
        """The places of the end-of-line tokens that stand between slots, int64 [L]."""
        forced = (self.forced != DRAWN).nonzero().squeeze(1) + 1
        return forced[forced < self.slots[-1]]

    @cached_property
    def line_starts(self) -> Tensor:
        """The slots that follow those, int64 [L]."""
        return torch.searchsorted(self.slots, self.line_ends)

    def cells(self) -> Tensor:
        """Grid, row and column of every slot, int64 [length, 3]."""
        grids = [
            torch.cartesian_prod(torch.tensor([number]), torch.arange(rows), torch.arange(columns))
            for number, (rows, columns) in enumerate(self.grids)
        ]
        return torch.cat(grids)

    def sequence(self, tokens: Tensor) -> Tensor:
        """The model's own tokens at all slots, int64 [B, length] → those at places 1, 2, …, forced ones among them."""
        whole = self.forced.to(tokens.device).repeat(len(tokens), 1)  # [B, places]
        whole[:, self.slots - 1] = tokens
        return whole

    def allowed(self, place: int, image_tokens: list[int]) -> list[int]:
        """The tokens that may stand at a place ≥ 1: what a `prefix_allowed_tokens_fn` of transformers answers."""
        forced = int(self.forced[place - 1])
        return image_tokens if forced == DRAWN else [forced]
