"""A small CLIP (Radford et al. 2021): an image tower and a caption tower that meet in one space.

It serves three purposes: the CLIP score and re-ranking (both towers), FID and KID (`pooled`), and the tokenizer's
perceptual loss (`features`). The image tower is a plain residual network; the caption tower reads every language with
one vocabulary.
"""

from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from lib.data.store import to_float
from lib.errors import EaselError
from lib.models.residual import ResidualBlock, conv, initialise
from lib.weights import checkpoint
from lib.weights.torch_state import load_module, module_arrays

IMAGE_SIZE = 64  # the side that the image tower is trained on
PAD = 0


@dataclass(frozen=True)
class ClipConfig:
    """Sizes of both towers; saved with the weights."""

    vocabulary: int  # token ids 0 (padding) … vocabulary − 1
    length: int  # longest caption in tokens
    width: int  # channels of the image tower at stride 2; 2, 3 and 4 times as many at strides 4, 8 and 16
    embedding: int
    text_width: int
    text_layers: int
    text_heads: int

    def __post_init__(self):
        if self.text_width % self.text_heads:
            raise EaselError(f"clip.text_heads = {self.text_heads} must divide clip.text_width = {self.text_width}.")


class ImageTower(nn.Module):
    """Fully convolutional residual network of strides 2, 4, 8, 16 with mean pooling."""

    def __init__(self, width: int, embedding: int):
        super().__init__()
        widths = [width, 2 * width, 3 * width, 4 * width]
        self.num_features = widths[-1]
        self.stem = nn.Sequential(conv(3, width, stride=2, kernel=5), nn.ReLU(), conv(width, width), nn.ReLU())
        self.stages = nn.ModuleList(
            nn.Sequential(conv(before, after, stride=2), nn.ReLU(), ResidualBlock(after))
            for before, after in pairwise(widths)
        )
        self.project = nn.Linear(self.num_features, embedding, bias=False)

    def maps(self, images: Tensor) -> list[Tensor]:
        """float [B, 3, S, S] in [0, 1] → maps [B, (1, 2, 3, 4) × width, S / (2, 4, 8, 16), …]."""
        x = self.stem((images * 2 - 1).contiguous(memory_format=torch.channels_last))
        maps = [x]
        for stage in self.stages:
            maps.append(stage(maps[-1]))
        return maps

    def pooled(self, images: Tensor) -> Tensor:
        return self.maps(images)[-1].mean(dim=(2, 3))  # [B, 4 width, h, w] -> [B, 4 width]

    def forward(self, images: Tensor) -> Tensor:
        return self.project(self.pooled(images))


