"""Muse (Chang et al. 2023, arXiv:2301.00704): bidirectional transformers that predict masked image tokens from the
others and from the features of a frozen text encoder. PyTorch.

`Muse` is the base model (section 2.3), `MuseSuperResolution` the one that predicts the tokens of a larger picture given
those of the small one (section 2.4). Both have learned positions in two dimensions, cross-attention to the caption's
features, linearly projected, and logits of codes alone: the mask can be read, but never predicted.

What the paper leaves open or has otherwise, and what is done here:

- Tokens are read and predicted by what they look like, and each cell of the input sees those around it
  (lib/models/codes.py): with as few pictures as here, a table of tokens alone is learned too slowly.
- Between the frozen features and their projection may be blocks of the model's own (lib/models/caption_context.py).

- A dropped caption is one learned vector in the place of all features. It differs from the empty caption's.
- Besides the learned positions, self-attention turns queries and keys by row and column, as all transformers here do.
- In the super-resolution model the queries of cross-attention and the small picture's keys are turned as well, each by
  where it lies in the large picture: a cell finds the small picture's cell at its place at once. Keys of captions are
  not turned.
- The large picture's multi-axis attention is that of HiT (arXiv:2106.07631): of each layer's heads, half attend inside
  blocks, half across them.
- An untrained network gives every code the same probability, and its blocks are the identity.
"""

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lib.errors import EaselError
from lib.models.caption_context import CaptionContext, Refiner, refiner_weights
from lib.models.codes import CodeEmbedding, CodeHead, Neighbours, code_weights, codebook, neighbour_weights
from lib.models.cross_attention import (
    CrossBlock,
    Memory,
    MultiAxisAttention,
    block_order,
    block_weights,
    grid,
    initialise,
    turns_of,
)
from lib.models.text_encoder import TextFeatures
from lib.models.transformer import Attention, Block
from lib.models.transformer import initialise as initialise_plain
from lib.weights import checkpoint
from lib.weights.torch_state import load_module, module_arrays


@dataclass(frozen=True)
class MuseConfig:
    """Sizes of the base model; saved with the weights.

    Attributes:
        codes: image tokens are 0 … codes − 1; the mask, which is never predicted, is `codes`.
        code_width: of the tokenizer's codes.
        rows, columns: of the grid of image tokens.
        neighbours: whether each cell of the input also sees those around it.
        text_width: of the caption's features.
        text_layers: blocks that refine them; the paper has 0.
    """

    codes: int
    code_width: int
    rows: int
    columns: int
    text_width: int
    text_layers: int
    width: int
    layers: int
    heads: int
    feed_forward: int
    neighbours: bool

    def __post_init__(self):
        if self.width % (4 * self.heads):
            raise EaselError(
                f"muse: a width of {self.width} cannot be split into {self.heads} heads whose width is a multiple of "
                "4, which rotary positions in two dimensions need."
            )

    @property
    def length(self) -> int:
        """Image tokens of a picture."""
        return self.rows * self.columns

    @property
    def parameters(self) -> int:
        """Weights of the network."""
        ends = self.rows + self.columns + 1 + self.text_width + 1  # positions, dropped caption, projection, last norm
        ends = ends * self.width + code_weights(self.codes, self.code_width, self.width)
        blocks = self.layers * block_weights(self.width, self.heads, self.feed_forward, crossed=True)
        near = self.neighbours * neighbour_weights(self.width)
        return ends + near + blocks + refiner_weights(self.text_width, self.text_layers)


@dataclass(frozen=True)
class SuperResolutionConfig(MuseConfig):
    """Sizes of the super-resolution model, whose small and large pictures have the same codes.

    Attributes:
        rows, columns: of the large picture.
        small_rows, small_columns: of the small one.
        small_layers: of the small picture's encoder.
        block: side of multi-axis attention's blocks, in cells of the large picture.
    """

    small_rows: int
    small_columns: int
    small_layers: int
    block: int

    def __post_init__(self):
        super().__post_init__()
        if self.heads % 2:
            raise EaselError(f"muse: multi-axis attention halves its heads; {self.heads} is odd.")
        if self.rows % self.block or self.columns % self.block:
            raise EaselError(
                f"muse: blocks of {self.block}×{self.block} cells do not divide a grid of {self.rows}×{self.columns}."
            )

    @property
    def small_length(self) -> int:
        """Image tokens of the small picture."""
        return self.small_rows * self.small_columns

    @property
    def parameters(self) -> int:
        """Weights of the network."""
        tables = self.small_rows + self.small_columns + 1  # positions; and the encoder's last norm
        block = block_weights(self.width, self.heads, self.feed_forward, crossed=False)
        return super().parameters + tables * self.width + self.small_layers * block


