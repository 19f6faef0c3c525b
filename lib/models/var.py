"""VAR (Tian et al. 2024, arXiv:2404.02905): a transformer that predicts the token maps of a picture from the coarsest
to the finest, all tokens of a scale at once, each given the coarser scales and the caption. PyTorch.

A scale's inputs are not its tokens, which are what is asked for, but the sum of all coarser scales, averaged over the
cells of the scale (`inputs` of lib/models/multi_scale_quantizer.py), linearly projected; the first scale's input is the
caption. While it is trained, a token sees the inputs of its own scale and of the coarser ones; while it draws, keys and
values of the coarser ones are kept (section 3.2, figure 4).

The caption acts in two ways: by cross-attention to its features, as in lib/models/muse.py, and by their mean, which
takes the place of VAR's class: it is the first input, and says how each block scales and shifts what its parts read and
how much of what they find is added (adaptive normalisation, section 4).

What VAR has otherwise, and what is done here:

- Blocks are those of all other transformers here: RMSNorm, rotary positions by row and column, SwiGLU, no bias. Queries
  and keys are normalised in both. A token lies where the middle of the cells is that it stands for.
- A learned position is the mean of those of the finest scale's cells that it covers, and a vector for each scale is
  added; VAR has one of its own for every token of every scale.
- There is no adaptive normalisation before the output layer, which knows what codes look like (lib/models/codes.py).
- An untrained network gives every code the same probability, and its blocks are the identity.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lib.errors import EaselError
from lib.models.caption_context import CaptionContext, Refiner, refiner_weights
from lib.models.codes import CodeHead, codebook
from lib.models.cross_attention import CrossBlock, Memory, block_weights, grid, initialise, turns_of
from lib.models.multi_scale_quantizer import check_scales, shrunk
from lib.models.muse import Places
from lib.models.text_encoder import TextFeatures
from lib.models.transformer import Attention, Cache
from lib.weights import checkpoint
from lib.weights.torch_state import load_module, module_arrays

CHANGES = 6  # of a block by the caption's mean: scale, shift and share of what is added, for two parts


@dataclass(frozen=True)
class VarConfig:
    """Sizes; saved with the weights.

    Attributes:
        codes: image tokens are 0 … codes − 1.
        scales: cells of a token map in each direction, rising from 1.
        code_width: dimensions of a code.
        text_width: of the caption's features.
        text_layers: blocks that refine them.
    """

    codes: int
    scales: tuple[int, ...]
    code_width: int
    text_width: int
    text_layers: int
    width: int
    layers: int
    heads: int
    feed_forward: int

    def __post_init__(self):
        object.__setattr__(self, "scales", check_scales(self.scales))  # a list, from a file
        if self.width % (4 * self.heads):
            raise EaselError(
                f"var: a width of {self.width} cannot be split into {self.heads} heads whose width is a multiple of 4, "
                "which rotary positions in two dimensions need."
            )

    @property
    def side(self) -> int:
        """Cells of the finest scale in each direction."""
        return self.scales[-1]

    @property
    def sizes(self) -> list[int]:
        """Tokens of each scale."""
        return [side**2 for side in self.scales]

    @property
    def length(self) -> int:
        """Image tokens of a picture, of all scales."""
        return sum(self.sizes)

    @property
    def parameters(self) -> int:
        """Weights of the network."""
        tables = self.code_width + len(self.scales) + 2 * self.side + 1  # inputs, scales, positions, dropped caption
        ends = tables + self.text_width + 1 + self.code_width  # and projection, last norm, output layer
        head = self.codes * (self.width + 1)
        block = block_weights(self.width, self.heads, self.feed_forward, crossed=True) + CHANGES * self.width**2
        return ends * self.width + head + self.layers * block + refiner_weights(self.text_width, self.text_layers)


class Reading(NamedTuple):
    """What one layer knows of the captions; the same for every scale.

    Attributes:
        memory: of their words.
        changes: by their means, [6, B, 1, D].
    """

    memory: Memory
    changes: Tensor


class AdaptiveBlock(CrossBlock):
    """A `CrossBlock` whose attention and feed-forward part are changed by the caption: x + (1 + γ) · part((1 + α) ·
    norm(x) + β). Untrained, α, β and γ are 0."""

    def __init__(self, width: int, heads: int, feed_forward: int):
        super().__init__(width, heads, feed_forward, Attention(width, heads))
        self.changes = nn.Linear(width, CHANGES * width, bias=False)
        nn.init.zeros_(self.changes.weight)

    def read(self, context: Tensor, seen: Tensor, mean: Tensor) -> Reading:
        """What it knows of captions: their words [B, K, D], which of them are seen, bool [B, 1, 1, K], their means
        [B, D]."""
        changes = self.changes(F.silu(mean)).unflatten(1, (CHANGES, 1, -1)).transpose(0, 1)  # [B, 6D] → [6, B, 1, D]
        return Reading(self.cross.read(context, seen), changes)

    def forward(
        self, x: Tensor, turns: Tensor, mask: Tensor, reading: Reading, cached: tuple[Cache, Tensor] | tuple[()] = ()
    ) -> Tensor:
        """As `CrossBlock.forward`."""
        scale, shift, more, inner_scale, inner_shift, inner_more = reading.changes
        seen = self.attention((1 + scale) * self.attention_norm(x) + shift, turns, mask, *cached)
        x = x + (1 + more) * seen
        x = x + self.cross(self.cross_norm(x), reading.memory)
        return x + (1 + inner_more) * self.feed_forward((1 + inner_scale) * self.feed_forward_norm(x) + inner_shift)


class Var(nn.Module):
    """Sums of coarser scales and captions → logits of the tokens of every scale.

    Args:
        generator: source of the first weights.
        vectors: the tokenizer's codebook, float [codes, code_width]; None for a network whose weights are to be loaded.
    """

    def __init__(self, config: VarConfig, generator: torch.Generator, vectors: Tensor | None = None):
        super().__init__()
        self.config = config
        width, side = config.width, config.side
        self.sums = nn.Linear(config.code_width, width, bias=False)
        self.levels = nn.Parameter(torch.empty(len(config.scales), width))
        self.places = Places(side, side, width, generator)
        self.refiner = Refiner(config.text_width, config.text_layers, generator)
        self.captions = CaptionContext(config.text_width, width, generator)
        self.blocks = nn.ModuleList(
            AdaptiveBlock(width, config.heads, config.feed_forward) for _ in range(config.layers)
        )
        self.norm = nn.RMSNorm(width)
        self.head = CodeHead(codebook(vectors, config.codes, config.code_width), width)
        level = torch.arange(len(config.scales)).repeat_interleave(torch.tensor(config.sizes))  # [N]
        cover = covering(config.scales)  # [N, side²]
        for name, value in {
            "level": level,
            "cover": cover,
            "turns": turns_of(cover @ grid(side, side).float(), width // config.heads),
            "visible": level[:, None] >= level,  # [N, N]
        }.items():
            self.register_buffer(name, value, persistent=False)
        nn.init.normal_(self.sums.weight, generator=generator)  # sums are about as long as the encoder's unit vectors
        nn.init.normal_(self.levels, std=0.5, generator=generator)
        for block in self.blocks:
            initialise(block, generator)

    def forward(self, inputs: Tensor, text: TextFeatures, dropped: Tensor | None = None) -> Tensor:
        """Logits [B, N, codes] of the tokens of all scales, each given the coarser scales.

        Args:
            inputs: of all scales but the first, float [B, N − 1, d].
            dropped: bool [B], the rows that see no caption; None if all see theirs.
        """
        return self.head(self.features(inputs, 0, *self.read(text, dropped)))

    def read(self, text: TextFeatures, dropped: Tensor | None = None) -> tuple[Tensor, list[Reading]]:
        """The captions' means, [B, D], which are the first scale's input, and what the layers know of the captions:
        computed once for all scales of a batch.

        Args:
            dropped: bool [B], the rows that see no caption; None if all see theirs.

        Raises:
            EaselError: features of another width, or a caption that has no token and is not dropped.
        """
        context, seen = self.captions(self.refiner(text), dropped)  # [B, K, D], [B, 1, 1, K]
        weights = seen[:, 0].to(context.dtype)  # [B, 1, K]
        mean = (weights @ context / weights.sum(dim=2, keepdim=True)).squeeze(1)  # [B, D]
        return mean, [block.read(context, seen, mean) for block in self.blocks]

    def features(
        self,
        inputs: Tensor,
        start: int,
        mean: Tensor,
        readings: Sequence[Reading],
        caches: Sequence[Cache] | None = None,
    ) -> Tensor:
        """What the output layer reads of whole scales, [B, n, D].

        Args:
            inputs: of the scales from `start` on, float [B, n, d]; the first scale's is not among them.
            start: tokens of all coarser scales; with 0 there is one more token than there are inputs.
            mean, readings: of the same rows.
            caches: of every layer, a column a token: what is seen of the coarser scales, and filled with these; None if
                all scales are among the inputs.

        Raises:
            EaselError: inputs of more tokens than there are.
        """
        x = self.sums(inputs)
        if start == 0:
            x = torch.cat([mean.unsqueeze(1).to(x.dtype), x], dim=1)
        end = start + x.shape[1]
        if end > self.config.length:
            raise EaselError(f"inputs of the tokens {start} to {end - 1}; a picture has {self.config.length}.")
        x = x + (self.cover[start:end] @ self.places() + self.levels[self.level[start:end]])
        turns, columns = self.turns[:, :, start:end], torch.arange(start, end, device=x.device).expand(len(x), -1)
        mask = self.visible[start:end] if caches else self.visible[start:end, start:end]
        for number, (block, reading) in enumerate(zip(self.blocks, readings, strict=True)):
            x = block(x, turns, mask, reading, (caches[number], columns) if caches else ())
        return self.norm(x)


def covering(scales: Sequence[int]) -> Tensor:
    """The share of each cell of the finest scale in the cells of all scales, as averages have it: [N, side²]."""
    cells = torch.eye(scales[-1] ** 2).unflatten(1, (1, scales[-1], scales[-1]))  # [side², 1, side, side]
    return torch.cat([shrunk(cells, side).flatten(1) for side in scales], dim=1).T


def save(model: Var, folder: Path) -> None:
    """Writes `folder`/model.safetensors, sizes included."""
    checkpoint.save(Path(folder) / "model.safetensors", module_arrays(model), {"config": asdict(model.config)})


def load(folder: Path) -> Var:
    """The network that `save` wrote, in evaluation mode and without gradients of its own.

    Raises:
        EaselError: the file is missing or damaged.
    """
    arrays, meta = checkpoint.load_network(folder)
    model = Var(VarConfig(**meta["config"]), torch.Generator())
    load_module(model, arrays)
    return model.eval().requires_grad_(False)
