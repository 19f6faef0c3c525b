"""What the next-scale sampler sees of lib/models/var.py: tokens of the coarser scales in, log-probabilities of the next
scale out (`ScalePredictor` of lib/decoding/next_scale.py).

The way from tokens to the network's inputs, captions, guidance, temperature, top-k and the cache of keys and values are
in here. What the network reads of captions is computed once for all scales.
"""

import torch
from torch import Tensor

from lib.errors import EaselError
from lib.models.autoregressive_predictor import Sampling
from lib.models.multi_scale_quantizer import MultiScaleQuantizer, split_scales
from lib.models.text_encoder import TextFeatures
from lib.models.transformer import Cache
from lib.models.var import Var


class VarPredictor:
    """Predictions of one batch of captions.

    Guidance leads away from the dropped caption and rises with the scales, as in VAR's code: logits are uncond + g_k ·
    (cond − uncond), where g_k rises linearly from 1, the model as it is, at the first scale to g at the last.

    Args:
        quantizer: of the tokenizer whose tokens the network was trained on.
        text: features of the captions.
        guidance: g; 1 needs no unconditional rows.
        temperature: 0 leaves only the most likely token.
        top_k: 0 switches it off.

    Attributes:
        sizes: tokens of each scale.
        codes: tokens are 0 … codes − 1.
        rows: pictures decoded at once, B.

    Raises:
        EaselError: a caption without a token, settings out of range, or a quantizer of other scales or codes.
    """

    def __init__(
        self,
        model: Var,
        quantizer: MultiScaleQuantizer,
        text: TextFeatures,
        guidance: float = 1.0,
        temperature: float = 1.0,
        top_k: int = 0,
    ):
        config, self.model, self.quantizer = model.config, model, quantizer
        check_quantizer(model, quantizer)
        self.sizes, self.codes, self.rows = config.sizes, config.codes, len(text)
        last = len(self.sizes) - 1
        self.samplings = [Sampling(1 + (guidance - 1) * k / last, temperature, top_k) for k in range(last + 1)]
        device, copies = model.head.weight.device, self.samplings[-1].copies
        dropped = torch.arange(copies * self.rows) >= self.rows
        if copies == 2:
            text = text.then(text)
        with torch.no_grad():
            self.mean, self.readings = model.read(text.to(device), dropped.to(device))  # [copies · B] rows
        sizes = copies * self.rows, config.heads, config.length, config.width // config.heads
        self.caches = [Cache(*sizes, model.head.weight) for _ in model.blocks]

    @torch.no_grad()
    def predict(self, tokens: Tensor) -> Tensor:
        """Log-probabilities float32 [B, size, codes] of the next scale, sampling settings applied.

        Args:
            tokens: of all coarser scales in one row, int64 [B, n], n = 0 for the first one.

        Raises:
            EaselError: tokens that do not end with a scale.
        """
        scale, start = len(split_scales(tokens, self.model.config.scales)), tokens.shape[1]
        inputs = self.quantizer.inputs(tokens)[:, -self.sizes[scale] :]  # [B, size, d]; none of the first scale
        inputs = inputs.repeat(len(self.mean) // self.rows, 1, 1)  # → [copies · B, size, d]
        logits = self.model.head(self.model.features(inputs, start, self.mean, self.readings, self.caches))
        sampling = self.samplings[scale]
        return sampling(logits[: sampling.copies * self.rows])  # the first scale's is not guided


def check_quantizer(model: Var, quantizer: MultiScaleQuantizer) -> None:
    """Refuses a quantizer whose tokens the model does not know. Raises EaselError."""
    config = model.config
    wanted, found = (config.scales, config.codes, config.code_width), (quantizer.scales, *quantizer.codebook.shape)
    if wanted != found:
        raise EaselError(
            f"the network was made for scales {list(wanted[0])}, {wanted[1]} codes of width {wanted[2]}; the tokenizer "
            f"has scales {list(found[0])}, {found[1]} codes of width {found[2]}."
        )
