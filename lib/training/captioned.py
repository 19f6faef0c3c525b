"""What trainings on pictures have in common whose captions a frozen text network reads."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from lib.data.captions import Captions
from lib.models.cross_attention import blocks_of
from lib.models.text_encoder import TextFeatures
from lib.training.average import AveragedTrainee
from lib.training.averaged_settings import AveragedTrainingParams

# Captions int64 [B, S], padded → what the frozen text network makes of them.
Encode = Callable[[Tensor], TextFeatures]


class CaptionedBatches:
    """Captions of a split, from which every update draws.

    Args:
        captions: of every picture.
        encode: of a network that is not trained here.
        dropout: share of the captions that are dropped, each by itself: nothing of them is seen then.
        seed: step `n` draws from (seed, n) alone.
        device: of the network that is trained.
    """

    def __init__(self, captions: Captions, encode: Encode, dropout: float, seed: int, device: torch.device):
        self.captions, self.encode, self.dropout = captions, encode, dropout
        self.seed, self.device = seed, device

    def random(self, step: int) -> np.random.Generator:
        """Source of all that is random in update `step`."""
        return np.random.Generator(np.random.PCG64([self.seed, step]))

    def text(self, indices: np.ndarray, random: np.random.Generator) -> tuple[TextFeatures, Tensor]:
        """Features of a caption of each of the pictures int64 [B], and which captions are dropped, bool [B]."""
        ids = self.captions.draw(indices, 0.0, random)
        dropped = random.random(len(indices)) < self.dropout
        return self.encode(self.there(ids.astype(np.int64))), self.there(dropped)

    def there(self, array: np.ndarray) -> Tensor:
        """On the device."""
        return torch.from_numpy(array).to(self.device)


class CaptionedTrainee(AveragedTrainee):
    """A trainee whose updates see captioned batches; all matrices of its blocks are for Muon, the rest for AdamW.

    Args:
        model: trained in place, where it lies. `average` has the weights to draw with.
        batches: what the pictures `indices` show in update `step`, called with both.
    """

    def __init__(self, model: nn.Module, batches: CaptionedBatches, params: AveragedTrainingParams):
        super().__init__(model, params.training, blocks_of(model), params.average)
        self.batches = batches