class Places(nn.Module):
    """Learned positions in two dimensions: a vector for every row and one for every column."""

    def __init__(self, rows: int, columns: int, width: int, generator: torch.Generator):
        super().__init__()
        self.rows = nn.Parameter(torch.empty(rows, 1, width))
        self.columns = nn.Parameter(torch.empty(columns, width))
        for table in (self.rows, self.columns):  # together as large as half a token
            nn.init.normal_(table, std=math.sqrt(1 / 8), generator=generator)

    def forward(self) -> Tensor:
        """Positions of all cells in reading order, [rows · columns, D]."""
        return (self.rows + self.columns).flatten(0, 1)


class Muse(nn.Module):
    """Image tokens, some of them masked, and captions → logits of every token.

    Args:
        generator: source of the first weights.
        vectors: the tokenizer's codebook, float [codes, code_width]; None for a network whose weights are to be loaded.
    """

    def __init__(self, config: MuseConfig, generator: torch.Generator, vectors: Tensor | None = None):
        super().__init__()
        self.config = config
        width = config.width
        vectors = codebook(vectors, config.codes, config.code_width)
        self.image_tokens = CodeEmbedding(vectors, width, generator)
        self.neighbours = Neighbours(width, config.rows, config.columns, generator) if config.neighbours else None
        self.places = Places(config.rows, config.columns, width, generator)
        self.refiner = Refiner(config.text_width, config.text_layers, generator)
        self.captions = CaptionContext(config.text_width, width, generator)
        self.blocks = nn.ModuleList(
            CrossBlock(width, config.heads, config.feed_forward, self.attention()) for _ in range(config.layers)
        )
        self.norm = nn.RMSNorm(width)
        self.head = CodeHead(vectors, width)
        cells = grid(config.rows, config.columns)
        self.register_buffer("turns", turns_of(cells, width // config.heads), persistent=False)
        self.register_buffer("everything", torch.ones(1, config.length, dtype=torch.bool), persistent=False)
        for block in self.blocks:
            initialise(block, generator)

    def attention(self) -> Attention:
        """A layer's attention of image tokens to each other."""
        return Attention(self.config.width, self.config.heads)

    def forward(self, tokens: Tensor, text: TextFeatures, dropped: Tensor | None = None) -> Tensor:
        """Logits [B, N, codes] of all image tokens; see `read` and `features`."""
        return self.head(self.features(tokens, self.read(text, dropped)))

    def read(self, text: TextFeatures, dropped: Tensor | None = None) -> list[Memory]:
        """What the layers see of the captions: computed once for all passes over a batch.

        Args:
            dropped: bool [B], the rows that see no caption; None if all see theirs.

        Raises:
            EaselError: features of another width, or a caption that has no token and is not dropped.
        """
        context, seen = self.captions(self.refiner(text), dropped)
        return [block.cross.read(context, seen) for block in self.blocks]

    def features(self, tokens: Tensor, memory: list[Memory]) -> Tensor:
        """What the output layer reads, [B, N, D].

        Args:
            tokens: int64 [B, N], codes in reading order, `codes` where one is masked.
            memory: of the same rows.

        Raises:
            EaselError: pictures of the wrong shape.
        """
        x = self.inputs(tokens)
        for block, layer in zip(self.blocks, memory, strict=True):
            x = block(x, self.turns, self.everything, layer)
        return self.norm(x)

    def inputs(self, tokens: Tensor) -> Tensor:
        """What the first layer reads, [B, N, D], in reading order; raises as `features`."""
        check_shape(tokens, self.config.length)
        x = self.image_tokens(tokens)
        if self.neighbours is not None:
            x = x + self.neighbours(x)
        return x + self.places()


class MuseSuperResolution(Muse):
    """Tokens of a large picture, some of them masked, those of the small picture and captions → logits of the large
    picture's tokens.

    Inside, the large picture lies block by block, as `MultiAxisAttention` wants it.
    """

    config: SuperResolutionConfig

    def __init__(self, config: SuperResolutionConfig, generator: torch.Generator, vectors: Tensor | None = None):
        super().__init__(config, generator, vectors)
        width, heads = config.width, config.heads
        self.small_places = Places(config.small_rows, config.small_columns, width, generator)
        self.small_blocks = nn.ModuleList(Block(width, heads, config.feed_forward) for _ in range(config.small_layers))
        self.small_norm = nn.RMSNorm(width)
        order = block_order(config.rows, config.columns, config.block)
        small = grid(config.small_rows, config.small_columns)
        factors = torch.tensor([config.rows / config.small_rows, config.columns / config.small_columns])
        middles = (small + 0.5) * factors - 0.5  # of the small picture's cells, in cells of the large one
        for name, value in {
            "order": order,
            "back": order.argsort(),
            "turns": self.turns[:, :, order],
            "small_turns": turns_of(small, width // heads),
            "middle_turns": turns_of(middles, width // heads),
            "small_everything": torch.ones(1, config.small_length, dtype=torch.bool),
        }.items():
            self.register_buffer(name, value, persistent=False)
        for block in self.small_blocks:
            initialise_plain(block, generator)

    def attention(self) -> MultiAxisAttention:
        config = self.config
        return MultiAxisAttention(config.width, config.heads, config.length // config.block**2)

    def forward(self, tokens: Tensor, text: TextFeatures, small: Tensor, dropped: Tensor | None = None) -> Tensor:
        """Logits [B, N, codes] of all tokens of the large picture; see `read` and `features`."""
        return self.head(self.features(tokens, self.read(text, dropped, small)))

    def read(self, text: TextFeatures, dropped: Tensor | None, small: Tensor) -> list[Memory]:
        """As the base model's; the layers also see the small picture, int64 [B, small_length], all rows theirs.

        Raises:
            EaselError: as there, or small pictures of the wrong shape.
        """
        check_shape(small, self.config.small_length)
        words, seen = self.captions(self.refiner(text), dropped)
        x = self.image_tokens(small) + self.small_places()  # the same codes
        for block in self.small_blocks:
            x = block(x, self.small_turns, self.small_everything)
        context = torch.cat([words, self.small_norm(x)], dim=1)  # [B, 1 + S + small, D]
        seen = torch.cat([seen, seen.new_ones(len(small), 1, 1, small.shape[1])], dim=3)
        still = torch.zeros_like(self.middle_turns[:, :, :1]).expand(-1, -1, words.shape[1], -1, -1).clone()
        still[..., 0] = 1  # cosine 1, sine 0
        turns = torch.cat([still, self.middle_turns], dim=2)
        return [block.cross.read(context, seen, turns, self.turns) for block in self.blocks]

    def features(self, tokens: Tensor, memory: list[Memory]) -> Tensor:
        """As the base model's, of the large picture."""
        x = self.inputs(tokens)[:, self.order]
        for block, layer in zip(self.blocks, memory, strict=True):
            x = block(x, self.turns, None, layer)
        return self.norm(x)[:, self.back]


def check_shape(tokens: Tensor, length: int) -> None:
    """Refuses pictures that are not [B, length]."""
    if tokens.ndim != 2 or tokens.shape[1] != length:
        raise EaselError(f"image tokens have the shape {list(tokens.shape)}, must be [pictures, {length}].")


KINDS: dict[str, tuple[type[MuseConfig], type[Muse]]] = {
    "base": (MuseConfig, Muse),
    "super_resolution": (SuperResolutionConfig, MuseSuperResolution),
}


def build(kind: str, sizes: dict[str, Any], generator: torch.Generator, vectors: Tensor | None = None) -> Muse:
    """An untrained network, kind "base" or "super_resolution"; `vectors` as of `Muse`."""
    config, network = KINDS[kind]
    return network(config(**sizes), generator, vectors)


def save(model: Muse, folder: Path) -> None:
    """Writes `folder`/model.safetensors, sizes and kind included."""
    kind = next(kind for kind, (_, network) in KINDS.items() if network is type(model))
    meta = {"config": asdict(model.config), "kind": kind}
    checkpoint.save(Path(folder) / "model.safetensors", module_arrays(model), meta)


def load(folder: Path) -> Muse:
    """The network that `save` wrote, in evaluation mode and without gradients of its own.

    Raises:
        EaselError: the file is missing or damaged.
    """
    arrays, meta = checkpoint.load_network(folder)
    model = build(meta["kind"], meta["config"], torch.Generator())
    load_module(model, arrays)
    return model.eval().requires_grad_(False)
