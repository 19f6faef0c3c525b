"""What decoders see of lib/models/parti.py: windows of tokens in, log-probabilities out (`Predictor` of
lib/decoding/predictor.py).

Captions, guidance, temperature, top-k and the cache of keys and values are in here. What the network reads of captions
is computed once for all passes.
"""

import torch
from torch import Tensor

from lib.models.autoregressive_predictor import Sampling
from lib.models.parti import Parti
from lib.models.text_encoder import TextFeatures
from lib.models.transformer import Cache


class PartiPredictor:
    """Predictions of one batch of captions.

    The cache has one column for each slot and one for those past the end of a picture, which no other input sees. An
    input sees the columns up to its own, so a row is rolled back by calling with a smaller start.

    Args:
        text: features of the captions.
        sampling: guidance leads away from the dropped caption.

    Attributes:
        length: slots of a picture.
        codes: tokens are 0 … codes − 1; the first input of all is `codes`.
        rows: pictures decoded at once, B.

    Raises:
        EaselError: a caption without a token.
    """

    def __init__(self, model: Parti, text: TextFeatures, sampling: Sampling | None = None):
        config, self.model, self.sampling = model.config, model, sampling or Sampling()
        self.length, self.codes, self.rows = config.length, config.codes, len(text)
        device, copies = model.head.weight.device, self.sampling.copies
        dropped = torch.arange(copies * self.rows) >= self.rows
        if copies == 2:
            text = text.then(text)
        with torch.no_grad():
            self.memory = model.read(text.to(device), dropped.to(device))  # [copies · B] rows
        self.slots = torch.arange(self.length + 1, device=device)
        sizes = copies * self.rows, config.heads, len(self.slots), config.width // config.heads
        self.caches = [Cache(*sizes, model.head.weight) for _ in model.blocks]

    @torch.no_grad()
    def predict(self, inputs: Tensor, start: Tensor) -> Tensor:
        """Log-probabilities float32 [B, W, codes] of slots start … start + W − 1, sampling settings applied.

        Args:
            inputs: int64 [B, W], the tokens at slots start − 1 … start + W − 2.
            start: int64 [B]. Predictions of slots past the end mean nothing.
        """
        copies = self.sampling.copies
        slots = start[:, None] + torch.arange(inputs.shape[1], device=start.device)
        slots = slots.clamp(max=self.length).repeat(copies, 1)  # [copies · B, W]
        visible = (self.slots <= slots[:, :, None])[:, None]  # [copies · B, 1, W, columns]
        features = self.model.window(inputs.repeat(copies, 1), slots, self.memory, self.caches, visible)
        return self.sampling(self.model.head(features))
