"""Transformer blocks that also read a memory, such as the features of a caption: bidirectional or causal attention of
lib/models/transformer.py or multi-axis attention on a grid, then cross-attention, then SwiGLU. PyTorch.

As there, products have no bias, and those that end a part start at zero: an untrained block is the identity.
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lib.models import transformer
from lib.models.codes import Neighbours
from lib.models.transformer import ROTARY_BASE, Attention, Cache, SwiGLU, rotate


def grid(rows: int, columns: int) -> Tensor:
    """Row and column of every cell in reading order, int64 [rows · columns, 2]."""
    return torch.cartesian_prod(torch.arange(rows), torch.arange(columns))


def line(length: int) -> Tensor:
    """Places of a text as cells on the diagonal, int64 [length, 2]: rotary positions in one dimension."""
    return torch.arange(length)[:, None].expand(-1, 2)


def turns_of(cells: Tensor, head_width: int) -> Tensor:
    """Rotary turns of inputs that both ask and answer at `cells`, number [T, 2] → [1, 1, T, head_width / 2, 2].

    Half of a head's pairs turn with the row, half with the column (as in `GridRotary`, where queries and keys of one
    input lie in different cells). Cells may lie between those of the grid.

    Args:
        head_width: a multiple of 4.
    """
    pairs = head_width // 4
    angles = cells[..., None] * ROTARY_BASE ** -(torch.arange(pairs) / pairs)  # [T, 2, pairs]
    angles = angles.flatten(1)  # → [T, head_width / 2]
    return torch.stack([angles.cos(), angles.sin()], dim=-1)[None, None]


class Memory(NamedTuple):
    """What one layer of cross-attention reads; the same for every pass over a batch.

    Attributes:
        keys, values: [B, H, K, d].
        seen: which of them each row may see, bool [B, 1, 1, K].
        turns: of the queries, [1, 1, T, d / 2, 2], if the keys are turned; None if they are not.
    """

    keys: Tensor
    values: Tensor
    seen: Tensor
    turns: Tensor | None

    def of(self, rows: Tensor) -> "Memory":
        """That of the rows numbered `rows`, int64 [r]."""
        return Memory(self.keys[rows], self.values[rows], self.seen[rows], self.turns)


class CrossAttention(nn.Module):
    """Multi-head attention of inputs to a memory, queries and keys normalised (arXiv:2010.04245)."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width, bias=False)
        self.keys_values = nn.Linear(width, 2 * width, bias=False)
        self.norm = nn.Parameter(torch.ones(2, width // heads))  # of queries and of keys
        self.out = nn.Linear(width, width, bias=False)

    def read(
        self, context: Tensor, seen: Tensor, turns: Tensor | None = None, query_turns: Tensor | None = None
    ) -> Memory:
        """Keys and values of a context [B, K, D].

        Args:
            seen: bool [B, 1, 1, K], at least one True a row.
            turns: of the context's places, [1, 1, K, d / 2, 2]; query_turns: of the inputs that will ask. Both or none.
        """
        keys, values = self.keys_values(context).unflatten(2, (2, self.heads, -1)).permute(2, 0, 3, 1, 4)
        keys = F.rms_norm(keys, keys.shape[-1:]) * self.norm[1]  # [B, H, K, d]
        if turns is not None:
            keys = rotate(keys, turns)
        return Memory(keys.to(values.dtype), values, seen, query_turns)

    def forward(self, x: Tensor, memory: Memory) -> Tensor:
        """[B, T, D] → [B, T, D]."""
        queries = self.query(x).unflatten(2, (self.heads, -1)).transpose(1, 2)  # → [B, H, T, d]
        queries = F.rms_norm(queries, queries.shape[-1:]) * self.norm[0]
        if memory.turns is not None:
            queries = rotate(queries, memory.turns)
        queries = queries.to(memory.values.dtype)
        found = F.scaled_dot_product_attention(queries, memory.keys, memory.values, attn_mask=memory.seen)
        return self.out(found.transpose(1, 2).flatten(2))  # [B, H, T, d] → [B, T, D]


class MultiAxisAttention(Attention):
    """Attention on a grid that is cut into blocks of cells: half of the heads attend inside a block (regional), the
    other half from block to block, each cell to those at its own place in every block (dilated).

    After HiT (Zhao et al. 2021, arXiv:2106.07631, section 3.1), which Muse's super-resolution model follows
    (section 2.4). Two such layers connect every cell with every other.

    Args:
        heads: an even number.
        blocks: into which the inputs are cut. Inputs come block by block, in the same order inside each.
    """

    def __init__(self, width: int, heads: int, blocks: int):
        super().__init__(width, heads)
        self.blocks = blocks

    def forward(self, x: Tensor, turns: Tensor, mask: None = None) -> Tensor:
        """[B, T, D] → [B, T, D]; turns as `turns_of` gives them. Nothing is masked."""
        qkv = self.qkv(x).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)  # [B, T, 3D] → [3, B, H, T, d]
        both, values = qkv[:2], qkv[2]
        both = F.rms_norm(both, both.shape[-1:]) * self.norm[:, None, None, None]
        queries, keys = rotate(both, turns).to(values.dtype).unbind(0)
        parts = [part.unflatten(2, (self.blocks, -1)).chunk(2, dim=1) for part in (queries, keys, values)]
        regional, dilated = zip(*parts, strict=True)  # three of [B, H / 2, blocks, cells, d] each
        inside = F.scaled_dot_product_attention(*regional)
        across = F.scaled_dot_product_attention(*(part.transpose(2, 3) for part in dilated)).transpose(2, 3)
        seen = torch.cat([inside, across], dim=1).flatten(2, 3)  # → [B, H, T, d]
        return self.out(seen.transpose(1, 2).flatten(2))  # → [B, T, D]


def block_order(rows: int, columns: int, side: int) -> Tensor:
    """Cells of a grid, block by block, each block of side × side cells in reading order: int64 [rows · columns]."""
    cells = torch.arange(rows * columns).view(rows // side, side, columns // side, side)
    return cells.transpose(1, 2).flatten()


class CrossBlock(nn.Module):
    """x + attention(norm(x)), then x + cross-attention(norm(x)), then x + SwiGLU(norm(x)).

    Args:
        attention: of the inputs to each other, called with (x, turns, mask) and, where there is a cache, with (x,
            turns, mask, cache, columns).
    """

    def __init__(self, width: int, heads: int, feed_forward: int, attention: Attention):
        super().__init__()
        self.attention_norm = nn.RMSNorm(width)
        self.attention = attention
        self.cross_norm = nn.RMSNorm(width)
        self.cross = CrossAttention(width, heads)
        self.feed_forward_norm = nn.RMSNorm(width)
        self.feed_forward = SwiGLU(width, feed_forward)

    def forward(
        self,
        x: Tensor,
        turns: Tensor,
        mask: Tensor | None,
        memory: Memory,
        cached: tuple[Cache, Tensor] | tuple[()] = (),
    ) -> Tensor:
        """[B, T, D] → [B, T, D]; turns and mask as the attention takes them.

        Args:
            cached: a cache, and its columns of the inputs, int64 [B, T]; nothing for inputs that are all there are.
        """
        x = x + self.attention(self.attention_norm(x), turns, mask, *cached)
        x = x + self.cross(self.cross_norm(x), memory)
        return x + self.feed_forward(self.feed_forward_norm(x))


def initialise(block: CrossBlock, generator: torch.Generator) -> None:
    """Draws a block's first weights; what ends a part stays at zero."""
    transformer.initialise(block, generator)
    for product in (block.cross.query, block.cross.keys_values):
        nn.init.normal_(product.weight, std=1 / math.sqrt(product.in_features), generator=generator)
    nn.init.zeros_(block.cross.out.weight)


def block_weights(width: int, heads: int, feed_forward: int, crossed: bool) -> int:
    """Parameters of a `CrossBlock`, or, not crossed, of a `Block`."""
    attention = 4 * width * width + 2 * (width // heads)
    parts = 2 if crossed else 1
    return parts * (attention + width) + 3 * width * feed_forward + width


def blocks_of(model: nn.Module) -> list[nn.Module]:
    """All blocks of a model, those of self-attention alone and of neighbours among them."""
    return [part for part in model.modules() if isinstance(part, transformer.Block | CrossBlock | Neighbours)]
