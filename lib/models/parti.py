"""An autoregressive model that reads captions through a frozen text network and cross-attention, as Parti's decoder
does (Yu et al. 2022, arXiv:2206.10789, section 2.2). PyTorch.

It is Muse's network but for four things: a token sees only those before it, and no cell takes in its neighbours, half
of which are still to come; the inputs are the tokens before, the first of them the id that Muse has for a mask; rotary
positions turn a query by the cell that is predicted and a key by the cell whose token it holds (`GridRotary` of
lib/models/transformer.py). So the two ways of drawing are compared on networks that hardly differ.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from lib.errors import EaselError
from lib.models.cross_attention import Memory
from lib.models.muse import Muse, MuseConfig
from lib.models.text_encoder import causal_mask
from lib.models.transformer import Cache, GridRotary


class Parti(Muse):
    """Image tokens and captions → logits of every token given the caption and the tokens before it.

    Args:
        generator: source of the first weights.
        vectors: the tokenizer's codebook, as of `Muse`.

    Raises:
        EaselError: a configuration with `neighbours`, some of which are still to come.
    """

    def __init__(self, config: MuseConfig, generator: torch.Generator, vectors: Tensor | None = None):
        if config.neighbours:
            raise EaselError("parti: a token must not see the cells around it, some of which are still to come.")
        super().__init__(config, generator, vectors)
        # No captions are among its inputs: places are slots, and one more for what lies past the end.
        self.rotary = GridRotary(config.width // config.heads, 0, config.rows, config.columns)
        self.turns = self.rotary(torch.arange(config.length))
        self.everything = causal_mask(config.length, self.turns.device)

    def features(self, tokens: Tensor, memory: list[Memory]) -> Tensor:
        """What the output layer reads, [B, N, D]; tokens int64 [B, N], codes in reading order, not shifted."""
        return super().features(F.pad(tokens, (1, -1), value=self.config.codes), memory)

    def window(
        self, inputs: Tensor, slots: Tensor, memory: list[Memory], caches: list[Cache], visible: Tensor
    ) -> Tensor:
        """What the output layer reads of a window of slots, [B, W, D]; fills the caches.

        Args:
            inputs: int64 [B, W], the tokens at slots − 1.
            slots: that are predicted, int64 [B, W], `length` for those past the end.
            caches: of every layer, a column a slot and one for those past the end.
            visible: which columns each input sees, bool [B, 1, W, length + 1].
        """
        x = self.image_tokens(inputs) + self.places()[slots.clamp(max=self.config.length - 1)]
        turns = self.rotary(slots)
        for block, layer, cache in zip(self.blocks, memory, caches, strict=True):
            x = block(x, turns, visible, layer, (cache, slots))
        return self.norm(x)
