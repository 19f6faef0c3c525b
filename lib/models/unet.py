"""A U-Net that denoises grids, pixels or latents, while it reads captions (Dhariwal and Nichol 2021, arXiv:2105.05233,
section 3; Rombach et al. 2022, arXiv:2112.10752, section 3.3). PyTorch.

Every level has residual blocks and, where the sizes say so, a transformer block behind each of them; levels are half as
wide and high as the one before. On the way up each residual block also reads what the way down left at its level. The
model of a cascade that enlarges (Ho et al. 2022, arXiv:2106.15282; Imagen, Saharia et al. 2022, arXiv:2205.11487) also
reads a small picture, enlarged beside the noisy one, and is told how much noise was added to it.

What differs from Stable Diffusion's:

- Transformer blocks are those of all other networks here: RMSNorm, QK-norm, rotary positions by row and column, SwiGLU.
- A dropped caption is one learned vector in the place of all features, at each level. It differs from the empty one's.
- An untrained network says 0, whatever it is shown.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lib.errors import EaselError
from lib.models import cross_attention
from lib.models.caption_context import CaptionContext, Refiner, refiner_weights
from lib.models.cross_attention import CrossBlock, Memory, block_weights, grid, turns_of
from lib.models.residual import initialise
from lib.models.text_encoder import TextFeatures
from lib.models.transformer import Attention
from lib.weights import checkpoint
from lib.weights.torch_state import load_module, module_arrays

GROUPS = 8  # of group norm
TIME_WIDTH = 4  # of what the blocks read of the time, in widths of the first level
TIME_SCALE, TIME_BASE = 1000.0, 10_000.0  # sinusoids as of 1000 timesteps (arXiv:2006.11239, its code)


@dataclass(frozen=True)
class UNetConfig:
    """Sizes; saved with the weights.

    Attributes:
        channels, rows, columns: of the grid.
        text_width: of the caption's features.
        text_layers: blocks that refine them (lib/models/caption_context.py).
        widths: channels of each level, from the finest.
        blocks: residual blocks of a level on the way down; there is one more on the way up.
        attention: levels with transformer blocks, from 0, the finest; the middle always has one.
        head_width: of attention.
        feed_forward: inner width of transformer blocks, in widths of their level.
        small_channels: of the small picture; 0 for a model that reads none.
    """

    channels: int
    rows: int
    columns: int
    text_width: int
    text_layers: int
    widths: tuple[int, ...]
    blocks: int
    attention: tuple[int, ...]
    head_width: int
    feed_forward: int
    small_channels: int = 0

    def __post_init__(self):
        smallest = 2 ** (len(self.widths) - 1)
        if self.rows % smallest or self.columns % smallest:
            raise EaselError(
                f"unet: a grid of {self.rows}×{self.columns} cannot be halved {len(self.widths) - 1} times."
            )
        if not set(self.attention) <= set(range(len(self.widths))):
            raise EaselError(f"unet: attention at {list(self.attention)}, but levels are 0 … {len(self.widths) - 1}.")
        for level, width in enumerate(self.widths):
            if width % GROUPS or (level in self.attending and width % self.head_width):
                raise EaselError(
                    f"unet: a width of {width} at level {level} is not a multiple of {GROUPS}, for group norm, and, "
                    f"where there is attention, of a head's {self.head_width}."
                )
        if self.head_width % 4:
            raise EaselError(f"unet: a head's width of {self.head_width} is not a multiple of 4, for rotary positions.")

    @property
    def attending(self) -> list[int]:
        """Levels with transformer blocks, that of the middle among them."""
        return sorted({*self.attention, len(self.widths) - 1})

    @property
    def down(self) -> list[list[int]]:
        """Channels that go into the residual blocks of each level on the way down."""
        before = [self.widths[0], *self.widths]
        return [[before[level]] + [width] * (self.blocks - 1) for level, width in enumerate(self.widths)]

    @property
    def up(self) -> list[list[int]]:
        """As `down`, on the way up: what comes from below or the block before, and what the way down left."""
        coming = [*self.widths[1:], self.widths[-1]]
        left = [self.widths[0], *self.widths]
        return [
            [coming[level] + width] + [2 * width] * (self.blocks - 1) + [width + left[level]]
            for level, width in enumerate(self.widths)
        ]

    @property
    def parameters(self) -> int:
        """Weights of the network."""
        widths, first = self.widths, self.widths[0]
        time = TIME_WIDTH * first

        def conv(inputs: int, outputs: int, kernel: int = 3) -> int:
            return kernel**2 * inputs * outputs + outputs

        def residual(inputs: int, outputs: int) -> int:
            shortcut = conv(inputs, outputs, 1) if inputs != outputs else 0
            norms, told = 2 * inputs + 2 * outputs, (time + 1) * 2 * outputs
            return norms + told + conv(inputs, outputs) + conv(outputs, outputs) + shortcut

        def transformer(width: int) -> int:
            return block_weights(width, width // self.head_width, self.feed_forward * width, crossed=True)

        ends = conv(self.channels + self.small_channels, first) + 2 * first + conv(first, self.channels)
        told = ((first + 1) * time + (time + 1) * time) * (2 if self.small_channels else 1)
        captions = sum((self.text_width + 1) * widths[level] for level in self.attending)
        captions += refiner_weights(self.text_width, self.text_layers)
        samplings = sum(conv(width, width) for width in (*widths[:-1], *widths[1:]))  # down and up
        total = ends + told + captions + samplings + 2 * residual(widths[-1], widths[-1]) + transformer(widths[-1])
        for level, width in enumerate(widths):
            inputs = self.down[level] + self.up[level]
            total += sum(residual(one, width) for one in inputs)
            total += len(inputs) * transformer(width) * (level in self.attention)
        return total


class SmallPictures(NamedTuple):
    """What a model that enlarges sees of the picture.

    Attributes:
        grids: float [B, c, h, w], noise added.
        times: of that noise's levels, float [B], 0 for none.
    """

    grids: Tensor
    times: Tensor

    def of(self, rows: Tensor) -> "SmallPictures":
        """Those of the rows numbered `rows`, int64 [r]."""
        return SmallPictures(self.grids[rows], self.times[rows])

    def to(self, device: torch.device) -> "SmallPictures":
        """The same on a device."""
        return SmallPictures(self.grids.to(device), self.times.to(device))


class TimeEmbedding(nn.Module):
    """Times in 0 … 1 → vectors: sinusoids (Vaswani et al. 2017, arXiv:1706.03762, section 3.5) and two products."""

    def __init__(self, width: int):
        super().__init__()
        speeds = TIME_SCALE * TIME_BASE ** -(torch.arange(width // 2) / (width // 2))
        self.register_buffer("speeds", speeds, persistent=False)
        self.first = nn.Linear(width, TIME_WIDTH * width)
        self.second = nn.Linear(TIME_WIDTH * width, TIME_WIDTH * width)

    def forward(self, times: Tensor) -> Tensor:
        """float [B] → [B, TIME_WIDTH · width]."""
        angles = times[:, None] * self.speeds  # [B, width / 2]
        return self.second(F.silu(self.first(torch.cat([angles.cos(), angles.sin()], dim=1))))


class ResidualBlock(nn.Module):
    """x + convolution(SiLU(norm(convolution(SiLU(norm(x)))))), the second norm scaled and shifted by the time
    (arXiv:2105.05233, section 3.1): [B, inputs, H, W] → [B, width, H, W]."""

    def __init__(self, inputs: int, width: int, time_width: int):
        super().__init__()
        self.norm1 = nn.GroupNorm(GROUPS, inputs)
        self.conv1 = nn.Conv2d(inputs, width, 3, padding=1)
        self.scale_shift = nn.Linear(time_width, 2 * width)
        self.norm2 = nn.GroupNorm(GROUPS, width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        self.shortcut = nn.Conv2d(inputs, width, 1) if inputs != width else nn.Identity()

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        """time: [B, time_width]."""
        scale, shift = self.scale_shift(F.silu(time))[:, :, None, None].chunk(2, dim=1)  # [B, width, 1, 1] each
        inner = self.norm2(self.conv1(F.silu(self.norm1(x))))
        # The sum is float32 also where products are bf16.
        return self.shortcut(x).float() + self.conv2(F.silu(inner * (1 + scale) + shift))


class Stage(nn.Module):
    """A residual block and, where `heads` is not 0, a transformer block over the cells: [B, inputs, H, W] → [B, width,
    H, W]."""

    def __init__(self, inputs: int, width: int, time_width: int, heads: int, feed_forward: int):
        super().__init__()
        self.residual = ResidualBlock(inputs, width, time_width)
        self.transformer = CrossBlock(width, heads, feed_forward, Attention(width, heads)) if heads else None

    def forward(self, x: Tensor, time: Tensor, turns: Tensor, memory: Iterator[Memory]) -> Tensor:
        """turns: of the level's cells; memory: where the transformer block, if there is one, finds its own next."""
        x = self.residual(x, time)
        if self.transformer is None:
            return x
        cells = x.flatten(2).transpose(1, 2)  # [B, D, H, W] → [B, H · W, D]; in channels_last memory nothing moves
        cells = self.transformer(cells, turns, None, next(memory))
        return cells.transpose(1, 2).unflatten(2, x.shape[2:])  # → [B, D, H, W]


