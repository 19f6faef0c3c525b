"""Decoder-only transformer blocks in PyTorch: RMSNorm before each part, attention with QK-norm and rotary positions on
a grid, SwiGLU.

Products have no bias, and those that end a part start at zero: an untrained block is the identity.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

ROTARY_BASE = 100.0  # the slowest pair turns by about one radian in as many cells; no grid here has more


class GridRotary(nn.Module):
    """Rotary positions (Su et al. 2021, arXiv:2104.09864) in two dimensions: half of a head's pairs turn with the row,
    half with the column.

    A query turns by the cell whose token it predicts, a key by the cell whose token it holds. So the attention between
    them depends on the way from one cell to the other ("one row up"), also across the end of a row, where the
    predicted cell is not to the right of the last token's.

    Places are numbered 0 … text_length − 1 for the caption, then text_length + p for image input p, which holds token
    p − 1 (input 0 holds BOS) and predicts token p. Caption and BOS lie on the diagonal that leads to the grid, caption
    token s at (s − text_length − 1, s − text_length − 1), BOS at (−1, −1): among themselves they have ordinary
    one-dimensional positions (as in Qwen2-VL, arXiv:2409.12191). One more place follows, for inputs past the end.

    Args:
        head_width: a multiple of 4.
    """

    def __init__(self, head_width: int, text_length: int, rows: int, columns: int):
        super().__init__()
        text = torch.arange(text_length) - text_length - 1
        slots = torch.arange(rows * columns)
        grid = torch.stack([slots // columns, slots % columns], dim=1)  # [N, 2]
        text, bos = torch.stack([text, text], dim=1), torch.full((1, 2), -1)
        past = grid[-1:]
        held = torch.cat([text, bos, grid])  # [S + N + 1, 2]
        predicted = torch.cat([text, grid, past])
        pairs = head_width // 4
        speeds = ROTARY_BASE ** -(torch.arange(pairs) / pairs)
        angles = torch.stack([predicted, held])[..., None] * speeds  # [2, places, 2, pairs]
        angles = angles.flatten(2)  # → [2, places, head_width / 2]
        self.register_buffer("turns", torch.stack([angles.cos(), angles.sin()], dim=-1), persistent=False)

    def forward(self, places: Tensor) -> Tensor:
        """Places int [T] or [B, T] → the turns of queries and of keys, [2, B or 1, 1, T, head_width / 2, 2]."""
        return self.turns[:, places if places.ndim == 2 else places[None]].unsqueeze(2)


def rotate(x: Tensor, turns: Tensor) -> Tensor:
    """Vectors [..., T, d], each pair of neighbours turned by its cosine and sine in `turns` [..., T, d / 2, 2]."""
    pairs = torch.view_as_complex(x.float().unflatten(-1, (-1, 2)))  # one complex product is faster than four real ones
    return torch.view_as_real(pairs * torch.view_as_complex(turns.float())).flatten(-2)


class Cache:
    """Keys and values of one layer at absolute columns, written over by every pass.

    Zeros at first: a column that is never written is never attended to, but must be finite.
    """

    def __init__(self, rows: int, heads: int, columns: int, head_width: int, like: Tensor):
        self.keys = like.new_zeros(rows, heads, columns, head_width)
        self.values = torch.zeros_like(self.keys)

    def write(self, keys: Tensor, values: Tensor, columns: Tensor) -> tuple[Tensor, Tensor]:
        """Stores keys and values [R, H, W, d] at `columns` int64 [R, W]; returns all, [R, H, C, d]."""
        places = columns[:, None, :, None].expand_as(keys)  # [R, W] → [R, H, W, d]
        self.keys.scatter_(2, places, keys)
        self.values.scatter_(2, places, values)
        return self.keys, self.values

    def keep(self, rows: Tensor) -> None:
        """Forgets all rows but those numbered `rows`, int64 [r]."""
        self.keys, self.values = self.keys[rows], self.values[rows]


class Attention(nn.Module):
    """Multi-head attention whose queries and keys are normalised (Henry et al. 2020, arXiv:2010.04245) and turned."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.norm = nn.Parameter(torch.ones(2, width // heads))  # of queries and of keys
        self.out = nn.Linear(width, width, bias=False)

    def forward(
        self,
        x: Tensor,
        turns: Tensor,
        mask: Tensor,
        cache: Cache | None = None,
        columns: Tensor | None = None,
    ) -> Tensor:
        """[B, T, D] → [B, T, D].

        Args:
            turns: of `GridRotary`.
            mask: bool [B, 1, T, keys], what each query may see; keys are the T of x, or the cache's columns.
            cache: where keys and values go, at `columns` int64 [B, T], and come from; None for x alone.
        """
        qkv = self.qkv(x).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)  # [B, T, 3D] → [3, B, H, T, d]
        both, values = qkv[:2], qkv[2]
        both = F.rms_norm(both, both.shape[-1:]) * self.norm[:, None, None, None]
        queries, keys = rotate(both, turns).to(values.dtype).unbind(0)
        if cache is not None:
            keys, values = cache.write(keys, values, columns)
        seen = F.scaled_dot_product_attention(queries, keys, values, attn_mask=mask)  # [B, H, T, d]
        return self.out(seen.transpose(1, 2).flatten(2))  # → [B, T, D]


class SwiGLU(nn.Module):
    """(swish(x W) * (x V)) W₂ (Shazeer 2020, arXiv:2002.05202, equation 6)."""

    def __init__(self, width: int, inner: int):
        super().__init__()
        self.both = nn.Linear(width, 2 * inner, bias=False)
        self.out = nn.Linear(inner, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        gate, value = self.both(x).chunk(2, dim=-1)  # [..., 2F] → [..., F] each
        return self.out(F.silu(gate) * value)


class Block(nn.Module):
    """x + attention(norm(x)), then x + SwiGLU(norm(x))."""

    def __init__(self, width: int, heads: int, feed_forward: int):
        super().__init__()
        self.attention_norm = nn.RMSNorm(width)
        self.attention = Attention(width, heads)
        self.feed_forward_norm = nn.RMSNorm(width)
        self.feed_forward = SwiGLU(width, feed_forward)

    def forward(
        self,
        x: Tensor,
        turns: Tensor,
        mask: Tensor,
        cache: Cache | None = None,
        columns: Tensor | None = None,
    ) -> Tensor:
        """As `Attention.forward`."""
        x = x + self.attention(self.attention_norm(x), turns, mask, cache, columns)
        return x + self.feed_forward(self.feed_forward_norm(x))


def initialise(block: Block, generator: torch.Generator) -> None:
    """Draws a block's first weights; what ends a part stays at zero."""
    for product in (block.attention.qkv, block.feed_forward.both):
        nn.init.normal_(product.weight, std=1 / math.sqrt(product.in_features), generator=generator)
    for product in (block.attention.out, block.feed_forward.out):
        nn.init.zeros_(product.weight)
