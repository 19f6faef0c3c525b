"""A decoder-only transformer over a caption and the image tokens after it: the model that SJD2's study decodes, a small
twin of Lumina-mGPT and Janus-Pro-1B. PyTorch.

Separate text and image vocabularies; the blocks of lib/models/transformer.py; a learned table of output positions,
which tells each image input which cell it predicts; an output layer that starts at zero, so that an untrained model
gives every code the same probability.

Fine-tuned by lib/training/sjd2.py, the same network also reads noisy embeddings ("next-clean-token prediction", Teng et
al. 2025, arXiv:2510.08994, section 4.3). What that adds is here too: the statistics that standardize embeddings
(equation 4) and the ways to tell the network how noisy an input is.
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lib.errors import EaselError
from lib.models.transformer import Block, GridRotary, initialise
from lib.weights import checkpoint
from lib.weights.torch_state import load_module, module_arrays

Levels = Literal["none", "token", "added"]

TIME_SCALE, TIME_BASE = 1000.0, 10000.0  # of the sinusoids; the paper names neither, these are diffusion models' usual


@dataclass(frozen=True)
class AutoregressiveConfig:
    """Sizes; saved with the weights.

    Attributes:
        codes: image tokens are 0 … codes − 1; BOS, which is never predicted, is `codes`.
        rows, columns: of the grid of image tokens.
        levels: how a network tuned on noisy embeddings is told their noise. "none": not at all. "token": by a level
            token, which stands before the caption and which only inputs of that level see (the paper's way). "added":
            by a vector added to the input, a linear function of the level's time that starts at zero.
    """

    text_vocabulary: int
    text_length: int
    text_padding: int
    codes: int
    rows: int
    columns: int
    width: int
    layers: int
    heads: int
    feed_forward: int
    levels: Levels = "none"

    def __post_init__(self):
        if self.width % (4 * self.heads):
            raise EaselError(
                f"autoregressive: a width of {self.width} cannot be split into {self.heads} heads whose width is a "
                "multiple of 4, which rotary positions in two dimensions need."
            )

    @property
    def length(self) -> int:
        """Image tokens of a picture."""
        return self.rows * self.columns


class Autoregressive(nn.Module):
    """Caption and image tokens → logits of every image token given the caption and the tokens before it.

    `image_tokens` holds the embeddings m of the paper, which the network reads times the fixed `scale`. `mean` and
    `deviation`, both [D], standardize them: e = (m − mean) / deviation. Both stay 0 and 1 where embeddings are not
    standardized.

    Args:
        generator: source of the first weights.
    """

    def __init__(self, config: AutoregressiveConfig, generator: torch.Generator):
        super().__init__()
        self.config = config
        width = config.width
        self.text_tokens = nn.Embedding(config.text_vocabulary, width)
        self.image_tokens = nn.Embedding(config.codes + 1, width)
        self.output_positions = nn.Embedding(config.length, width)
        self.blocks = nn.ModuleList(Block(width, config.heads, config.feed_forward) for _ in range(config.layers))
        self.norm = nn.RMSNorm(width)
        self.head = nn.Linear(width, config.codes, bias=False)
        self.rotary = GridRotary(width // config.heads, config.text_length, config.rows, config.columns)
        self.register_buffer("scale", torch.ones(()))
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("deviation", torch.ones(width))
        for table, size in ((self.text_tokens, 1.0), (self.image_tokens, 1.0), (self.output_positions, 0.5)):
            nn.init.normal_(table.weight, std=size, generator=generator)
        for block in self.blocks:
            initialise(block, generator)
        nn.init.zeros_(self.head.weight)
        if config.levels == "added":
            self.level_projection = nn.Linear(width, width, bias=False)
            nn.init.zeros_(self.level_projection.weight)

    def forward(self, text_ids: Tensor, tokens: Tensor) -> Tensor:
        """Logits [B, N, codes] of all image tokens.

        Args:
            text_ids: int64 [B, S ≤ text_length], padded at the end.
            tokens: int64 [B, N], codes in reading order, not shifted.

        Raises:
            EaselError: captions or pictures of the wrong shape.
        """
        self.check(text_ids, tokens)
        return self.head(self.features(text_ids, self.image_tokens(self.shift(tokens))))

    def check(self, text_ids: Tensor, tokens: Tensor) -> None:
        """Refuses captions and pictures of the wrong shape."""
        if tokens.ndim != 2 or tokens.shape[1] != self.config.length:
            raise EaselError(
                f"image tokens have the shape {list(tokens.shape)}, must be [pictures, {self.config.length}]."
            )
        if text_ids.ndim != 2 or len(text_ids) != len(tokens) or text_ids.shape[1] > self.config.text_length:
            raise EaselError(
                f"captions have the shape {list(text_ids.shape)}, must be [{len(tokens)} pictures, "
                f"up to {self.config.text_length}]."
            )

    def shift(self, tokens: Tensor) -> Tensor:
        """Image tokens [B, N] → the inputs that predict them: BOS and all but the last."""
        return F.pad(tokens, (1, -1), value=self.config.codes)

    def features(
        self, text_ids: Tensor, vectors: Tensor, levels: Tensor | None = None, times: Tensor | None = None
    ) -> Tensor:
        """What the output layer reads, [B, N, D]: the whole network but for that layer.

        Args:
            vectors: embeddings m of the image inputs, [B, N, D], BOS first.
            levels: noise level of every input, int64 [B, N], 0 for clean; None if all are.
            times: of the levels 1 … T, float [T].
        """
        x, turns, mask = self.prefix(text_ids, times)
        count, (rows, length) = x.shape[1], vectors.shape[:2]
        slots = torch.arange(length, device=vectors.device)
        x = torch.cat([x, self.inputs(vectors, slots, levels, times)], dim=1)  # [B, prefix + N, D]
        turns = torch.cat([turns, self.rotary(self.config.text_length + slots)], dim=3)
        causal = (slots[:, None] >= slots).expand(rows, 1, -1, -1)  # [B, 1, N, N]
        own = torch.cat([self.prefix_seen(text_ids, levels, times, length), causal], dim=-1)  # [B, 1, N, prefix + N]
        mask = torch.cat([F.pad(mask, (0, length)), own], dim=-2)
        for block in self.blocks:
            x = block(x, turns, mask)
        return self.norm(x[:, count:])

    def inputs(self, vectors: Tensor, slots: Tensor, levels: Tensor | None, times: Tensor | None) -> Tensor:
        """What the first block reads for embeddings m [B, W, D] that predict `slots`, int64 [W] or [B, W]."""
        positions = self.output_positions(slots.clamp(max=self.config.length - 1))
        x = self.scale * vectors + positions
        if self.config.levels == "added" and levels is not None:
            added = F.pad(self.level_projection(encode_times(times, self.config.width)), (0, 0, 1, 0))  # [T + 1, D]
            x = x + added[levels]
        return x

    def prefix(self, text_ids: Tensor, times: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Level tokens, if the network has any, and caption: what stands before the picture and depends on none of it.

        Level tokens depend on nothing at all, not on each other either. As keys they lie where BOS does.

        Returns:
            inputs [B, P, D], their turns (of `GridRotary`) and what they see of each other, bool [B, 1, P, P].
        """
        config, (rows, length) = self.config, text_ids.shape
        text = torch.arange(length, device=text_ids.device)
        mask = (text[:, None] >= text) & self.seen(text_ids)  # [B, 1, S, S]
        x = self.text_tokens(text_ids)
        places = text
        if count := self.level_count(times):
            x = torch.cat([self.scale * self.level_tokens(times).expand(rows, -1, -1), x], dim=1)  # [B, T + S, D]
            places = torch.cat([text.new_full((count,), config.text_length), text])
            mask = F.pad(mask, (count, 0, count, 0))
            mask[:, :, :count, :count] = torch.eye(count, dtype=torch.bool, device=mask.device)
        return x, self.rotary(places), mask

    def prefix_seen(self, text_ids: Tensor, levels: Tensor | None, times: Tensor | None, length: int) -> Tensor:
        """What image inputs with `levels` int64 [B, W] see of the prefix, bool [B, 1, W = length, P]."""
        seen = self.seen(text_ids).expand(-1, -1, length, -1)  # [B, 1, W, S]
        if count := self.level_count(times):
            numbers = torch.arange(1, count + 1, device=text_ids.device)
            levels = text_ids.new_zeros(len(text_ids), length) if levels is None else levels
            seen = torch.cat([(levels[:, None, :, None] == numbers), seen], dim=-1)  # [B, 1, W, T + S]
        return seen

    def level_count(self, times: Tensor | None) -> int:
        """How many level tokens stand before the caption."""
        return len(times) if times is not None and self.config.levels == "token" else 0

    def seen(self, text_ids: Tensor) -> Tensor:
        """Which caption tokens are not padding: [B, S] → bool [B, 1, 1, S]."""
        return (text_ids != self.config.text_padding)[:, None, None]

    def level_tokens(self, times: Tensor) -> Tensor:
        """Embeddings m of the level tokens at float `times` [T] → [T, D].

        Sinusoids of the time, brought to mean 0 and variance 1 over their own dimensions (the paper's "normalize",
        which it does not define for them; this holds for any number of levels) and then de-normalized like an image
        token.
        """
        encoded = encode_times(times, self.config.width)
        return self.deviation * F.layer_norm(encoded, encoded.shape[-1:]) + self.mean

    @torch.no_grad()
    def take_statistics(self) -> None:
        """Sets `mean` and `deviation` to those of the table of image tokens, every dimension over all codes.

        Over codes alone: BOS is never noisy, and text has a table of its own.
        """
        table = self.image_tokens.weight[: self.config.codes]
        self.mean.copy_(table.mean(dim=0))
        self.deviation.copy_(table.std(dim=0, correction=0))

    def standardize(self, vectors: Tensor) -> Tensor:
        """Embeddings m [..., D] → e (equation 4)."""
        return (vectors - self.mean) / self.deviation

    def destandardize(self, vectors: Tensor) -> Tensor:
        """Vectors e [..., D] → embeddings m (equation 4)."""
        return vectors * self.deviation + self.mean

    @torch.no_grad()
    def rescale_table(self, deviation: float) -> None:
        """Gives the table of image tokens another mean standard deviation; the network computes the same as before.

        What changes is how large noise of size 1 is beside embeddings that are not standardized.
        """
        table = self.image_tokens.weight
        factor = deviation / table[: self.config.codes].var(dim=0, correction=0).mean().sqrt()
        table.mul_(factor)
        self.scale.div_(factor)


def encode_times(times: Tensor, width: int) -> Tensor:
    """Sinusoids of times [T] in [0, 1] → [T, width] (Vaswani et al. 2017, arXiv:1706.03762, at 1000 times t)."""
    half = width // 2
    speeds = TIME_BASE ** -(torch.arange(half, device=times.device) / half)
    angles = TIME_SCALE * times[:, None] * speeds  # [T, width / 2]
    return torch.cat([angles.sin(), angles.cos()], dim=1)


@torch.no_grad()
def nats(model: Autoregressive, text_ids: np.ndarray, tokens: np.ndarray, batch_size: int = 64) -> np.ndarray:
    """−log p of every token of finished pictures under the model, teacher-forced, clean: float32 [N, length].

    The model's own likelihood, without guidance, temperature or top-k.

    Args:
        text_ids: int [N, S]; tokens: int [N, length], both in their order.
    """
    results = [np.empty((0, model.config.length), np.float32)]
    device = model.head.weight.device
    for start in range(0, len(tokens), batch_size):
        rows = slice(start, start + batch_size)
        texts = torch.from_numpy(np.asarray(text_ids[rows], np.int64)).to(device)
        images = torch.from_numpy(np.asarray(tokens[rows], np.int64)).to(device)
        logits = model(texts, images).float()  # [B, length, codes]
        results.append(F.cross_entropy(logits.transpose(1, 2), images, reduction="none").cpu().numpy())
    return np.concatenate(results)


def save(model: Autoregressive, folder: Path) -> None:
    """Writes `folder`/model.safetensors, sizes included."""
    checkpoint.save(Path(folder) / "model.safetensors", module_arrays(model), {"config": asdict(model.config)})


def load(folder: Path) -> Autoregressive:
    """The network that `save` wrote, in evaluation mode and without gradients of its own.

    Raises:
        EaselError: the file is missing or damaged.
    """
    arrays, meta = checkpoint.load_network(folder)
    model = Autoregressive(AutoregressiveConfig(**meta["config"]), torch.Generator())
    load_module(model, arrays)
    return model.eval().requires_grad_(False)


def with_levels(model: Autoregressive, levels: Levels) -> Autoregressive:
    """A copy of an untuned model that is told noise levels; where all inputs are clean it computes the same."""
    config = AutoregressiveConfig(**asdict(model.config) | {"levels": levels})
    copy = Autoregressive(config, torch.Generator())
    arrays = {name: value for name, value in module_arrays(model).items() if not name.startswith("level_projection")}
    load_module(copy, module_arrays(copy) | arrays)
    return copy.to(model.head.weight.device)
