"""What masked decoders see of a Muse model: pictures with masked tokens in, log-probabilities of every token out.

Captions, guidance, negative prompts, temperature and top-k are in here. What the network reads of captions and of the
small picture is computed once for all passes.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from lib.errors import EaselError
from lib.models.autoregressive_predictor import Sampling
from lib.models.muse import Muse
from lib.models.text_encoder import TextFeatures


@dataclass(frozen=True)
class Guidance:
    """Classifier-free guidance (Muse, section 2.7) over the passes of a decoding.

    Logits are uncond + g · (cond − uncond); the paper's are (1 + t) · cond − t · uncond, so g = 1 + t, and g = 1 is the
    model as it is, which costs half a pass.

    Attributes:
        scale: the largest g.
        ramp: whether g rises with the progress from 1 to `scale` (the paper: linearly), or is `scale` all the time.
        start: progress before which g is 1; above 0, guidance acts in a late interval only.
    """

    scale: float = 1.0
    ramp: bool = False
    start: float = 0.0

    def __post_init__(self):
        if not (self.scale >= 0 and 0 <= self.start <= 1):
            raise EaselError(f"guidance needs scale ≥ 0 and start in 0 … 1, not {self.scale} and {self.start}.")

    def at(self, progress: float) -> float:
        """g at a progress from 0, the first pass, to 1, the last one."""
        if progress < self.start:
            return 1.0
        return 1 + (self.scale - 1) * progress if self.ramp else self.scale


class MusePredictor:
    """Predictions of one batch of captions, for the decoders of lib/decoding/masked.py.

    Args:
        text: features of the captions.
        negative: of captions to lead away from, one for each of `text` (section 2.7: they take the place of the dropped
            caption); None: the dropped caption.
        small: tokens of the small pictures, int64 [B, small_length], for a super-resolution model and no other.
        temperature: 0 leaves only the most likely token.
        top_k: 0 switches it off.

    Attributes:
        length: tokens of a picture.
        codes: tokens are 0 … codes − 1.
        mask: the id of a token that is not known, `codes`.
        rows: pictures decoded at once, B.

    Raises:
        EaselError: a caption without a token, settings out of range, or not as many negative captions as captions.
    """

    def __init__(
        self,
        model: Muse,
        text: TextFeatures,
        guidance: Guidance | None = None,
        negative: TextFeatures | None = None,
        small: Tensor | None = None,
        temperature: float = 1.0,
        top_k: int = 0,
    ):
        self.model, self.guidance = model, guidance or Guidance()
        self.temperature, self.top_k = temperature, top_k
        self.length, self.codes, self.mask, self.rows = (
            model.config.length,
            model.config.codes,
            model.config.codes,
            len(text),
        )
        self.sampling(0.0)
        if negative is not None and len(negative) != self.rows:
            raise EaselError(f"there are {self.rows} captions, but {len(negative)} negative ones.")
        rows, device = torch.arange(self.rows), model.head.weight.device
        dropped = rows < 0
        if self.guidance.scale != 1:
            text = text.then(text if negative is None else negative)
            dropped = torch.cat([dropped, torch.full_like(dropped, negative is None)])
            rows = rows.repeat(2)
        given = () if small is None else (small[rows.to(small.device)].to(device),)
        with torch.no_grad():
            self.memory = model.read(text.to(device), dropped.to(device), *given)  # [B] or [2B] rows

    def sampling(self, progress: float) -> Sampling:
        """From logits to log-probabilities at a progress."""
        return Sampling(self.guidance.at(progress), self.temperature, self.top_k)

    @torch.no_grad()
    def predict(self, tokens: Tensor, progress: float) -> Tensor:
        """Log-probabilities float32 [B, N, codes] of every token, those that are known too, each given all that are.

        Args:
            tokens: int64 [B, N], `mask` where one is not known.
            progress: share of the passes before this one, from 0, the first, to 1, the last; only guidance reads it.
        """
        sampling = self.sampling(progress)
        memory = [layer.first(sampling.copies * self.rows) for layer in self.memory]
        return sampling(self.model.head(self.model.features(tokens.repeat(sampling.copies, 1), memory)))