class TextTower(nn.Module):
    """Pre-norm transformer encoder over token ids; the caption is the mean over its tokens, padding left out."""

    def __init__(self, config: ClipConfig):
        super().__init__()
        width = config.text_width
        self.tokens = nn.Embedding(config.vocabulary, width)
        self.positions = nn.Embedding(config.length, width)
        layer = nn.TransformerEncoderLayer(
            width, config.text_heads, 4 * width, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(layer, config.text_layers, nn.LayerNorm(width), enable_nested_tensor=False)
        self.project = nn.Linear(width, config.embedding, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        padding = tokens == PAD  # [B, L]
        x = self.tokens(tokens) + self.positions.weight[: tokens.shape[1]]  # [B, L] -> [B, L, D]
        x = self.layers(x, src_key_padding_mask=padding)
        real = (~padding).unsqueeze(2).to(x.dtype)  # [B, L, 1]
        return self.project((x * real).sum(1) / real.sum(1))  # [B, L, D] -> [B, E]


class Clip(nn.Module):
    """Both towers and the learned temperature.

    Batch norm makes `eval()` matter: `load` returns the network in that mode.

    Args:
        generator: source of the first weights.
    """

    def __init__(self, config: ClipConfig, generator: torch.Generator):
        super().__init__()
        self.config = config
        self.image = ImageTower(config.width, config.embedding)
        self.text = TextTower(config)
        self.log_scale = nn.Parameter(torch.full((1,), float(np.log(1 / 0.07))))  # section 2.5 of the paper
        initialise(self, generator)
        self.to(memory_format=torch.channels_last)

    @property
    def num_features(self) -> int:
        """Width of `pooled`."""
        return self.image.num_features

    def features(self, images: Tensor) -> list[Tensor]:
        """Maps at strides 2, 4 and 8, for a perceptual loss; differentiable in the images.

        Args:
            images: float [B, 3, S, S] in [0, 1]; any S divisible by 16.

        Returns:
            [B, W, S/2, S/2], [B, 2W, S/4, S/4], [B, 3W, S/8, S/8] with W = config.width.
        """
        return self.image.maps(images)[:3]

    def pooled(self, images: Tensor) -> Tensor:
        """What FID and KID measure in: the last map's mean, before the projection. [B, 3, S, S] → [B, num_features]."""
        return self.image.pooled(images)

    def image_embedding(self, images: Tensor) -> Tensor:
        """float [B, 3, S, S] in [0, 1] → unit vectors [B, E]."""
        return functional.normalize(self.image(images), dim=1)

    def text_embedding(self, tokens: Tensor) -> Tensor:
        """int64 [B, L ≤ config.length], padded at the end with 0 → unit vectors [B, E].

        Raises:
            EaselError: captions longer than the network was made for, or a row of padding alone.
        """
        if tokens.shape[1] > self.config.length:
            raise EaselError(
                f"CLIP reads captions of up to {self.config.length} tokens, got {tokens.shape[1]}; "
                "encode them with the length that it was trained with."
            )
        if bool((tokens == PAD).all(dim=1).any()):
            raise EaselError("CLIP was given a caption without a token (padding alone).")
        return functional.normalize(self.text(tokens), dim=1)

    @property
    def scale(self) -> Tensor:
        """1 / temperature, at most 100 as in the paper."""
        return self.log_scale.clamp(max=float(np.log(100.0))).exp()


def contrastive_loss(images: Tensor, texts: Tensor, tokens: Tensor, scale: Tensor) -> Tensor:
    """Symmetric cross-entropy over the batch's picture–caption similarities (Radford et al. 2021, figure 3).

    Short captions repeat within a batch ("a red circle"), and the caption of one picture is then just as true of the
    other. Pushing such a pair apart would teach nothing but noise, so each row's target is spread evenly over all
    captions with the same tokens (as UniCL, Yang et al. 2022, does with class labels). Where all captions differ this
    is CLIP's own loss.

    Args:
        images, texts: unit vectors [B, E]; row i of both belongs together.
        tokens: the captions, int64 [B, L]; only their equality matters.
        scale: 1 / temperature.
    """
    logits = scale * images @ texts.T  # [B, E] · [E, B] -> [B, B], pictures × captions
    same = (tokens[:, None] == tokens[None]).all(dim=2).to(logits.dtype)  # [B, B], symmetric
    target = same / same.sum(dim=1, keepdim=True)
    to_text = -(target * logits.log_softmax(dim=1)).sum(dim=1).mean()
    to_image = -(target * logits.T.log_softmax(dim=1)).sum(dim=1).mean()
    return (to_text + to_image) / 2


def as_input(images: np.ndarray) -> Tensor:
    """Pictures as CLIP's image tower takes them: uint8 [B, S, S, 3] → float [B, 3, 64, 64] in [0, 1].

    Other sizes are resized with an antialiasing filter.
    """
    x = torch.from_numpy(to_float(images))
    if x.shape[2] != IMAGE_SIZE:
        x = functional.interpolate(x, (IMAGE_SIZE, IMAGE_SIZE), mode="bilinear", antialias=True)  # [B, 3, S, S] -> 64
        x = x.clamp(0, 1)
    return x


def embed_images(clip: Clip, images: np.ndarray, batch_size: int = 128) -> np.ndarray:
    """Unit vectors of uint8 pictures [N, S, S, 3] → float32 [N, E]."""
    with torch.no_grad():
        batches = [
            clip.image_embedding(as_input(images[i : i + batch_size])) for i in range(0, len(images), batch_size)
        ]
    return torch.cat(batches).numpy()


def embed_texts(clip: Clip, tokens: np.ndarray, batch_size: int = 256) -> np.ndarray:
    """Unit vectors of padded captions int [N, L] → float32 [N, E]."""
    ids = torch.from_numpy(np.asarray(tokens, dtype=np.int64))
    with torch.no_grad():
        return torch.cat([clip.text_embedding(batch) for batch in ids.split(batch_size)]).numpy()


def save(clip: Clip, folder: Path) -> None:
    """Writes `folder`/model.safetensors, sizes included."""
    checkpoint.save(folder / "model.safetensors", module_arrays(clip), {"config": asdict(clip.config)})


def load(folder: Path) -> Clip:
    """The network that `save` wrote, in evaluation mode and without gradients of its own.

    Raises:
        EaselError: the file is missing or damaged.
    """
    arrays, meta = checkpoint.load_network(folder)
    clip = Clip(ClipConfig(**meta["config"]), torch.Generator())
    load_module(clip, arrays)
    return clip.eval().requires_grad_(False)
