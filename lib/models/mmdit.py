"""A transformer of two streams that denoises grids, pixels or latents, while it reads captions: AuraFlow's kind of
MMDiT (Esser et al. 2024, arXiv:2403.03206, section 4; AuraFlow as diffusers' AuraFlowTransformer2DModel has it).
PyTorch.

Patches of the grid are one stream of tokens; registers (Darcet et al. 2024, arXiv:2309.16588) and the caption are the
other. Joint blocks have weights of their own for either stream and one attention over both. Single blocks follow, with
one set of weights for all tokens. The time scales, shifts and gates what a block does (AdaLN-Zero, Peebles and Xie
2023, arXiv:2212.09748, section 3.2). Products have no bias.

What differs from AuraFlow:

- Attention normalises queries and keys by their lengths, with learned scales, and turns those of patches by row and
  column, as all transformers here do. Learned positions are a vector for every row and one for every column.
- Padding is masked in attention. AuraFlow sets its features to zero, and then attends to them.
- A dropped caption is one learned vector in the place of all features. It differs from the empty one's.
- Between the frozen features and their projection may be blocks of the model's own (lib/models/caption_context.py).
- An untrained network says 0, whatever it is shown, and its blocks are the identity.
"""

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lib.errors import EaselError
from lib.models import residual, transformer
from lib.models.caption_context import CaptionContext, Refiner, refiner_weights
from lib.models.codes import Neighbours, neighbour_weights
from lib.models.cross_attention import block_weights, grid, turns_of
from lib.models.muse import Places
from lib.models.text_encoder import TextFeatures
from lib.models.transformer import Attention, Block, rotate
from lib.models.unet import TIME_WIDTH, TimeEmbedding, check_grids
from lib.weights import checkpoint
from lib.weights.torch_state import load_module, module_arrays


