"""The image tokenizer: a convolutional autoencoder with a quantizer in the middle (VQGAN, arXiv:2012.09841).

`stride` by `stride` pixels become one token. Nothing in the network knows the size of the picture: with a stride of 4,
64×64 gives 16×16 tokens and 128×128 gives 32×32, with the same weights.

The encoder looks at a token's own pixels alone, unlike the original's, and the decoder at the neighbours as well. So a
plain background is one code, whatever lies beside it, and a model of the tokens has less to learn; with the neighbours
in view, an encoder tells of them too, in many codes for the same plain patch.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lib.errors import EaselError
from lib.models.quantizer import Quantizer
from lib.models.residual import initialise
from lib.weights import checkpoint
from lib.weights.torch_state import load_module, module_arrays


class ChannelNorm(nn.Module):
    """Layer normalisation over the channels of each position of [B, C, H, W]."""

    def __init__(self, width: int):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        # In channels_last memory the two permutations move nothing.
        return F.layer_norm(x.permute(0, 2, 3, 1), self.weight.shape, self.weight, self.bias).permute(0, 3, 1, 2)


class ResidualBlock(nn.Module):
    """x + convolution(SiLU(convolution(norm(x)))), [B, C, H, W] → the same; `kernel` positions wide and high, odd."""

    def __init__(self, width: int, kernel: int):
        super().__init__()
        self.norm = ChannelNorm(width)
        self.conv1 = nn.Conv2d(width, width, kernel, padding=kernel // 2)
        self.conv2 = nn.Conv2d(width, width, kernel, padding=kernel // 2)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(F.silu(self.conv1(self.norm(x))))


class VQGAN(nn.Module):
    """Pictures to tokens and back.

    Args:
        width: channels at the resolution of the tokens.
        codes: size of the vocabulary.
        code_width: dimensions of a code.
        ema_decay: of the codebook's averages.
        stride: pixels a token, in both directions; s below.
        generator: of the initial weights; None leaves them to the caller, who has better ones.
    """

    def __init__(
        self,
        width: int,
        codes: int,
        code_width: int,
        ema_decay: float,
        stride: int,
        generator: torch.Generator | None = None,
    ):
        super().__init__()
        self.config = dict(width=width, codes=codes, code_width=code_width, ema_decay=ema_decay, stride=stride)
        self.stride = stride
        # All work at the resolution of the tokens: the same arithmetic buys more there than at that of the pixels.
        self.encoder = nn.Sequential(
            nn.PixelUnshuffle(stride),  # → [B, 3·s², H/s, W/s]
            nn.Conv2d(3 * stride**2, width, 1),  # → [B, w, H/s, W/s]
            ResidualBlock(width, 1),
            ResidualBlock(width, 1),
            ChannelNorm(width),
            nn.Conv2d(width, code_width, 1),  # → [B, d, H/s, W/s]
        )
        self.quantizer = Quantizer(codes, code_width, ema_decay)
        self.decoder = nn.Sequential(
            nn.Conv2d(code_width, width, 3, padding=1),  # → [B, w, H/s, W/s]
            ResidualBlock(width, 3),
            ResidualBlock(width, 3),
            ChannelNorm(width),
            nn.Conv2d(width, 3 * stride**2, 3, padding=1),  # → [B, 3·s², H/s, W/s]
            nn.PixelShuffle(stride),  # → [B, 3, H, W]
        )
        if generator is not None:
            initialise(self, generator)
            for part in self.modules():
                if isinstance(part, ResidualBlock):
                    nn.init.zeros_(part.conv2.weight)  # the block starts as the identity
        self.to(memory_format=torch.channels_last)  # several times faster on a CPU

    def embed(self, images: Tensor) -> Tensor:
        """Pictures [B, 3, H, W] in [0, 1] → unit vectors before quantization [B, H/s, W/s, d].

        Raises:
            EaselError: height or width is not a multiple of the stride.
        """
        height, width = images.shape[-2:]
        if height % self.stride or width % self.stride:
            raise EaselError(
                f"a picture of {height}×{width} cannot be tokenized; both must be multiples of {self.stride}."
            )
        features = self.encoder(2 * images.contiguous(memory_format=torch.channels_last) - 1)
        return F.normalize(features.float().permute(0, 2, 3, 1), dim=-1)  # → [B, H/s, W/s, d]

    def paint(self, codes: Tensor) -> Tensor:
        """Codes [B, h, w, d] → pictures [B, 3, s·h, s·w], not yet clipped to [0, 1]."""
        return (self.decoder(codes.permute(0, 3, 1, 2)).float() + 1) / 2

    @torch.no_grad()
    def encode(self, images: Tensor) -> Tensor:
        """Pictures, float [B, 3, H, W] in [0, 1] → tokens, int64 [B, H/s, W/s]."""
        return self.quantizer.nearest(self.embed(images))

    @torch.no_grad()
    def decode(self, tokens: Tensor) -> Tensor:
        """Tokens, int64 [B, h, w] → pictures, float [B, 3, s·h, s·w] in [0, 1]."""
        return self.paint(self.quantizer.lookup(tokens)).clamp(0, 1)

    @property
    def device(self) -> torch.device:
        """Where the weights lie."""
        return self.quantizer.codebook.device


def pixels_to_tensor(images: np.ndarray, device: torch.device) -> Tensor:
    """uint8 [B, H, W, 3] → float [B, 3, H, W] in [0, 1], in channels_last memory as it comes."""
    return torch.from_numpy(np.array(images)).to(device).permute(0, 3, 1, 2).float() / 255


def encode_batches(
    model: VQGAN, images: np.ndarray, batch: int = 64, report: Callable[[int], None] | None = None
) -> np.ndarray:
    """Pictures uint8 [N, H, W, 3] → tokens uint16 [N, H/s, W/s], `batch` at a time; `report(done)` after each."""
    height, width = images.shape[1] // model.stride, images.shape[2] // model.stride
    tokens = np.empty((len(images), height, width), np.uint16)
    for start in range(0, len(images), batch):
        part = model.encode(pixels_to_tensor(images[start : start + batch], model.device))
        tokens[start : start + len(part)] = part.cpu().numpy()
        if report:
            report(start + len(part))
    return tokens


def decode_batches(model: VQGAN, tokens: np.ndarray, batch: int = 64) -> np.ndarray:
    """Tokens, integers [N, h, w] → pictures uint8 [N, s·h, s·w, 3], `batch` at a time.

    Raises:
        EaselError: a token is not in the vocabulary.
    """
    codes = model.config["codes"]
    if len(tokens) and not 0 <= int(tokens.min()) <= int(tokens.max()) < codes:
        raise EaselError(f"tokens from {tokens.min()} to {tokens.max()} cannot be decoded; there are {codes} codes.")
    count, height, width = tokens.shape
    images = np.empty((count, model.stride * height, model.stride * width, 3), np.uint8)
    for start in range(0, count, batch):
        part = torch.from_numpy(tokens[start : start + batch].astype(np.int64)).to(model.device)
        painted = model.decode(part).mul(255).round().to(torch.uint8)  # [B, 3, H, W]
        images[start : start + len(part)] = painted.permute(0, 2, 3, 1).cpu().numpy()
    return images


def save(model: VQGAN, folder: Path) -> None:
    """Writes folder/model.safetensors, the configuration in its metadata."""
    checkpoint.save(Path(folder) / "model.safetensors", module_arrays(model), {"config": model.config})


def load(folder: Path | str) -> VQGAN:
    """The tokenizer that `save` wrote, ready to encode and decode.

    Raises:
        EaselError: there is none, or the file is damaged.
    """
    arrays, meta = checkpoint.load_network(folder)
    model = VQGAN(**meta["config"])
    load_module(model, arrays)
    return model.eval().requires_grad_(False)
