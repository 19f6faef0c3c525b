"""A U-Net that reads captions twice, as Stable Diffusion XL's and Kolors' do: word by word through attention, and as
one vector beside the time, which scales and shifts what every residual block does (Podell et al. 2023,
arXiv:2307.01952, section 2.1). PyTorch.

Kolors' vector is what its language model makes of the last token. Here it is the mean over a caption's tokens, whatever
the text network: an encoder that sees the whole text has no last token that knows it.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lib.models.cross_attention import Memory
from lib.models.pooled_caption import PooledCaption, pooled_weights
from lib.models.residual import initialise
from lib.models.text_encoder import TextFeatures
from lib.models.unet import TIME_WIDTH, SmallPictures, TimeEmbedding, UNet, UNetConfig, config_of


@dataclass(frozen=True)
class PooledUNetConfig(UNetConfig):
    """Sizes; those of the U-Net."""

    @classmethod
    def of(cls, saved: Mapping[str, Any]) -> "PooledUNetConfig":
        """Sizes as JSON gives them back, tuples as lists."""
        return cls(**asdict(config_of(saved)))

    @property
    def parameters(self) -> int:
        """Weights of the network."""
        return super().parameters + pooled_weights(self.text_width, TIME_WIDTH * self.widths[0])


class Reading(NamedTuple):
    """What the network sees of captions; the same for every pass over a batch.

    Attributes:
        words: what the transformer blocks see.
        pooled: what is added to the time, [B, time_width].
    """

    words: list[Memory]
    pooled: Tensor


class Heard(NamedTuple):
    """Times float [B], and what is added to their vectors, [B, time_width]."""

    times: Tensor
    pooled: Tensor


class PooledTime(TimeEmbedding):
    """The time's vector, the caption's added."""

    def forward(self, heard: Heard) -> Tensor:
        """→ [B, time_width]."""
        return super().forward(heard.times) + heard.pooled


class PooledUNet(UNet):
    """As `UNet`, but for the mean of a caption's frozen vectors beside the time."""

    def __init__(self, config: PooledUNetConfig, generator: torch.Generator):
        super().__init__(config, generator)
        self.time = PooledTime(config.widths[0])
        initialise(self.time, generator)
        self.pooled = PooledCaption(config.text_width, TIME_WIDTH * config.widths[0], generator)

    def read(self, text: TextFeatures, dropped: Tensor | None = None) -> Reading:
        """As `UNet.read`."""
        return Reading(super().read(text, dropped), self.pooled(text, dropped))

    def forward(self, x: Tensor, times: Tensor, memory: Reading, small: SmallPictures | None = None) -> Tensor:
        """As `UNet.forward`."""
        return super().forward(x, Heard(times, memory.pooled), memory.words, small)