@dataclass(frozen=True)
class MMDiTConfig:
    """Sizes; saved with the weights.

    Attributes:
        channels, rows, columns: of the grid.
        text_width: of the caption's features.
        text_layers: blocks that refine them (lib/models/caption_context.py); AuraFlow has none.
        patch: side of the patches in cells.
        joint, single: blocks of either kind.
        feed_forward: inner width; AuraFlow's is two thirds of four widths, rounded up to a multiple of 256.
        registers: learned tokens before the caption; AuraFlow has 8.
        keeps_attention: whether what a block attends to stays in the stream, as in Stable Diffusion 3. In AuraFlow it
            goes into the block's SwiGLU alone.
        pooled: whether the mean of the caption's vectors is added to the time, and so scales, shifts and gates what
            blocks do, as in Stable Diffusion 3. AuraFlow has only attention for captions.
        neighbours: whether each patch of the input also sees those around it (lib/models/codes.py); AuraFlow's do not.
    """

    channels: int
    rows: int
    columns: int
    text_width: int
    text_layers: int
    patch: int
    width: int
    joint: int
    single: int
    heads: int
    feed_forward: int
    registers: int
    keeps_attention: bool
    pooled: bool
    neighbours: bool

    small_channels: ClassVar[int] = 0  # it reads no small pictures

    def __post_init__(self):
        if self.width % (4 * self.heads) or self.width % (2 * TIME_WIDTH):
            raise EaselError(
                f"mmdit: a width of {self.width} cannot be split into {self.heads} heads whose width is a multiple of "
                f"4, or is not a multiple of {2 * TIME_WIDTH}, for the time's sinusoids."
            )
        if self.rows % self.patch or self.columns % self.patch:
            raise EaselError(
                f"mmdit: patches of {self.patch}×{self.patch} cells do not divide a grid of {self.rows}×{self.columns}."
            )

    @property
    def cells(self) -> tuple[int, int]:
        """Rows and columns of patches."""
        return self.rows // self.patch, self.columns // self.patch

    @property
    def parameters(self) -> int:
        """Weights of the network."""
        width = self.width
        norms = 2 * width  # which these blocks do not have: they are told scales instead
        stream = block_weights(width, self.heads, self.feed_forward, crossed=False) - norms + 6 * width**2
        time = (width // TIME_WIDTH + 1) * width + (width + 1) * width
        captions = (self.text_width + 1) * width + refiner_weights(self.text_width, self.text_layers)
        ends = (2 * self.channels * self.patch**2 + sum(self.cells) + self.registers + 2 * width) * width
        extras = self.pooled * width**2 + self.neighbours * neighbour_weights(width)
        return (2 * self.joint + self.single) * stream + time + captions + ends + extras


# Its published sizes, with a position for each of 64 rows and columns (fal/AuraFlow, transformer/config.json).
AURAFLOW = MMDiTConfig(
    channels=4,
    rows=128,
    columns=128,
    text_width=2048,
    text_layers=0,
    patch=2,
    width=3072,
    joint=4,
    single=32,
    heads=12,
    feed_forward=8192,
    registers=8,
    keeps_attention=False,
    pooled=False,
    neighbours=False,
)


class Reading(NamedTuple):
    """What the network sees of captions; the same for every pass over a batch.

    Attributes:
        tokens: registers, the dropped caption's place and the caption, [B, R + 1 + S, D].
        seen: which of all tokens, patches first, each row may see, bool [B, 1, 1, N + R + 1 + S].
        pooled: what is added to the time, [B, D] or 0.
    """

    tokens: Tensor
    seen: Tensor
    pooled: Tensor | int


class Told(NamedTuple):
    """What the time says to a block, each [B, 1, D]; half of it for the attention, half for the SwiGLU."""

    shift: Tensor
    scale: Tensor
    gate: Tensor
    inner_shift: Tensor
    inner_scale: Tensor
    inner_gate: Tensor


class ModulatedBlock(Block):
    """x + gate · attention(norm(x)), then SwiGLU alike; norms have no weights, but are scaled and shifted.

    Args:
        keeps_attention: see `MMDiTConfig`.
    """

    def __init__(self, width: int, heads: int, feed_forward: int, keeps_attention: bool):
        super().__init__(width, heads, feed_forward)
        self.attention_norm = nn.LayerNorm(width, elementwise_affine=False)
        self.feed_forward_norm = nn.LayerNorm(width, elementwise_affine=False)
        self.modulation = nn.Linear(width, 6 * width, bias=False)
        self.keeps_attention = keeps_attention

    def forward(self, x: Tensor, turns: Tensor, mask: Tensor, time: Tensor) -> Tensor:
        """A single block, [B, T, D] → [B, T, D].

        Args:
            time: [B, D].
        """
        told = self.told(time)
        return self.answered(x, self.attention(self.asked(x, told), turns, mask), told)

    def told(self, time: Tensor) -> Told:
        """What the block hears of the time, [B, D]."""
        return Told(*self.modulation(F.silu(time))[:, None].chunk(6, dim=2))  # [B, 1, 6D] → [B, 1, D] each

    def asked(self, x: Tensor, told: Told) -> Tensor:
        """What goes into attention, [B, T, D] → [B, T, D]."""
        return modulated(self.attention_norm(x), told.shift, told.scale)

    def answered(self, x: Tensor, found: Tensor, told: Told) -> Tensor:
        """The block's end, given what attention found, both [B, T, D]."""
        attended = x + told.gate * found
        inner = modulated(self.feed_forward_norm(attended), told.inner_shift, told.inner_scale)
        return (attended if self.keeps_attention else x) + told.inner_gate * self.feed_forward(inner)


class JointBlock(nn.Module):
    """A block for patches and one for the rest, with one attention over both."""

    def __init__(self, width: int, heads: int, feed_forward: int, keeps_attention: bool):
        super().__init__()
        self.streams = nn.ModuleList(ModulatedBlock(width, heads, feed_forward, keeps_attention) for _ in range(2))

    def forward(self, streams: list[Tensor], turns: Tensor, mask: Tensor, time: Tensor) -> list[Tensor]:
        """Two streams [B, T, D]; turns and mask are of all their tokens, those of the first one first."""
        told = [own.told(time) for own in self.streams]
        asked = [own.asked(*given) for own, *given in zip(self.streams, streams, told, strict=True)]
        parts = [normalised(own.attention, x) for own, x in zip(self.streams, asked, strict=True)]
        queries, keys, values = torch.cat(parts, dim=3)  # [3, B, H, T, d]
        queries, keys = (rotate(one, turns).to(values.dtype) for one in (queries, keys))
        found = F.scaled_dot_product_attention(queries, keys, values, attn_mask=mask)
        found = found.transpose(1, 2).flatten(2).split([x.shape[1] for x in streams], dim=1)  # → [B, T, D] each
        return [
            own.answered(x, own.attention.out(part), one)
            for own, x, part, one in zip(self.streams, streams, found, told, strict=True)
        ]


def normalised(attention: Attention, x: Tensor) -> Tensor:
    """Queries and keys, normalised but not turned, and values of tokens [B, T, D]: [3, B, H, T, d]."""
    qkv = attention.qkv(x).unflatten(2, (3, attention.heads, -1)).permute(2, 0, 3, 1, 4)  # [B, T, 3D] → …
    both = F.rms_norm(qkv[:2], qkv.shape[-1:]) * attention.norm[:, None, None, None]
    return torch.cat([both.to(qkv.dtype), qkv[2:]])


def modulated(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """Tokens [B, T, D], scaled and shifted by [B, 1, D]."""
    return x * (1 + scale) + shift


class MMDiT(nn.Module):
    """Noisy grids, times and captions → what the noise hides, or whatever the network is trained to say.

    Args:
        generator: source of the first weights.
    """

    def __init__(self, config: MMDiTConfig, generator: torch.Generator):
        super().__init__()
        self.config = config
        width, inputs = config.width, config.channels * config.patch**2
        sizes = (width, config.heads, config.feed_forward, config.keeps_attention)
        self.time = TimeEmbedding(width // TIME_WIDTH)
        self.patches = nn.Linear(inputs, width, bias=False)
        self.neighbours = Neighbours(width, *config.cells, generator) if config.neighbours else None
        self.places = Places(*config.cells, width, generator)
        self.registers = nn.Parameter(torch.empty(config.registers, width))
        self.refiner = Refiner(config.text_width, config.text_layers, generator)
        self.captions = CaptionContext(config.text_width, width, generator)
        self.pool = nn.Linear(width, width, bias=False) if config.pooled else None
        self.joint = nn.ModuleList(JointBlock(*sizes) for _ in range(config.joint))
        self.single = nn.ModuleList(ModulatedBlock(*sizes) for _ in range(config.single))
        self.modulation = nn.Linear(width, 2 * width, bias=False)
        self.head = nn.Linear(width, inputs, bias=False)
        turns = turns_of(grid(*config.cells), width // config.heads)
        self.register_buffer("turns", turns, persistent=False)
        still = turns_of(torch.zeros(1, 2), width // config.heads)
        self.register_buffer("still", still, persistent=False)
        residual.initialise(self.time, generator)
        nn.init.normal_(self.patches.weight, std=1 / math.sqrt(inputs), generator=generator)
        nn.init.normal_(self.registers, generator=generator)
        if self.pool is not None:
            nn.init.normal_(self.pool.weight, std=1 / math.sqrt(width), generator=generator)
        for block in self.modules():
            if isinstance(block, ModulatedBlock):
                initialise(block, generator)
        nn.init.zeros_(self.modulation.weight)
        nn.init.zeros_(self.head.weight)

    @property
    def device(self) -> torch.device:
        """Where the weights lie."""
        return self.head.weight.device

    def read(self, text: TextFeatures, dropped: Tensor | None = None) -> Reading:
        """What the network sees of the captions: computed once for all passes over a batch.

        Args:
            dropped: bool [B], the rows that see no caption; None if all see theirs.

        Raises:
            EaselError: features of another width, or a caption that has no token and is not dropped.
        """
        context, seen = self.captions(self.refiner(text), dropped)  # [B, 1 + S, D], [B, 1, 1, 1 + S]
        registers = self.registers.to(context.dtype).expand(len(text), -1, -1)
        always = seen.new_ones(len(text), 1, 1, self.turns.shape[2] + self.config.registers)
        pooled = 0
        if self.pool is not None:
            weights = seen[:, 0].to(context.dtype)  # [B, 1, 1 + S]
            pooled = self.pool((weights @ context / weights.sum(dim=2, keepdim=True)).squeeze(1))  # [B, D]
        return Reading(torch.cat([registers, context], dim=1), torch.cat([always, seen], dim=3), pooled)

    def forward(self, x: Tensor, times: Tensor, memory: Reading, small: None = None) -> Tensor:
        """The network's prediction, [B, C, H, W].

        Args:
            x: noisy grids, float [B, C, H, W].
            times: of their noise levels, float [B], in 0 … 1.
            memory: of the same rows.
            small: in the place of a U-Net's small pictures; there are none.

        Raises:
            EaselError: grids of the wrong shape, or small pictures.
        """
        config = self.config
        check_grids(x, (config.channels, config.rows, config.columns))
        if small is not None:
            raise EaselError("small pictures are for a U-Net that enlarges them; an MMDiT does not.")
        time = self.time(times) + memory.pooled  # [B, D]
        image = F.pixel_unshuffle(x, config.patch).flatten(2).transpose(1, 2)  # [B, C, H, W] → [B, N, C · patch²]
        patches = self.patches(image)  # [B, N, D]
        if self.neighbours is not None:
            patches = patches + self.neighbours(patches)
        streams = [patches + self.places(), memory.tokens]
        turns = torch.cat([self.turns, self.still.expand(-1, -1, memory.tokens.shape[1], -1, -1)], dim=2)
        for block in self.joint:
            streams = block(streams, turns, memory.seen, time)
        tokens = torch.cat(streams, dim=1)  # [B, N + R + 1 + S, D]
        for block in self.single:
            tokens = block(tokens, turns, memory.seen, time)
        shift, scale = self.modulation(F.silu(time))[:, None].chunk(2, dim=2)  # [B, 1, D] each
        said = self.head(modulated(tokens[:, : image.shape[1]], shift, scale))
        return F.pixel_shuffle(said.transpose(1, 2).unflatten(2, config.cells), config.patch)  # → [B, C, H, W]


def initialise(block: ModulatedBlock, generator: torch.Generator) -> None:
    """Draws a block's first weights; the modulation stays at zero, and with it the gates. What ends a part must then
    not be zero too: neither would ever move."""
    transformer.initialise(block, generator)
    for product in (block.attention.out, block.feed_forward.out):
        nn.init.normal_(product.weight, std=1 / math.sqrt(product.in_features), generator=generator)
    nn.init.zeros_(block.modulation.weight)


def save(model: MMDiT, folder: Path) -> None:
    """Writes `folder`/model.safetensors, sizes included."""
    checkpoint.save(Path(folder) / "model.safetensors", module_arrays(model), {"config": asdict(model.config)})


def load(folder: Path) -> MMDiT:
    """The network that `save` wrote, in evaluation mode and without gradients of its own.

    Raises:
        EaselError: the file is missing or damaged.
    """
    arrays, meta = checkpoint.load_network(folder)
    model = MMDiT(MMDiTConfig(**meta["config"]), torch.Generator())
    load_module(model, arrays)
    return model.eval().requires_grad_(False)
