"""Keys and values at absolute columns, as a cache that transformers' classes write to.

Their own caches append: all rows of a batch are equally long, and going back means cutting all of them alike. Here each
row has its own window, and what a draft left behind is written over by the next pass. So nothing is ever cut, and of
transformers' interface only `update`, which attention calls, and `get_seq_length` are left: neither has changed since
5.0. The name of the argument that takes a cache has, in 5.24, and `cache_argument` finds it.
"""

import inspect

from torch import Tensor, nn
from transformers.cache_utils import Cache

from lib.models.transformer import Cache as Columns


class WindowCache(Cache):
    """One table of keys and values a layer, made when the layer first writes.

    Args:
        count: columns.

    Attributes:
        columns: int64 [R, W], where the next pass writes; to be set before each.
    """

    def __init__(self, count: int):
        super().__init__(layers=[])
        self.count = count
        self.columns: Tensor
        self.tables: dict[int, Columns] = {}

    def update(self, key_states: Tensor, value_states: Tensor, layer_idx: int, *_, **__) -> tuple[Tensor, Tensor]:
        """Stores keys and values [R, H, W, d] of a layer; returns all of it, [R, H, columns, d]."""
        if layer_idx not in self.tables:
            rows, heads, _, head_width = key_states.shape
            self.tables[layer_idx] = Columns(rows, heads, self.count, head_width, key_states)
        return self.tables[layer_idx].write(key_states, value_states, self.columns)

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """0: what positions and masks would be made from it is given with every call."""
        return 0

    def keep(self, rows: Tensor) -> None:
        """Forgets all rows but those numbered `rows`, int64 [r]."""
        for table in self.tables.values():
            table.keep(rows)


def cache_argument(backbone: nn.Module) -> str:
    """What the module calls its cache: `cache` from transformers 5.24 on, `past_key_values` before."""
    return "cache" if "cache" in inspect.signature(backbone.forward).parameters else "past_key_values"