class UNet(nn.Module):
    """Noisy grids, times and captions → what the noise hides, or whatever the network is trained to say.

    Args:
        generator: source of the first weights.
    """

    def __init__(self, config: UNetConfig, generator: torch.Generator):
        super().__init__()
        self.config = config
        widths, last = config.widths, len(config.widths) - 1
        time_width = TIME_WIDTH * widths[0]

        def stage(inputs: int, level: int, attends: bool) -> Stage:
            width = widths[level]
            heads = width // config.head_width if attends else 0
            return Stage(inputs, width, time_width, heads, config.feed_forward * width)

        def stages(inputs: list[list[int]]) -> nn.ModuleList:
            return nn.ModuleList(
                nn.ModuleList(stage(one, level, level in config.attention) for one in own)
                for level, own in enumerate(inputs)
            )

        self.time = TimeEmbedding(widths[0])
        self.small_time = TimeEmbedding(widths[0]) if config.small_channels else None
        self.stem = nn.Conv2d(config.channels + config.small_channels, widths[0], 3, padding=1)
        self.down, self.up = stages(config.down), stages(config.up)
        self.middle = nn.ModuleList([stage(widths[-1], last, True), stage(widths[-1], last, False)])
        self.downsample = nn.ModuleList(nn.Conv2d(width, width, 3, stride=2, padding=1) for width in widths[:-1])
        self.upsample = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for width in widths[1:])
        self.norm = nn.GroupNorm(GROUPS, widths[0])
        self.head = nn.Conv2d(widths[0], config.channels, 3, padding=1)
        initialise(self, generator)
        self.refiner = Refiner(config.text_width, config.text_layers, generator)
        self.captions = nn.ModuleDict(
            {str(level): CaptionContext(config.text_width, widths[level], generator) for level in config.attending}
        )
        for part in self.modules():
            if isinstance(part, ResidualBlock):
                nn.init.zeros_(part.scale_shift.weight)
                nn.init.zeros_(part.conv2.weight)
            elif isinstance(part, CrossBlock):
                cross_attention.initialise(part, generator)
        nn.init.zeros_(self.head.weight)
        self.to(memory_format=torch.channels_last)  # before the turns, whose five axes it cannot order
        for level in range(last + 1):
            cells = grid(config.rows >> level, config.columns >> level)
            self.register_buffer(f"turns{level}", turns_of(cells, config.head_width), persistent=False)

    @property
    def device(self) -> torch.device:
        """Where the weights lie."""
        return self.head.weight.device

    def read(self, text: TextFeatures, dropped: Tensor | None = None) -> list[Memory]:
        """What the transformer blocks see of the captions, in the order of their use: computed once for all passes over
        a batch.

        Args:
            dropped: bool [B], the rows that see no caption; None if all see theirs.

        Raises:
            EaselError: features of another width, or a caption that has no token and is not dropped.
        """
        levels = range(len(self.config.widths))
        order = [(level, stage) for level in levels for stage in self.down[level]]
        order += [(levels[-1], stage) for stage in self.middle]
        order += [(level, stage) for level in reversed(levels) for stage in self.up[level]]
        text = self.refiner(text)
        contexts = {level: self.captions[str(level)](text, dropped) for level in self.config.attending}
        return [stage.transformer.cross.read(*contexts[level]) for level, stage in order if stage.transformer]

    def forward(self, x: Tensor, times: Tensor, memory: list[Memory], small: SmallPictures | None = None) -> Tensor:
        """The network's prediction, [B, C, H, W].

        Args:
            x: noisy grids, float [B, C, H, W].
            times: of their noise levels, float [B], in 0 … 1.
            memory: of the same rows.
            small: of the same rows, for a model that enlarges and no other.

        Raises:
            EaselError: grids of the wrong shape, or small pictures missing or unwanted.
        """
        config, left, found = self.config, [], iter(memory)
        check_grids(x, (config.channels, config.rows, config.columns))
        if (small is not None) != (config.small_channels > 0):
            raise EaselError("small pictures are for a network that enlarges them, which needs them, and for no other.")
        turns = [self.get_buffer(f"turns{level}") for level in range(len(config.widths))]
        time = self.time(times)  # [B, time_width]
        if small is not None:
            check_grids(small.grids, (config.small_channels, *small.grids.shape[2:]))
            time = time + self.small_time(small.times)
            x = torch.cat([x, F.interpolate(small.grids, x.shape[2:], mode="bilinear")], dim=1)  # → [B, C + c, H, W]
        x = self.stem(x.contiguous(memory_format=torch.channels_last))
        left.append(x)
        for level, stages in enumerate(self.down):
            for stage in stages:
                x = stage(x, time, turns[level], found)
                left.append(x)
            if level < len(self.downsample):
                x = self.downsample[level](x)  # → [B, D, H / 2, W / 2]
                left.append(x)
        for stage in self.middle:
            x = stage(x, time, turns[-1], found)
        for level in reversed(range(len(self.up))):
            for stage in self.up[level]:
                x = stage(torch.cat([x, left.pop()], dim=1), time, turns[level], found)
            if level > 0:
                x = self.upsample[level - 1](F.interpolate(x, scale_factor=2.0))  # → [B, D, 2H, 2W]
        return self.head(F.silu(self.norm(x)))


def check_grids(grids: Tensor, shape: tuple[int, ...]) -> None:
    """Refuses grids that are not [B, *shape]."""
    if grids.ndim != 4 or grids.shape[1:] != shape:
        raise EaselError(f"grids have the shape {list(grids.shape)}, must be [pictures, {', '.join(map(str, shape))}].")


def save(model: UNet, folder: Path) -> None:
    """Writes `folder`/model.safetensors, sizes included."""
    checkpoint.save(Path(folder) / "model.safetensors", module_arrays(model), {"config": asdict(model.config)})


def config_of(saved: Mapping[str, Any]) -> UNetConfig:
    """Sizes as JSON gives them back, tuples as lists."""
    return UNetConfig(**{name: tuple(value) if isinstance(value, list) else value for name, value in saved.items()})


def load(folder: Path) -> UNet:
    """The network that `save` wrote, in evaluation mode and without gradients of its own.

    Raises:
        EaselError: the file is missing or damaged.
    """
    arrays, meta = checkpoint.load_network(folder)
    model = UNet(config_of(meta["config"]), torch.Generator())
    load_module(model, arrays)
    return model.eval().requires_grad_(False)
