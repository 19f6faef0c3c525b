"""What every kind of model has in common: a network that draws pictures of what it reads through a frozen text
network."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from torch import Tensor, nn

from lib.config_tree import Section, plain, read
from lib.decoding.noise import RowRandom
from lib.errors import EaselError
from lib.models.text_encoder import TextEncoder, TextFeatures
from lib.models.vqgan import VQGAN
from lib.weights.torch_state import load_module


@dataclass(frozen=True)
class Drawn:
    """A batch.

    Attributes:
        pictures: tokens int64 [B, N], or pixels uint8 [B, S, S, 3] of a model that knows no tokens.
        passes: that it took, int64 [B].
    """

    pictures: Tensor
    passes: Tensor


class Model(ABC):
    """A trained model.

    Args:
        arrays, meta: its weights, and what they say of themselves.
        encoder: the text network; tokenizer: of its pictures; None for a model of pixels.
        sampling: settings that are usual for it, as its kind has them.
        where: these were read, for messages.
        base: what draws the small pictures, for a model that enlarges and no other.

    Raises:
        EaselError: settings that its kind does not have, or a base that is missing or not wanted.
    """

    name: ClassVar[str]  # for people
    settings: ClassVar[type[Section]]
    enlarges: ClassVar[bool] = False

    def __init__(
        self,
        arrays: dict[str, np.ndarray],
        meta: Mapping[str, Any],
        encoder: TextEncoder,
        tokenizer: VQGAN | None,
        sampling: Mapping[str, Any],
        where: str,
        base: "Model | None" = None,
    ):
        if (base is not None) != self.enlarges:
            raise EaselError(f"{self.name} {'needs a model of' if self.enlarges else 'enlarges no'} small pictures.")
        self.meta, self.encoder, self.tokenizer, self.base = meta, encoder, tokenizer, base
        self.sampling = read(plain(sampling), self.settings, where, "sampling")
        self.network = self.build(meta)
        load_module(self.network, arrays)
        self.network.eval().requires_grad_(False)

    @staticmethod
    @abstractmethod
    def build(meta: Mapping[str, Any]) -> nn.Module:
        """An untrained network of the sizes that weights say of themselves."""

    @abstractmethod
    def draw(self, ids: Tensor, random: RowRandom, sampling: Any) -> Drawn:
        """Pictures of prompts.

        Args:
            ids: prompts, int64 [B, length], padded.
            random: a stream for each picture.
            sampling: of type `settings`.
        """

    def features(self, ids: Tensor) -> TextFeatures:
        """What the network reads of prompts int64 [B, length]. Padding stays, whatever is in the batch: a picture must
        not depend on it."""
        return self.encoder.features(ids)


class Filling(Model):
    """A model that fills gaps.

    Attributes:
        grid: rows and columns of its pictures' tokens.
    """

    @property
    def grid(self) -> tuple[int, int]:
        return self.network.config.rows, self.network.config.columns

    @abstractmethod
    def fill(self, ids: Tensor, random: RowRandom, sampling: Any, known: Tensor) -> Drawn:
        """As `draw`, but for tokens that are known, int64 [B, N], −1 elsewhere: they stay as they are."""


class Editing(Filling):
    """A model that also edits without a mask."""

    resampling: ClassVar[type[Section]]

    @abstractmethod
    def resample(self, ids: Tensor, random: RowRandom, sampling: Any, tokens: Tensor) -> Drawn:
        """Pictures int64 [B, N] brought to what prompts say.

        Args:
            sampling: of type `resampling`.
        """
