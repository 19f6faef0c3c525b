"""What masked decoders see of a Muse model: pictures with masked tokens in, log-probabilities of every token out.

Captions, guidance, negative prompts, temperature and top-k are in here. What the network reads of captions and of the
small picture is computed once for all passes.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from lib.errors import EaselError
from lib.models.autoregressive_predictor import Sampling
from lib.models.muse import Muse, MuseSuperResolution
from lib.models.text_encoder import TextFeatures


@dataclass(frozen=True)
class Guidance:
    """Classifier-free guidance (Muse, section 2.7) over the passes of a decoding.

    Logits are uncond + g · (cond − uncond); the paper's are (1 + t) · cond − t · uncond, so g = 1 + t. Where g = 1, the
    model as it is, a pass computes no unconditional logits.

    Attributes:
        scale: the largest g.
        ramp: whether g rises linearly with the progress, as in the paper, to `scale` in the last pass (and from 1, were
            there a pass without progress); if not, it is `scale`.
        start: progress up to which g is 1 all the same: above 0, guidance acts in a late interval only.
    """

    scale: float = 1.0
    ramp: bool = False
    start: float = 0.0

    def __post_init__(self):
        if not (self.scale >= 0 and 0 <= self.start < 1):
            raise EaselError(
                f"guidance needs scale ≥ 0 and start at least 0 and below 1, not {self.scale} and {self.start}."
            )

    def at(self, progress: Tensor) -> Tensor:
        """g of pictures whose progress is float [B], in 0 … 1: float [B]."""
        rising = 1 + (self.scale - 1) * progress if self.ramp else torch.full_like(progress, self.scale)
        return torch.where(progress > self.start, rising, 1.0)


def guided(scale: Tensor, logits_of: Callable[[Tensor], Tensor]) -> Tensor:
    """Logits [B, N, codes] of B pictures with guidance, in one call of a network: pictures whose guidance is 1 have one
    row of it, the others two.

    Args:
        scale: of each picture, float [B].
        logits_of: of rows int64 [R]: 0 … B − 1 with captions, B … 2B − 1 what guidance leads away from.
    """
    pictures, stronger = torch.arange(len(scale), device=scale.device), (scale != 1).nonzero().squeeze(1)  # [B], [G]
    both = logits_of(torch.cat([pictures, len(scale) + stronger]))
    logits, away = both.split([len(scale), len(stronger)])
    moved = away + scale[stronger, None, None] * (logits[stronger] - away)  # [G, N, codes]
    return logits.index_copy(0, stronger, moved)


class MusePredictor:
    """Predictions of one batch of captions, a `MaskedPredictor` of lib/decoding/masked.py.

    Args:
        text: features of the captions.
        negative: of captions to lead away from, one for each of `text` (section 2.7: they take the place of the dropped
            caption); None: the dropped caption.
        small: tokens of the small pictures, int64 [B, small_length], for a super-resolution model and no other.
        temperature: 0 leaves only the most likely token.
        top_k: 0 switches it off.

    Attributes:
        length: tokens of a picture.
        codes: tokens are 0 … codes − 1; one that is not known is `codes`.
        rows: pictures decoded at once, B.

    Raises:
        EaselError: a caption without a token, settings out of range, not as many negative captions as captions, or
            small pictures missing or unwanted.
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
        self.sampling = Sampling(temperature=temperature, top_k=top_k)  # guidance is here, a number for each picture
        self.length, self.codes, self.rows = model.config.length, model.config.codes, len(text)
        if negative is not None and len(negative) != self.rows:
            raise EaselError(f"there are {self.rows} captions, but {len(negative)} negative ones.")
        if isinstance(model, MuseSuperResolution) != (small is not None):
            raise EaselError("small pictures are for a super-resolution model, which needs them, and for no other.")
        rows, device = torch.arange(self.rows), model.head.weight.device
        dropped = rows < 0
        if self.guidance.scale != 1:
            text = text.then(text if negative is None else negative)
            dropped = torch.cat([dropped, torch.full_like(dropped, negative is None)])
            rows = rows.repeat(2)
        given = () if small is None else (small[rows.to(small.device)].to(device),)
        with torch.no_grad():
            self.memory = model.read(text.to(device), dropped.to(device), *given)  # [B] or [2B] rows

    @torch.no_grad()
    def predict(self, tokens: Tensor, progress: Tensor) -> Tensor:
        """Log-probabilities float32 [B, N, codes] of every token, those that are known too, each given all that are.

        Args:
            tokens: int64 [B, N], `codes` where one is not known.
            progress: float [B], share of a picture's passes that are done with this one: 1/T, …, 1. Only guidance reads
                it.
        """

        def logits_of(rows: Tensor) -> Tensor:
            memory = [layer.of(rows) for layer in self.memory]
            return self.model.head(self.model.features(tokens[rows % self.rows], memory)).float()

        return self.sampling(guided(self.guidance.at(progress.to(tokens.device)), logits_of))
